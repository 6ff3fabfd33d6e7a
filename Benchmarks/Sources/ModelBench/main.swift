// Models alone, without files or decoding: one JSON line per measurement.
//
//   ModelBench gemm                                          practical peak of one matrix product, GFLOP/s
//   ModelBench embed DTYPE BATCH REPEATS                     ViT-B/32 image embeddings
//   ModelBench siglip DTYPE BATCH REPEATS                    siglip-base-patch16-224 image embeddings
//   ModelBench align DTYPE BATCH REPEATS computed|cached     one alignment step: LoRA rank 4, f_r computed or cached
//
// Weights and inputs are random: neither changes how long the arithmetic takes. The peers run the same shapes.

import Adapters
import Alignment
import Encoders
import Foundation
import Torch
import TorchNN

extension CLIPModel {
    /// Floating-point operations of one image through the image tower and its projection (a multiply-add counts two).
    var imageFLOPs: Double {
        let vision = configuration.vision
        let tokens = Double(vision.positionCount)
        let width = Double(vision.hiddenSize)
        let feedForward = 4 * width * Double(vision.intermediateSize)
        // Products of every position's queries, keys and values; what follows only where it is asked for.
        func block(outputs: Double) -> Double {
            tokens * 6 * width * width + outputs * (2 * width * width + feedForward + 4 * tokens * width)
        }
        let patches = 2 * (tokens - 1) * width * Double(vision.channelCount * vision.patchSize * vision.patchSize)
        let blocks = Double(vision.layerCount - 1) * block(outputs: tokens) + block(outputs: 1)
        return blocks + patches + 2 * width * Double(configuration.projectionDimension)
    }
}

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let time = try clock.measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Best rate of a product of ViT-B/32's size at batch 64, in GFLOP/s.
func peak(_ dtype: DType) -> Double {
    inferenceMode {
        let x = Tensor.randn([3200, 768], generator: Generator(seed: 0)).to(dtype)
        let weight = Tensor.randn([3072, 768], generator: Generator(seed: 1)).to(dtype)
        let best = (0..<12).map { _ in seconds { _ = Functional.linear(x, weight: weight) } }.min()!
        return 2 * 3200 * 768 * 3072 / best / 1e9
    }
}

func dtype(_ text: String) -> DType { text == "bfloat16" ? .bfloat16 : .float32 }

let arguments = CommandLine.arguments
try TorchRuntime.load()
try TorchRuntime.keepFreedMemory()
switch arguments.dropFirst().first {
case "gemm":
    print(
        "{\"float32_gflops\": \(peak(.float32)), \"bfloat16_gflops\": \(peak(.bfloat16)), \"threads\": \(TorchRuntime.threadCount)}"
    )
case "embed":
    let (dtype, batch, repeats) = (dtype(arguments[2]), Int(arguments[3])!, Int(arguments[4])!)
    let model = CLIPModel(CLIPConfiguration())
    model.initialize(generator: Generator(seed: 0))
    model.to(dtype: dtype)
    model.setRequiresGrad(false)
    let choice = try model.prepareForInference()
    let pixels = Tensor.randn([batch, 3, 224, 224], generator: Generator(seed: 1))
    func run() {
        inferenceMode { precondition(model.imageFeatures(pixels).to(.float32).normalized().isFinite().all()) }
    }
    run()
    let time = median((0..<repeats).map { _ in seconds(run) })
    let rate = Double(batch) / time
    let share = rate * model.imageFLOPs / 1e9 / peak(dtype)
    print(
        "{\"images_per_second\": \(rate), \"batch\": \(batch), \"dtype\": \"\(dtype)\", \"kernel\": \"\(choice?.kernel.rawValue ?? "")\", \"share_of_gemm_peak\": \(share)}"
    )
case "siglip":
    let (dtype, batch, repeats) = (dtype(arguments[2]), Int(arguments[3])!, Int(arguments[4])!)
    let model = SigLIPModel(SigLIPConfiguration())
    let generator = Generator(seed: 0)
    for parameter in model.namedParameters() where !parameter.key.contains("norm") {
        parameter.tensor.normalInPlace(std: 0.02, generator: generator)
    }
    model.to(dtype: dtype)
    model.setRequiresGrad(false)
    let choice = try model.prepareForInference()
    let pixels = Tensor.randn([batch, 3, 224, 224], generator: Generator(seed: 1))
    func run() {
        inferenceMode { precondition(model.imageFeatures(pixels).to(.float32).normalized().isFinite().all()) }
    }
    run()
    let time = median((0..<repeats).map { _ in seconds(run) })
    print(
        "{\"images_per_second\": \(Double(batch) / time), \"batch\": \(batch), \"dtype\": \"\(dtype)\", \"kernel\": \"\(choice?.kernel.rawValue ?? "")\"}"
    )
case "align":
    let (dtype, batch, repeats, isCached) = (
        dtype(arguments[2]), Int(arguments[3])!, Int(arguments[4])!, arguments[5] == "cached"
    )
    let model = CLIPModel(CLIPConfiguration())
    model.initialize(generator: Generator(seed: 0))
    let task = try AlignmentTask(
        trunk: model, textDimension: nil, settings: AlignmentSettings(projection: .none, dtype: dtype))
    let generated = Tensor.randn([batch, 3, 224, 224], generator: Generator(seed: 1))
    let real = Tensor.randn([batch, 3, 224, 224], generator: Generator(seed: 2))
    let ids = (0..<batch).map(String.init)
    let cached = inferenceMode { model.imageFeatures(real) }.clone()
    func step() throws {
        // One piece, as without gradient caching; the cached features stand where f_r would be asked.
        let features = isCached ? cached : inferenceMode { model.imageFeatures(real) }
        let report = try task.step(
            AlignmentPieces(
                generated: { $0 == 0 ? .init(generated) : nil },
                pairs: { .init(ids: ids, realIDs: ids.map { .init($0) }, real: .init(features), text: nil) }))
        precondition(report.loss.isFinite)
    }
    try step()
    let time = try median((0..<repeats).map { _ in try seconds(step) })
    // Forward and the gradient with respect to activations through f_g; forward alone through f_r.
    let flops = Double(batch) * model.imageFLOPs * (isCached ? 2 : 3)
    print(
        "{\"pairs_per_second\": \(Double(batch) / time), \"batch\": \(batch), \"dtype\": \"\(dtype)\", \"real\": \"\(arguments[5])\", \"share_of_gemm_peak\": \(flops / time / 1e9 / peak(dtype))}"
    )
default:
    FileHandle.standardError.write(
        Data(
            "ModelBench gemm | embed DTYPE BATCH REPEATS | siglip DTYPE BATCH REPEATS | align DTYPE BATCH REPEATS computed|cached\n"
                .utf8))
    exit(2)
}
