import Files
import Foundation
import Images
import ModelFolders
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Diffusion

@Suite struct GeneratorFolderTests {
    // MARK: Weights in every layout

    private func picture(_ path: String, variant: String? = nil) throws -> RGBImage {
        var options = GeneratorOptions()
        options.steps = 2
        options.variant = variant
        let made = try GeneratorFolder.open(path, options: options)
            .images(for: [ImageRequest(prompt: "a red cube", seed: 3)], wide: false)
        guard case .image(let image) = made[0] else { throw DiffusionError.missingNegative(guidance: 0) }
        return image
    }

    private static let layouts: [(name: String, variant: String?, change: @Sendable (ModelCopy) throws -> Void)] = [
        (
            "plain names", nil,
            {
                try $0.move(
                    "unet/diffusion_pytorch_model.fp16.safetensors", to: "unet/diffusion_pytorch_model.safetensors")
            }
        ),
        ("the only variant, asked for", "fp16", { _ in }),
        (
            "shards of a variant under diffusers' present name", "fp16",
            {
                try $0.shard(
                    "unet/diffusion_pytorch_model.fp16.safetensors",
                    (
                        "diffusion_pytorch_model-00001-of-00002.fp16.safetensors",
                        "diffusion_pytorch_model-00002-of-00002.fp16.safetensors"
                    ),
                    index: "diffusion_pytorch_model.safetensors.index.fp16.json")
            }
        ),
        (
            "shards of the only variant under the older name", nil,
            {
                try $0.shard(
                    "text_encoder/model.fp16.safetensors",
                    ("model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"),
                    index: "model.fp16.safetensors.index.json")
            }
        ),
        (
            "plain shards", nil,
            {
                try $0.shard(
                    "unet/diffusion_pytorch_model.fp16.safetensors",
                    ("a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"),
                    index: "diffusion_pytorch_model.safetensors.index.json")
            }
        ),
        (
            "fp16 beside non_ema", nil,
            {
                try $0.copy(
                    "vae/diffusion_pytorch_model.fp16.safetensors",
                    to: "unet/diffusion_pytorch_model.non_ema.safetensors")
            }
        ),
        (
            "a variant that some parts lack", "fp16",
            {
                try $0.move(
                    "vae/diffusion_pytorch_model.fp16.safetensors", to: "vae/diffusion_pytorch_model.safetensors")
            }
        ),
        (
            "pickles", nil,
            { model in
                for (part, name) in [("text_encoder", "pytorch_model"), ("vae", "diffusion_pytorch_model")] {
                    try model.remove("\(part)/\(part == "vae" ? "diffusion_pytorch_" : "")model.fp16.safetensors")
                    try FileManager.default.copyItem(
                        atPath: StableDiffusionFixtures.path("pickles/\(part).bin"),
                        toPath: model.file("\(part)/\(name).bin"))
                }
            }
        ),
    ]

    @Test(arguments: layouts.indices)
    func weightsAreFoundInEveryLayout(index: Int) throws {
        let (name, variant, change) = Self.layouts[index]
        let model = try ModelCopy()
        try change(model)
        let expected = try picture(StableDiffusionFixtures.path("sd-tiny"))
        #expect(try picture(model.path, variant: variant).pixels == expected.pixels, "\(name)")
    }

    @Test func aVariantThatIsNotThereIsRefused() throws {
        let model = try ModelCopy()
        let text = message { _ = try picture(model.path, variant: "fp8") }
        #expect(text.contains("weights of the variant 'fp8' in one of its parts expected in it"), "\(text)")
        try model.copy(
            "unet/diffusion_pytorch_model.fp16.safetensors", to: "unet/diffusion_pytorch_model.bf16.safetensors")
        let several = message { _ = try picture(model.path) }
        #expect(several.contains("weights in several variants (bf16, fp16); choose one with --variant"), "\(several)")
    }

    // MARK: Identity

    private func identity(_ model: ModelCopy, variant: String? = nil) throws -> String {
        let folder = try DiffusersFolder(model.path, variant: variant)
        return try StableDiffusionConfiguration(folder).fingerprint(hashes: FileHashes(memory: nil)).sha256
    }

