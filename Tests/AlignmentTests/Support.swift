import Adapters
import Encoders
import Files
import Foundation
import TestSupport
import Testing
import Torch
import TorchNN
import TorchOptim

@testable import Alignment

func fixture(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
}

func trunk() throws -> CLIPModel { try CLIPModel(folder: fixture("base"), memory: .owned) }

func sigLIPTrunk() throws -> SigLIPModel {
    let model = SigLIPModel(try SigLIPConfiguration(folder: fixture("siglip-base")))
    try model.load(Weights(path: fixture("siglip-base/model.safetensors")), memory: .owned)
    return model
}

func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return withoutGradients { (a.to(.float64) - b.to(.float64)).abs().max().item() }
}

func bits(_ tensor: Tensor) -> [UInt8] {
    tensor.detached().contiguous().withUnsafeBytes { Array($0) }
}

/// A folder of its own for one test, removed when `body` returns.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("alignment-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// The three batches of the fixtures, in the order of training.
struct Batches {
    let generated: Tensor  // [3, 6, 3, 14, 14]
    let real: Tensor
    let ids: Tensor  // [3, 6, 8]
    let realIDs: Tensor  // [3, 6]
    let shortIDs: Tensor?  // [3, 6, 25]

    /// - Parameter texts: a file with long and short captions instead.
    init(texts: String? = nil) throws {
        let weights = try Weights(path: fixture("base/batches.safetensors"))
        generated = weights["generated"]!.tensor()
        real = weights["real"]!.tensor()
        let own = try texts.map { try Weights(path: fixture($0)) }
        ids = (own?["long_ids"] ?? weights["input_ids"]!).tensor()
        shortIDs = own?["short_ids"]?.tensor()
        realIDs = weights["real_ids"]!.tensor()
    }

    subscript(step: Int) -> AlignmentBatch {
        let index = step % 3
        return AlignmentBatch(
            ids: (0..<6).map { "pair-\(index)-\($0)" },
            realIDs: realIDs[index].array(of: Int.self).map { ExactString("real-\(index)-\($0)") },
            generated: ImageBatch(generated[index]), real: .images(ImageBatch(real[index])),
            text: .tokens(ids[index]), shortText: shortIDs.map { .tokens($0[index]) })
    }

    /// The same pairs in another order.
    func permuted(_ step: Int, _ order: [Int]) -> AlignmentBatch {
        let batch = self[step]
        let rows = Tensor(order)
        let index = step % 3
        return AlignmentBatch(
            ids: order.map { batch.ids[$0] }, realIDs: order.map { batch.realIDs[$0] },
            generated: ImageBatch(generated[index].indexSelect(0, rows)),
            real: .images(ImageBatch(real[index].indexSelect(0, rows))),
            text: .tokens(ids[index].indexSelect(0, rows)),
            shortText: shortIDs.map { .tokens($0[index].indexSelect(0, rows)) })
    }
}

/// The training runs of make_alignment_fixtures.py.
enum Case: String, CaseIterable, Sendable {
    case lora
    case loraText = "lora-text"
    case full
    case mixed
    case sigLIP = "siglip"
    case sigLIPSigmoid = "siglip-sigmoid"
    case longCLIP = "long-clip"
    case synCLR = "synclr"

    /// The models that are trained, which share images and captions.
    func trunk() throws -> any ImageEncoder {
        switch self {
        case .lora, .loraText, .full, .mixed: try AlignmentTests.trunk()
        case .sigLIP, .sigLIPSigmoid: try sigLIPTrunk()
        case .longCLIP: try CLIPModel(folder: fixture("long-base"), memory: .owned)
        case .synCLR: try EncoderFolder.open(fixture("synclr-base"), memory: .owned).image
        }
    }

