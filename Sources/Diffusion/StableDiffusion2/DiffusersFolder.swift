import Encoders
import Files
import Foundation
import Safetensors
import StrictJSON
import TorchNN

/// The files of a Stable Diffusion folder in diffusers' layout: `model_index.json` and one folder for each part.
public struct DiffusersFolder: Sendable, Hashable {
    /// A part that has weights.
    public enum Part: String, Sendable, CaseIterable {
        case textEncoder = "text_encoder"
        case unet
        case autoencoder = "vae"

        /// Of the weight files, without variant and extension.
        var fileStem: String { self == .textEncoder ? "model" : "diffusion_pytorch_model" }

        var className: String {
            switch self {
            case .textEncoder: "CLIPTextModel"
            case .unet: "UNet2DConditionModel"
            case .autoencoder: "AutoencoderKL"
            }
        }
    }

    public let path: String
    /// Parts that the model names and this implementation does not run (a safety checker).
    public let ignoredParts: [String]
    private let variant: String?

    /// - Parameter variant: of the weight files, as `fp16` in `diffusion_pytorch_model.fp16.safetensors`; nil takes the
    ///   files without one, or the only variant there is.
    /// - Throws: `DiffusionError` when the folder holds another kind of model.
    public init(_ path: String, variant: String? = nil) throws {
        self.path = path
        self.variant = variant
        let index = "\(path)/model_index.json"
        guard FileManager.default.fileExists(atPath: index) else {
            throw DiffusionError.missing(path: path, expected: "model_index.json")
        }
        guard let data = FileManager.default.contents(atPath: index) else {
            throw DiffusionError.unreadable(file: index, reason: "cannot be read")
        }
        let root: JSONValue
        do {
            root = try StrictJSON.parse([UInt8](data))
        } catch {
            throw DiffusionError.unreadable(file: index, reason: "is no JSON: \(error)")
        }
        let kind = root["_class_name"]?.string
        guard kind == "StableDiffusionPipeline" else {
            throw DiffusionError.invalidValue(
                file: index, key: "_class_name", expected: "\"StableDiffusionPipeline\"",
                got: kind.map { "\"\($0)\"" } ?? "absent")
        }
        for (part, wanted) in Part.allCases.map({ ($0.rawValue, $0.className) }) + [("tokenizer", "CLIPTokenizer")] {
            let got = root[part]?.array?.last?.string
            let accepted = part == "tokenizer" ? [wanted, wanted + "Fast"] : [wanted]
            guard let got, accepted.contains(got) else {
                throw DiffusionError.invalidValue(
                    file: index, key: part, expected: "\"\(wanted)\"", got: got.map { "\"\($0)\"" } ?? "absent")
            }
        }
        ignoredParts = (root.members ?? []).compactMap { member in
            let known = Part.allCases.map(\.rawValue) + ["tokenizer", "scheduler"]
            guard let name = member.value.array?.last?.string, !known.contains(member.key) else { return nil }
            return "\(member.key) (\(name))"
        }
    }

    public var schedulerFolder: String { "\(path)/scheduler" }
    public var tokenizerFolder: String { "\(path)/tokenizer" }

    public func configurationFile(of part: Part) -> String { "\(path)/\(part.rawValue)/config.json" }

