import Encoders
import Foundation
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Diffusion

@Suite struct DiffusersFolderTests {
    @Test func savedPartsLoadAsTheyWere() throws {
        let temporary = try TemporaryFolder()
        let folder = temporary.path
        let unet = try StableDiffusionFixtures.unet()
        try unet.save(folder: "\(folder)/unet")
        let again = try UNet2DConditionModel(folder: "\(folder)/unet")
        #expect(again.configuration == unet.configuration)
        expectEqual(again, unet)

        let autoencoder = try StableDiffusionFixtures.autoencoder()
        try autoencoder.save(folder: "\(folder)/vae")
        let decoded = try AutoencoderKL(folder: "\(folder)/vae")
        #expect(decoded.configuration == autoencoder.configuration)
        expectEqual(decoded, autoencoder)

        let variant = try UNet2DConditionModel(folder: StableDiffusionFixtures.path("unet-variant"))
        try variant.save(folder: "\(folder)/variant")
        let second = try UNet2DConditionModel(folder: "\(folder)/variant")
        #expect(second.configuration == variant.configuration)
        expectEqual(second, variant)
    }

    private func expectEqual(_ a: Module, _ b: Module) {
        let (left, right) = (a.namedTensors(), b.namedTensors())
        #expect(left.map(\.key) == right.map(\.key))
        for (one, other) in zip(left, right) {
            #expect(one.tensor.dtype == other.tensor.dtype)
            #expect(largestDifference(one.tensor, other.tensor) == 0, "\(one.key)")
        }
    }

    /// Copies `sd-tiny`, applies `change` to it, and loads the copy.
    private func load(_ change: (String) throws -> Void) throws -> StableDiffusion2 {
        let copy = try ModelCopy()
        try change(copy.path)
        return try StableDiffusion2(folder: copy.path)
    }