    private static let edits: [@Sendable (ModelCopy) throws -> Void] = [
        { try $0.edit("scheduler/scheduler_config.json", "beta_end", .number("0.013")) },
        { try $0.edit("vae/config.json", "scaling_factor", .number("0.2")) },
        { try $0.edit("unet/config.json", "norm_eps", .number("1e-6")) },
        { try $0.edit("text_encoder/config.json", "hidden_act", .string("quick_gelu")) },
        { try $0.edit("tokenizer/tokenizer_config.json", "model_max_length", .number("9")) },
        { try $0.edit("model_index.json", "scheduler", .array([.string("diffusers"), .string("PNDMScheduler")])) },
        { try AtomicFile.write("#version: 0.2\nr e\n", to: $0.file("tokenizer/merges.txt")) },
        { try AtomicFile.write("{\"<x>\": 600}", to: $0.file("tokenizer/added_tokens.json")) },
        {
            var bytes = try RegularFile.bytes($0.file("vae/diffusion_pytorch_model.fp16.safetensors"))
            bytes[bytes.count - 1] ^= 1
            try AtomicFile.write(bytes, to: $0.file("vae/diffusion_pytorch_model.fp16.safetensors"))
        },
    ]

    @Test func everyFileThatDecidesThePicturesDecidesTheIdentity() throws {
        let model = try ModelCopy()
        let before = try identity(model)
        var seen: Set<String> = [before]
        for (index, edit) in Self.edits.enumerated() {
            let changed = try ModelCopy()
            #expect(try identity(changed) == before)
            try edit(changed)
            #expect(seen.insert(try identity(changed)).inserted, "edit \(index)")
        }
        // What is not opened: other files, another variant, a part that is not run.
        try AtomicFile.write("# A model", to: model.file("README.md"))
        try AtomicFile.write("x", to: model.file("unet/notes.txt"))
        try model.copy(
            "vae/diffusion_pytorch_model.fp16.safetensors", to: "vae/diffusion_pytorch_model.non_ema.safetensors")
        try FileSystem.createFolder(model.file("safety_checker"))
        try AtomicFile.write("{}", to: model.file("safety_checker/config.json"))
        #expect(try identity(model) == before)
    }

