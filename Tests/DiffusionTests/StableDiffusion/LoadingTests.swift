import Foundation
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Diffusion

/// What `Fixtures/make_loading_fixtures.py` left.
enum LoadingFixtures {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let edits: [JSONMember]
        let scheduler: SchedulerKind?
        let steps: Int
        let guidance: Double
        let corrected: [String]
        var testDescription: String { name }
    }

    private static let file = try! JSONFile(StableDiffusionFixtures.path("loading.json"))

    static let prompt = try! file.string("prompt")!

    static let cases: [Case] = file.value["cases"]!.array!.map { entry in
        Case(
            name: entry["name"]!.string!, edits: entry["edits"]!.members!,
            scheduler: entry["scheduler"]!.string.flatMap(SchedulerKind.init(rawValue:)),
            steps: entry["steps"]!.integer!, guidance: entry["guidance"]!.double!,
            corrected: entry["corrected"]!.array!.map { $0.string! })
    }

    static func pictures() throws -> Weights { try Weights(path: StableDiffusionFixtures.path("loading.safetensors")) }
}

/// A copy of `sd-tiny`, to be changed.
struct ModelCopy {
    let folder: TemporaryFolder
    var path: String { folder("model") }

    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.copyItem(atPath: StableDiffusionFixtures.path("sd-tiny"), toPath: path)
    }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Sets keys of a JSON file; `null` removes one, and an empty key all that were there.
    func edit(_ name: String, _ changes: [JSONMember]) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: file(name)))
        var values = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        if changes.contains(where: { $0.key.isEmpty }) { values = [:] }
        for change in changes where !change.key.isEmpty { values[change.key] = Self.object(change.value) }
        try JSONSerialization.data(withJSONObject: values).write(to: URL(fileURLWithPath: file(name)))
    }

    func edit(_ name: String, _ key: String, _ value: JSONValue) throws {
        try edit(name, [JSONMember(key: key, value: value)])
    }

    private static func object(_ value: JSONValue) -> Any? {
        switch value {
        case .null: nil
        case .bool(let value): value
        case .number(let text): Int(text).map { $0 as Any } ?? Double(text)
        case .string(let text): text
        case .array(let values): values.map { object($0) ?? NSNull() }
        case .object: nil
        }
    }

    func move(_ name: String, to target: String) throws {
        try FileManager.default.moveItem(atPath: file(name), toPath: file(target))
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: file(name)) }

    func copy(_ name: String, to target: String) throws {
        try FileManager.default.copyItem(atPath: file(name), toPath: file(target))
    }

    /// Writes a file's tensors as two shards and their index in place of it.
    func shard(_ name: String, _ shardNames: (String, String), index: String) throws {
        let tensors = try Weights(path: file(name)).entries.sorted { $0.key < $1.key }
            .map { (key: $0.key, tensor: $0.value.tensor().clone()) }
        try remove(name)
        let folder = (name as NSString).deletingLastPathComponent
        let half = tensors.count / 2
        var map: [String: String] = [:]
        for (part, shard) in [(tensors[..<half], shardNames.0), (tensors[half...], shardNames.1)] {
            try Weights.save(Array(part), to: file("\(folder)/\(shard)"))
            for tensor in part { map[tensor.key] = shard }
        }
        try JSONSerialization.data(withJSONObject: ["metadata": ["total_size": 1], "weight_map": map])
            .write(to: URL(fileURLWithPath: file("\(folder)/\(index)")))
    }
}

@Suite struct LoadingTests {
    /// Old files, kindred classes' files, other methods than the file's: pictures and corrections are diffusers'.
    @Test(arguments: LoadingFixtures.cases)
    func picturesAndCorrectionsEqualTheReference(_ reference: LoadingFixtures.Case) throws {
        let model = try ModelCopy()
        for file in reference.edits { try model.edit(file.key, file.value.members ?? []) }
        var options = GeneratorOptions()
        options.scheduler = reference.scheduler?.rawValue
        options.steps = reference.steps
        options.guidance = reference.guidance
        let generator = try GeneratorFolder.open(model.path, options: options)
        let keys = ["clip_sample", "steps_offset", "sample_size"]
        let corrected = keys.filter { key in generator.notes.contains { $0.contains("'\(key)' counts as") } }
        #expect(corrected == reference.corrected, "\(generator.notes)")

        let expected = try LoadingFixtures.pictures().tensor(reference.name)  // [H, W, 3]
        let request = ImageRequest(prompt: LoadingFixtures.prompt, seed: 7)
        guard case .image(let image) = try generator.images(for: [request], wide: false)[0] else {
            Issue.record("no image")
            return
        }
        #expect(expected.shape == [image.height, image.width, 3])
        #expect(generator.description.imageSize == image.size)
        let pixels: [UInt8] = expected.array()
        let distance = zip(image.pixels, pixels).map { abs(Int($0) - Int($1)) }.max() ?? 255
        #expect(distance <= 1)
    }