    private func edit(_ path: String, _ old: String, _ new: String) throws {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains(old))
        try text.replacingOccurrences(of: old, with: new).write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func message(_ change: (String) throws -> Void) -> String {
        do {
            _ = try load(change)
            return "no error"
        } catch {
            // The temporary folder's name changes with every run.
            return "\(error)".replacing(/[^ ']*\/model(?=[\/'])/, with: "MODEL")
        }
    }

    @Test func wholeFoldersWithPlainWeightsAndOtherPartsLoad() throws {
        let model = try load { folder in
            for (part, stem) in [("unet", "diffusion_pytorch_model"), ("text_encoder", "model")] {
                try FileManager.default.moveItem(
                    atPath: "\(folder)/\(part)/\(stem).fp16.safetensors",
                    toPath: "\(folder)/\(part)/\(stem).safetensors")
            }
            try edit(
                "\(folder)/model_index.json", #""safety_checker": [\#n    null,\#n    null\#n  ]"#,
                #""safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]"#)
        }
        #expect(model.dtype == .float32)
    }

    @Test func textEncodersWithoutTheTowersNameLoad() throws {
        let copy = try ModelCopy()
        let weights = try DiffusersFolder(copy.path).weights(of: .textEncoder)
        let tensors = weights.entries.sorted { $0.key < $1.key }.map {
            (key: String($0.key.dropFirst("text_model.".count)), tensor: $0.value.tensor().clone())
        }
        try copy.remove("text_encoder/model.fp16.safetensors")
        try Weights.save(tensors, to: copy.file("text_encoder/model.safetensors"))
        let model = try StableDiffusion2(folder: copy.path)
        let expected = try StableDiffusionFixtures.answers().tensor("text.states")
        #expect(largestDifference(try model.encode(["a red cube on a table"]), expected[0..<1]) < 1e-4)
    }

    /// What a folder says of its special tokens goes back as it was read.
    @Test func theTextEncodersTokensAreWrittenAsTheyWereRead() throws {
        let copy = try ModelCopy()
        try copy.edit("text_encoder/config.json", "bos_token_id", .number("3"))
        try copy.edit("text_encoder/config.json", "eos_token_id", .number("2"))
        try copy.edit("text_encoder/config.json", "pad_token_id", .number("7"))
        let model = try StableDiffusion2(folder: copy.path)
        try model.textEncoder.save(folder: copy.file("again"))
        let written = try JSONFile(copy.file("again/config.json"))
        #expect(try written.integer("bos_token_id") == 3)
        #expect(try written.integer("eos_token_id") == 2)
        #expect(try written.integer("pad_token_id") == 7)
    }

    @Test func errorsNameFileKeyAndWhatIsExpected() throws {
        let unet = "unet/config.json"
        let table: [(expected: String, change: (String) throws -> Void)] = [
            (
                "'MODEL' is no model folder: model_index.json expected in it; give the folder that holds the weights and their configuration",
                { try FileManager.default.removeItem(atPath: "\($0)/model_index.json") }
            ),
            (
                "MODEL/model_index.json: 'text_encoder' is \"T5EncoderModel\", expected \"CLIPTextModel\"",
                { try edit("\($0)/model_index.json", "CLIPTextModel", "T5EncoderModel") }
            ),
            (
                "MODEL/unet/config.json: 'down_block_types' is \"KDownBlock2D\", expected \"CrossAttnDownBlock2D\" or \"DownBlock2D\"",
                { try edit("\($0)/\(unet)", #""DownBlock2D""#, #""KDownBlock2D""#) }
            ),
            (
                "MODEL/unet/config.json: 'class_embed_type' is \"timestep\", expected null, the one value that is supported",
                { try edit("\($0)/\(unet)", #""class_embed_type": null"#, #""class_embed_type": "timestep""#) }
            ),
            (
                "MODEL/unet/config.json: 'cool_new_thing' is true: a setting that is not known here and could change the result; remove it if it does not",
                { try edit("\($0)/\(unet)", #""act_fn""#, #""cool_new_thing": true, "act_fn""#) }
            ),
            (
                "MODEL/unet/config.json: 'norm_num_groups' is \"4\", expected a whole number from 1 to 100000",
                { try edit("\($0)/\(unet)", #""norm_num_groups": 4"#, #""norm_num_groups": "4""#) }
            ),
            (
                "MODEL/unet/config.json: 'block_out_channels' is 8, expected multiples of norm_num_groups (3)",
                { try edit("\($0)/\(unet)", #""norm_num_groups": 4"#, #""norm_num_groups": 3"#) }
            ),
            (
                "MODEL/unet/config.json: 'attention_head_dim' is 3, expected a divisor of the block's 8 channels",
                { try edit("\($0)/\(unet)", "\"attention_head_dim\": [\n    2,", "\"attention_head_dim\": [\n    3,") }
            ),
            (
                "MODEL/vae/config.json: 'act_fn' is \"gelu\", expected \"silu\", the one value that is supported",
                { try edit("\($0)/vae/config.json", #""act_fn": "silu""#, #""act_fn": "gelu""#) }
            ),
            (
                "MODEL/text_encoder/config.json: 'hidden_act' is \"swish\", expected one of \"gelu\", \"quick_gelu\", \"gelu_new\", \"gelu_pytorch_tanh\", \"relu\", \"silu\"",
                { try edit("\($0)/text_encoder/config.json", #""gelu""#, #""swish""#) }
            ),
            (
                "'MODEL/vae' is no model folder: diffusion_pytorch_model.safetensors or diffusion_pytorch_model.bin, or an index of its shards expected in it; give the folder that holds the weights and their configuration",
                { try FileManager.default.removeItem(atPath: "\($0)/vae/diffusion_pytorch_model.fp16.safetensors") }
            ),
        ]
        for (expected, change) in table { #expect(message(change) == expected) }
        let mismatch = message { folder in
            // Loads, and then disagrees with the UNet's width.
            try edit("\(folder)/text_encoder/config.json", #""hidden_size": 10"#, #""hidden_size": 8"#)
        }
        #expect(mismatch.contains("text_model.embeddings.token_embedding.weight"))
    }

    @Test func partsThatDoNotFitAreRefused() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        var configuration = model.unet.configuration
        configuration.crossAttentionDimension = 11
        let other = UNet2DConditionModel(configuration)
        other.initialize(generator: Generator(seed: 1))
        #expect(
            throws: DiffusionError.mismatch(
                model: "the model", what: "the UNet's cross_attention_dim", expected: "10", got: "11")
        ) {
            try StableDiffusion2(
                tokenizer: model.tokenizer, textEncoder: model.textEncoder, unet: other,
                autoencoder: model.autoencoder, scheduler: model.scheduler)
        }
    }

    @Test func freshWeightsFollowPyTorchAndTheGenerator() throws {
        var configuration = UNetConfiguration()
        configuration.blockChannels = [32, 64]
        configuration.downBlocks = [.crossAttention, .plain]
        configuration.upBlocks = [.plain, .crossAttention]
        configuration.layersPerBlock = [1, 1]
        configuration.transformerLayersPerBlock = [1, 1]
        configuration.headCounts = [2, 4]
        configuration.normGroups = 8
        configuration.crossAttentionDimension = 24
        func make(_ seed: UInt64) -> UNet2DConditionModel {
            let model = UNet2DConditionModel(configuration)
            model.initialize(generator: Generator(seed: seed))
            return model
        }
        let (one, same, other) = (make(1), make(1), make(2))
        expectEqual(one, same)
        #expect(largestDifference(one.input.weight, other.input.weight) > 0)
        // Uniform in ±1/√(64 · 9): bounds, and the standard deviation of a uniform distribution.
        let weight = one.middleStage.residuals[0].convolution1.weight
        let bound = 1 / (64.0 * 9).squareRoot()
        #expect(weight.abs().max().item() <= bound)
        #expect(abs(weight.variance().item().squareRoot() / (bound / 3.0.squareRoot()) - 1) < 0.02)
        #expect(one.outputNorm.weight.array(of: Float.self).allSatisfy { $0 == 1 })
        // Training draws the loss down.
        one.setRequiresGrad(true)
        let generator = Generator(seed: 3)
        let sample = Tensor.randn([2, 4, 8, 8], generator: generator)
        let text = Tensor.randn([2, 3, 24], generator: generator)
        let target = Tensor.randn([2, 4, 8, 8], generator: generator)
        var losses: [Double] = []
        for _ in 0..<20 {
            let loss = Functional.meanSquaredError(one(sample, Tensor([5, 700]), text), target)
            losses.append(loss.item())
            loss.backward()
            withoutGradients {
                for parameter in one.namedParameters() {
                    guard let gradient = parameter.tensor.grad else { continue }
                    parameter.tensor.addInPlace(gradient, alpha: -0.1)
                    parameter.tensor.grad = nil
                }
            }
        }
        #expect(losses[19] < 0.8 * losses[0])
    }

    @Test func theTextTowerOfAModelLosesItsLastLayer() throws {
        var configuration = CLIPConfiguration()
        configuration.text.vocabularySize = 30
        configuration.text.hiddenSize = 8
        configuration.text.intermediateSize = 12
        configuration.text.layerCount = 3
        configuration.text.headCount = 2
        configuration.text.contextLength = 7
        configuration.vision.hiddenSize = 6
        configuration.vision.headCount = 2
        configuration.vision.layerCount = 1
        configuration.vision.imageSize = 8
        configuration.vision.patchSize = 4
        configuration.projectionDimension = 5
        let clip = CLIPModel(configuration)
        clip.initialize(generator: Generator(seed: 4))
        let encoder = try DiffusionTextEncoder(of: clip)
        #expect(encoder.configuration.layerCount == 2)
        let ids = Tensor([1, 5, 9, 29, 0, 0, 0], shape: [1, 7])
        let states = withoutGradients { encoder(ids) }
        clip.text.encoder.layers.removeLast()
        #expect(largestDifference(states, withoutGradients { clip.text.hiddenState(ids) }) == 0)
        let temporary = try TemporaryFolder()
        let folder = temporary.path
        try encoder.save(folder: folder)
        let text = try CLIPConfiguration.Text(textEncoderFile: "\(folder)/config.json")
        #expect(text == encoder.configuration)
    }
}