    @Test func everyShardDecidesTheIdentity() throws {
        let model = try ModelCopy()
        let stem = "diffusion_pytorch_model"
        try model.shard(
            "unet/\(stem).fp16.safetensors",
            ("\(stem)-00001-of-00002.safetensors", "\(stem)-00002-of-00002.safetensors"),
            index: "\(stem).safetensors.index.json")
        let before = try identity(model)
        for shard in ["00001", "00002"] {
            let path = model.file("unet/\(stem)-\(shard)-of-00002.safetensors")
            let bytes = try RegularFile.bytes(path)
            try AtomicFile.write(bytes.dropLast() + [bytes[bytes.count - 1] ^ 1], to: path)
            #expect(try identity(model) != before, "shard \(shard)")
            try AtomicFile.write(bytes, to: path)
            #expect(try identity(model) == before)
        }
        let names = try StableDiffusionConfiguration(DiffusersFolder(model.path))
            .fingerprint(hashes: FileHashes(memory: nil)).files.map(\.name)
        #expect(
            names.contains("unet/\(stem)-00002-of-00002.safetensors")
                && names.contains("unet/\(stem).safetensors.index.json"))
    }

    // MARK: The door

    @Test func optionsBecomeTheDescription() throws {
        var options = GeneratorOptions()
        let own = try GeneratorFolder.open(StableDiffusionFixtures.path("sd-tiny"), options: options).description
        #expect(own.scheduler == "ddim" && own.steps == 50 && own.guidance == 7.5 && own.negativePrompt.isEmpty)
        #expect(own.model == "sd-tiny" && own.dtype == "float32" && own.imageSize == ImageSize(width: 16, height: 16))
        options.steps = 3
        options.guidance = 2
        options.negativePrompt = "blue"
        options.width = 24
        options.height = 12
        options.scheduler = "euler"
        options.dtype = .float16
        let generator = try GeneratorFolder.open(StableDiffusionFixtures.path("sd-tiny"), options: options)
        let asked = generator.description
        #expect(asked.scheduler == "euler" && asked.steps == 3 && asked.guidance == 2 && asked.negativePrompt == "blue")
        #expect(asked.imageSize == ImageSize(width: 24, height: 12) && asked.dtype == "float16")
        #expect(asked.fingerprint == own.fingerprint)
        #expect(generator.widerDType == "float32" && generator.tokenLimit == 13)
        #expect(try generator.tokenCount("red cube") == 4)
    }

    private static let refused: [(change: @Sendable (inout GeneratorOptions) -> Void, text: String)] = [
        ({ $0.scheduler = "heun" }, "scheduler is 'heun', expected ddim, pndm, euler, dpm++"),
        ({ $0.steps = 1001 }, "DDIMScheduler: 1001 steps asked for, expected 1 to 1000 (num_train_timesteps)"),
        (
            {
                $0.width = 17; $0.height = 16
            }, "pictures of 17x16 cannot be made: width and height must be multiples of 2 from 2 to 8192"
        ),
        (
            {
                $0.width = 1_000_000; $0.height = 8
            }, "pictures of 1000000x8 cannot be made: width and height must be multiples of 2 from 2 to 8192"
        ),
        (
            {
                $0.width = -2; $0.height = 8
            }, "pictures of -2x8 cannot be made: width and height must be multiples of 2 from 2 to 8192"
        ),
    ]

    @Test(arguments: refused.indices)
    func optionsThatCannotBeFollowedAreRefusedBeforeWeightsAreRead(index: Int) throws {
        let (change, text) = Self.refused[index]
        let model = try ModelCopy()
        try AtomicFile.write("no weights", to: model.file("unet/diffusion_pytorch_model.fp16.safetensors"))
        var options = GeneratorOptions()
        change(&options)
        #expect(message { _ = try GeneratorFolder.open(model.path, options: options) } == text)
    }

    @Test func otherFoldersAreNamed() throws {
        let model = try ModelCopy()
        try model.edit("model_index.json", "_class_name", .string("KandinskyPipeline"))
        let text = message { _ = try GeneratorFolder.open(model.path) }
        #expect(
            text
                == "'\(model.path)' holds a pipeline of class 'KandinskyPipeline', which is no image generator that is read "
                + "here; known are Stable Diffusion")
        let empty = try TemporaryFolder()
        #expect(message { _ = try GeneratorFolder.open(empty.path) }.contains("model_index.json expected in it"))
        #expect(
            message { _ = try GeneratorFolder.open("/nowhere/at all") }.contains("is no model folder: there is nothing")
        )
    }

    /// A new family is one type and one line; nothing else is touched.
    @Test func aFamilyOfOnesOwnIsOpened() throws {
        final class Toy: ImageGenerator {
            let description: GeneratorDescription
            let notes = ["a toy"]
            let widerDType: String? = nil
            let tokenLimit = 4

            init(_ folder: DiffusersFolder, _ options: GeneratorOptions) throws {
                guard options.scheduler == nil else {
                    throw DiffusionError.badOption(name: "scheduler", expected: "nothing", got: "something")
                }
                let fingerprint = try folder.fingerprint(
                    weighted: [], tokenizers: [], others: [], hashes: FileHashes(memory: nil))
                description = GeneratorDescription(
                    model: "toy", fingerprint: fingerprint, scheduler: "flow", steps: options.steps ?? 4,
                    guidance: options.guidance ?? 3.5, imageSize: ImageSize(width: 2, height: 1), dtype: "float32")
            }

            func images(for requests: [ImageRequest], wide: Bool) throws -> [GeneratedImage] {
                try requests.map { request in
                    .image(try RGBImage(width: 2, height: 1, pixels: Array(repeating: UInt8(request.seed), count: 6)))
                }
            }

            func tokenCount(_ prompt: String) throws -> Int { prompt.utf8.count }
        }
        let list = FamilyList<GeneratorFamily>(kind: "image generator", [.stableDiffusion])
        list.add(
            GeneratorFamily(name: "Toy", pipelines: ["ToyPipeline"], schedulers: []) { folder, options, _ in
                try Toy(folder, options)
            })
        let folder = try TemporaryFolder()
        try folder.write(#"{"_class_name": "ToyPipeline"}"#, to: "model_index.json")
        let family = try list.family(of: ModelFolder(folder.path))
        let toy = try family.open(DiffusersFolder(folder.path), GeneratorOptions(), FileHashes(memory: nil))
        #expect(toy.description.steps == 4 && toy.description.fingerprint.files.map(\.name) == ["model_index.json"])
    }

    @Test func guidanceNeedsSomethingToGuideAwayFrom() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        let noise = try model.noise(seeds: [1], StableDiffusion2.Settings())
        let states = try model.encode(["a cube"])
        #expect(throws: DiffusionError.missingNegative(guidance: 1.5)) {
            try model.denoise(noise, prompts: states, negative: nil, steps: 1, guidance: 1.5)
        }
        // Without guidance nothing is missed, and what is given is not read.
        let alone = try model.denoise(noise, prompts: states, negative: nil, steps: 1, guidance: 1)
        let other = try model.denoise(noise, prompts: states, negative: states, steps: 1, guidance: 1)
        // Not to the bit: another test may change the number of threads meanwhile.
        #expect(largestDifference(alone, other) < 1e-5)
    }
}