    /// The weight file, or the index of its shards.
    /// - Throws: `DiffusionError` when there is none, or several variants to choose from.
    public func weightFile(of part: Part) throws -> String {
        let folder = "\(path)/\(part.rawValue)"
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw DiffusionError.missing(path: path, expected: "the folder \(part.rawValue)")
        }
        let stem = part.fileStem
        func candidates(_ variant: String?) -> [String] {
            let base = stem + (variant.map { ".\($0)" } ?? "")
            return ["\(base).safetensors", "\(base).safetensors.index.json"].filter(names.contains)
        }
        if let found = candidates(variant).first { return "\(folder)/\(found)" }
        let variants = names.compactMap { name -> String? in
            guard name.hasPrefix("\(stem)."), name.hasSuffix(".safetensors") else { return nil }
            let middle = name.dropFirst(stem.count + 1).dropLast(".safetensors".count)
            return middle.isEmpty || middle.contains("-of-") ? nil : String(middle)
        }
        if variant == nil, variants.count == 1 { return "\(folder)/\(stem).\(variants[0]).safetensors" }
        let wanted = "\(part.rawValue)/\(stem)\(variant.map { ".\($0)" } ?? "").safetensors"
        let choice = variants.isEmpty ? "" : " (variants there: \(variants.joined(separator: ", ")))"
        let pickled = names.contains { $0.hasSuffix(".bin") } ? " (convert the .bin files first)" : ""
        throw DiffusionError.missing(path: path, expected: wanted + choice + pickled)
    }

    /// The weights of a part under the keys of our modules.
    public func weights(of part: Part) throws -> Weights {
        var weights = try Weights(path: weightFile(of: part))
        switch part {
        case .unet: break
        case .textEncoder:
            // transformers 5 writes the tower's keys alone, every version before it below `text_model.`.
            if !weights.entries.keys.contains(where: { $0.hasPrefix("text_model.") }) {
                weights.renameKeys { "text_model.\($0)" }
            }
        case .autoencoder: weights.renameKeys(Self.presentAutoencoderKey)
        }
        return weights
    }

    /// Autoencoders saved before diffusers 0.13 name the layers of their attention otherwise; nil keeps a key.
    static func presentAutoencoderKey(_ key: String) -> String? {
        guard key.contains(".attentions.") else { return nil }
        for (old, new) in [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")] {
            for kind in ["weight", "bias"] where key.hasSuffix(".\(old).\(kind)") {
                return key.dropLast("\(old).\(kind)".count) + "\(new).\(kind)"
            }
        }
        return nil
    }
}

extension DiffusersFolder {
    /// Writes `model_index.json` into `folder`, beside parts that `save(folder:)` wrote. Write it last: it makes the folder
    /// a model.
    public static func writeIndex(to folder: String, scheduler: SchedulerKind) throws {
        let text = """
            {
              "_class_name": "StableDiffusionPipeline",
              "feature_extractor": [null, null],
              "requires_safety_checker": false,
              "safety_checker": [null, null],
              "scheduler": ["diffusers", "\(scheduler.className)"],
              "text_encoder": ["transformers", "CLIPTextModel"],
              "tokenizer": ["transformers", "CLIPTokenizer"],
              "unet": ["diffusers", "UNet2DConditionModel"],
              "vae": ["diffusers", "AutoencoderKL"]
            }

            """
        try AtomicFile.write(text, to: "\(folder)/model_index.json")
    }

    fileprivate static func write(_ module: Module, _ configuration: String, stem: String, to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try module.save(to: "\(folder)/\(stem).safetensors", metadata: ["format": "pt"])
        try AtomicFile.write(configuration, to: "\(folder)/config.json")
    }
}

extension UNet2DConditionModel {
    /// Loads a diffusers folder of a UNet alone: `config.json` and `diffusion_pytorch_model.safetensors`.
    public convenience init(folder: String, memory: WeightMemory = .owned) throws {
        self.init(try UNetConfiguration(file: "\(folder)/config.json"))
        try load(Weights(path: "\(folder)/diffusion_pytorch_model.safetensors"), memory: memory)
        setRequiresGrad(false)
    }

    /// Writes `config.json` and `diffusion_pytorch_model.safetensors`, which diffusers' `from_pretrained` reads.
    public func save(folder: String) throws {
        try DiffusersFolder.write(
            self, configuration.diffusersJSON, stem: DiffusersFolder.Part.unet.fileStem, to: folder)
    }
}

extension AutoencoderKL {
    /// Loads a diffusers folder of an autoencoder alone: `config.json` and `diffusion_pytorch_model.safetensors`.
    public convenience init(folder: String, memory: WeightMemory = .owned) throws {
        self.init(try AutoencoderConfiguration(file: "\(folder)/config.json"))
        var weights = try Weights(path: "\(folder)/diffusion_pytorch_model.safetensors")
        weights.renameKeys(DiffusersFolder.presentAutoencoderKey)
        try load(weights, memory: memory)
        setRequiresGrad(false)
    }

    /// Writes `config.json` and `diffusion_pytorch_model.safetensors`, which diffusers' `from_pretrained` reads.
    public func save(folder: String) throws {
        try DiffusersFolder.write(
            self, configuration.diffusersJSON, stem: DiffusersFolder.Part.autoencoder.fileStem, to: folder)
    }
}

extension DiffusionTextEncoder {
    /// Writes `config.json` and `model.safetensors`, which transformers' `CLIPTextModel.from_pretrained` reads.
    public func save(folder: String) throws {
        try DiffusersFolder.write(
            self, configuration.textEncoderJSON, stem: DiffusersFolder.Part.textEncoder.fileStem, to: folder)
    }
}