    var settings: AlignmentSettings {
        let schedule = Schedule.cosineWarmRestarts(firstPeriod: 6, multiplier: 2, warmup: 0, minimum: 0)
        func settings(_ tuning: Tuning, _ projection: ProjectionConfiguration, _ loss: AlignmentLoss)
            -> AlignmentSettings
        {
            AlignmentSettings(
                tuning: tuning, projection: projection, loss: loss, learningRate: 2e-3, projectionLearningRate: 1e-3,
                weightDecay: 0.01, schedule: schedule, clipNorm: 1)
        }
        switch self {
        case .lora:
            return settings(
                .lora(LoRAConfiguration(rank: 4, alpha: 6)), ProjectionConfiguration(), AlignmentLoss())
        case .loraText:
            return settings(
                .lora(LoRAConfiguration(rank: 3, alpha: 3)),
                ProjectionConfiguration(depth: 2, hiddenDimension: 11, isBatchNormalized: true, start: .random),
                AlignmentLoss(objective: .symmetric, generatedTextWeight: 0.5, realTextWeight: 0.25))
        case .full:
            return settings(.full, .none, AlignmentLoss())
        case .mixed:
            return settings(
                .lora(LoRAConfiguration(rank: 2, alpha: 4)), .none, AlignmentLoss(objective: .mixed))
        case .sigLIP:
            return settings(.lora(Self.blocks(rank: 3, alpha: 5)), .none, AlignmentLoss())
        case .sigLIPSigmoid:
            return settings(
                .lora(Self.blocks(rank: 2, alpha: 6)), .none,
                AlignmentLoss(objective: .sigmoid, generatedTextWeight: 0.5, realTextWeight: 0.25))
        case .longCLIP:
            var loss = AlignmentLoss(generatedTextWeight: 0.5)
            (loss.textTemperature, loss.labelSmoothing) = (0.05, 0.1)
            (loss.shortCaptionWeight, loss.principalComponents) = (0.75, 3)
            var settings = settings(.lora(LoRAConfiguration(rank: 2, alpha: 4)), ProjectionConfiguration(), loss)
            (settings.trainsTextPositions, settings.textLearningRate) = (true, 1e-3)
            return settings
        case .synCLR:
            return settings(
                .lora(
                    LoRAConfiguration(
                        rank: 2, alpha: 3,
                        targets: .names(["q_proj", "k_proj", "v_proj", "out_proj"], prefix: "encoder"))),
                .none, AlignmentLoss())
        }
    }

    /// What a recipe gives an encoder whose tower is below `vision_model.encoder`.
    private static func blocks(rank: Int, alpha: Double) -> LoRAConfiguration {
        LoRAConfiguration(
            rank: rank, alpha: alpha,
            targets: .names(["q_proj", "k_proj", "v_proj", "out_proj"], prefix: "vision_model.encoder"))
    }

    /// The batches, with long and short captions where they are trained on.
    func batches() throws -> Batches { try Batches(texts: self == .longCLIP ? "long-base/texts.safetensors" : nil) }

    func expected() throws -> Weights { try Weights(path: fixture("\(rawValue)/expected.safetensors")) }

    /// The task at the fixture's start.
    func task(_ change: (inout AlignmentSettings) -> Void = { _ in }) throws -> AlignmentTask {
        var settings = settings
        change(&settings)
        let task = try AlignmentTask(trunk: trunk(), settings: settings)
        let start = try expected()
        for (key, tensor) in task.fixtureTensors {
            if self == .full, key.hasPrefix("encoder.") { continue }  // starts as the trunk
            if key.hasPrefix("loss.") || key.hasPrefix("text.") { continue }  // start as the trunk's own
            tensor.copy(from: try #require(start["start.\(key)"], "start.\(key)").tensor())
        }
        return task
    }
}

extension AlignmentTask {
    /// On a model that reads texts too, whose text embeddings have the images' dimension.
    convenience init(trunk: any ImageEncoder, settings: AlignmentSettings) throws {
        try self.init(
            trunk: trunk, textDimension: (trunk as? any TextEncoder)?.textEmbeddingDimension, settings: settings)
    }

    /// Everything that changes in training, under the fixtures' keys.
    var fixtureTensors: [(key: String, tensor: Tensor)] {
        let encoder = towers.adapter.map { $0.stateTensors } ?? towers.trainedParameters.map { ($0.key, $0.tensor) }
        return encoder.map { ("encoder.\($0.key)", $0.tensor) }
            + projection.namedTensors().map { ("projection.\($0.key)", $0.tensor) }
            + (scale?.namedTensors() ?? []).map { ("loss.\($0.key)", $0.tensor) }
            + (text?.namedTensors() ?? []).map { ("text.\($0.key)", $0.tensor) }
    }
}
