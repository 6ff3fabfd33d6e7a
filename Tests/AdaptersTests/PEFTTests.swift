import Encoders
import Foundation
import Safetensors
import Testing
import Torch
import TorchNN

@testable import Adapters

// Adapters written by PEFT (Fixtures/make_adapter_fixtures.py), and ours read back.

/// float32 against float32 with another order of summation.
private let tolerance = 1e-5

@Suite struct PEFTTests {
    @Test(arguments: [
        ("peft-pattern", 4, 1.5, 8), ("peft-list", 3, 1.0, 9), ("peft-rslora", 5, 7 / 5.0.squareRoot(), 8),
    ])
    func adaptersOfPEFTGiveItsEmbeddings(name: String, rank: Int, scale: Double, count: Int) throws {
        let model = try baseModel()
        let adapter = try LoRAAdapter(loadingInto: model, folder: fixture(name))
        #expect(adapter.configuration.rank == rank)
        #expect(abs(adapter.configuration.scale - scale) < 1e-12)
        #expect(adapter.paths.count == count)
        #expect(!adapter.namedParameters().contains { $0.tensor.requiresGrad })
        let expected = try Weights(path: fixture("\(name)/expected.safetensors"))["image_embeds"]!.tensor()
        let base = try Weights(path: fixture("base/expected.safetensors"))["image_embeds"]!.tensor()
        try withoutGradients {
            let features = model.imageFeatures(try pixels())
            #expect(maximumDifference(features, expected) < tolerance)
            #expect(maximumDifference(features, base) > 1e-2)
        }
    }

    @Test func settingsThatAreNotUsedWithoutTrainingAreKept() throws {
        let adapter = try LoRAAdapter(loadingInto: baseModel(), folder: fixture("peft-list"))
        #expect(adapter.configuration.dropout == 0.1)
    }

    @Test(arguments: [
        LoRATargets.attention, .names(["q_proj", "fc1"], prefix: nil), .pattern(#"vision_model\..*\.fc\d"#),
    ])
    func whatIsWrittenReadsBack(targets: LoRATargets) throws {
        try withTemporaryFolder { folder in
            let configuration = LoRAConfiguration(rank: 3, alpha: 4.5, dropout: 0.25, targets: targets)
            let model = try baseModel()
            let adapter = try LoRAAdapter(
                injectingInto: model, configuration, generator: Generator(seed: 1),
                dropoutGenerator: Generator(seed: 2))
            adapter.fill(seed: 4)
            try adapter.save(to: folder, baseModel: "some/model")
            let copy = try baseModel()
            let read = try LoRAAdapter(loadingInto: copy, folder: folder)
            #expect(read.paths == adapter.paths)
            #expect(read.configuration.scale == configuration.scale)
            #expect(read.configuration.dropout == configuration.dropout)
            for (a, b) in zip(adapter.stateTensors, read.stateTensors) {
                #expect(a.key == b.key && bits(a.tensor) == bits(b.tensor))
            }
            let input = try pixels()
            withoutGradients { #expect(bits(model.imageFeatures(input)) == bits(copy.imageFeatures(input))) }
            // Equal content, equal bytes.
            let first = FileManager.default.contents(atPath: "\(folder)/adapter_model.safetensors")
            try read.save(to: folder, baseModel: "some/model")
            #expect(FileManager.default.contents(atPath: "\(folder)/adapter_model.safetensors") == first)
        }
    }

    @Test func keysAndShapesArePEFTs() throws {
        let adapter = try LoRAAdapter(injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 1))
        let state = adapter.stateTensors
        #expect(state[0].key == "base_model.model.vision_model.encoder.layers.0.self_attn.k_proj.lora_A.weight")
        #expect(state[0].tensor.shape == [4, 30])
        #expect(state[1].key == "base_model.model.vision_model.encoder.layers.0.self_attn.k_proj.lora_B.weight")
        #expect(state[1].tensor.shape == [30, 4])
    }

    @Test func prefixedNamesBecomeAPatternThatMeansTheSame() throws {
        let names = ["q_proj", "out_proj"]
        let matches = try LoRATargets.names(names, prefix: "vision_model").matcher()
        let pattern = try LoRATargets.pattern(LoRAConfiguration.pattern(names, below: "vision_model")).matcher()
        for path in [
            "vision_model.encoder.layers.0.self_attn.q_proj", "text_model.encoder.layers.0.self_attn.q_proj",
            "vision_model.q_proj", "vision_model.xq_proj", "q_proj", "vision_modelx.q_proj", "vision_model.a.out_proj",
        ] {
            let (byName, byPattern) = (try matches(path), try pattern(path))
            #expect(byName == byPattern, "\(path)")
        }
    }

    @Test func loadingKeepsTheTensorsThatAnOptimizerHolds() throws {
        try withTemporaryFolder { folder in
            let adapter = try LoRAAdapter(
                injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 1))
            let other = try LoRAAdapter(
                injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 2))
            other.fill(seed: 5)
            try other.save(to: folder)
            let held = adapter.namedParameters().map(\.tensor)
            try adapter.loadTensors(from: "\(folder)/adapter_model.safetensors")
            for (tensor, state) in zip(held, other.stateTensors) { #expect(bits(tensor) == bits(state.tensor)) }
            #expect(held.allSatisfy { $0.requiresGrad })
        }
    }

    /// Leaves files for Fixtures/check_with_peft.py, where PEFT itself reads what was written here.
    @Test func filesForPEFTItself() throws {
        guard let root = ProcessInfo.processInfo.environment["GMAIL_PEFT_CHECK"] else {
            print("GMAIL_PEFT_CHECK is not set: no files were left for check_with_peft.py")
            return
        }
        for (name, configuration) in [
            ("prefix", LoRAConfiguration(rank: 4, alpha: 6)),
            ("list", LoRAConfiguration(rank: 3, alpha: 4.5, targets: .names(["q_proj", "fc2"], prefix: nil))),
            (
                "stable",
                LoRAConfiguration(
                    rank: 5, alpha: 2, isRankStabilized: true, targets: .pattern(#"vision_model\..*\.fc\d"#))
            ),
        ] {
            let model = try baseModel()
            let adapter = try LoRAAdapter(injectingInto: model, configuration, generator: Generator(seed: 1))
            adapter.fill(seed: 4)
            let folder = "\(root)/\(name)"
            try adapter.save(to: folder, baseModel: "base")
            let input = try pixels()
            let features = withoutGradients { model.imageFeatures(input) }
            try Weights.save(
                [("pixel_values", input), ("image_embeds", features)], to: "\(folder)/embeddings.safetensors")
        }
    }
}