    @Test func notesNameFileKeyAndBothValues() throws {
        let model = try ModelCopy()
        try model.edit("scheduler/scheduler_config.json", "clip_sample", .bool(true))
        try model.edit("scheduler/scheduler_config.json", "steps_offset", .number("0"))
        try model.edit("unet/config.json", "_diffusers_version", .string("0.8.1"))
        try model.edit("model_index.json", "safety_checker", .array([.string("stable_diffusion"), .string("Checker")]))
        let notes = try StableDiffusionConfiguration(DiffusersFolder(model.path)).notes
        #expect(
            notes == [
                "scheduler/scheduler_config.json: 'steps_offset' counts as 1 in place of 0, as diffusers corrects it on loading",
                "scheduler/scheduler_config.json: 'clip_sample' counts as false in place of true, as diffusers corrects it on "
                    + "loading",
                "unet/config.json: 'sample_size' counts as 64 in place of 8, as diffusers corrects it on loading (the file is "
                    + "of diffusers 0.8.1)",
                "the model's safety_checker (Checker) is not run",
            ])
    }

    private static let refused: [(file: String, key: String, value: JSONValue, text: String)] = [
        ("unet/config.json", "_diffusers_version", .string("new"), "expected a version such as \"0.9.0\""),
        ("unet/config.json", "norm_eps", .number("0"), "'norm_eps' is 0, expected a number above 0"),
        ("unet/config.json", "quantum", .bool(true), "'quantum' is true: a setting that is not known here"),
        ("unet/config.json", "only_cross_attention", .bool(true), "expected false, the one value that is supported"),
        ("unet/config.json", "quantization_config", .string("int8"), "'quantization_config' is \"int8\": a setting"),
        ("vae/config.json", "shift_factor", .number("0.1"), "expected null, the one value that is supported"),
        ("vae/config.json", "quantum", .number("1"), "'quantum' is 1: a setting that is not known here"),
        ("text_encoder/config.json", "use_attention_mask", .bool(true), "'use_attention_mask' is true, expected false"),
        ("text_encoder/config.json", "quantum", .number("1"), "'quantum' is 1: a setting that is not known here"),
        (
            "text_encoder/config.json", "model_type", .string("t5"),
            "'model_type' is \"t5\", expected \"clip_text_model\""
        ),
        (
            "scheduler/scheduler_config.json", "thresholding", .bool(true),
            "'thresholding' is true, which is not supported"
        ),
        ("model_index.json", "unet", .array([.string("diffusers"), .string("Flux")]), "'unet' is \"Flux\", expected"),
        ("model_index.json", "vae", .null, "'vae' is absent, expected \"AutoencoderKL\""),
        (
            "model_index.json", "scheduler",
            .array([.string("diffusers"), .string("FlowMatchEulerDiscreteScheduler")]),
            "'_class_name' is \"FlowMatchEulerDiscreteScheduler\", which is not supported; supported: DDIMScheduler"
        ),
        (
            "model_index.json", "scheduler", .array([.string("diffusers"), .string("LMSDiscreteScheduler")]),
            "or any of ddim, pndm, euler, dpm++ in its place"
        ),
    ]

    @Test(arguments: refused.indices)
    func whatChangesTheComputationIsRefusedByName(index: Int) throws {
        let (file, key, value, text) = Self.refused[index]
        let model = try ModelCopy()
        try model.edit(file, key, value)
        let got = message { _ = try GeneratorFolder.open(model.path) }
        #expect(got.contains(text), "\(got)")
    }

    @Test func whatOthersWriteAndNobodyReadsIsLetPass() throws {
        let model = try ModelCopy()
        try model.edit(
            "text_encoder/config.json",
            [
                JSONMember(key: "attention_dropout", value: .number("0.1")),
                JSONMember(key: "torch_dtype", value: .string("float16")),
                JSONMember(key: "pruned_heads", value: .null), JSONMember(key: "_note", value: .string("x")),
            ])
        try model.edit("unet/config.json", "_name_or_path", .string("somewhere"))
        _ = try GeneratorFolder.open(model.path)
    }
}
