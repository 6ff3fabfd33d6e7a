import Files
import ModelFolders
import TorchNN

// Parts of a Stable Diffusion folder, read and written.

/// A part that has weights.
enum StableDiffusionPart: String, CaseIterable {
    case textEncoder = "text_encoder"
    case unet
    case autoencoder = "vae"

    var className: String {
        switch self {
        case .textEncoder: "CLIPTextModel"
        case .unet: "UNet2DConditionModel"
        case .autoencoder: "AutoencoderKL"
        }
    }
}

extension DiffusersFolder {
    /// The weights of a part under the keys of our modules.
    func weights(of part: StableDiffusionPart) throws -> Weights {
        var weights = try Weights(self.weights(of: part.rawValue))
        switch part {
        case .unet: break
        case .textEncoder:
            // transformers 5 writes only the tower's keys; every version before it writes them below `text_model.`.
            if !weights.entries.keys.contains(where: { $0.hasPrefix("text_model.") }) {
                weights.renameKeys { "text_model.\($0)" }
            }
        case .autoencoder: weights.renameKeys(Self.presentAutoencoderKey)
        }
        return weights
    }

    /// Autoencoders saved before diffusers 0.13 use other names for the layers of their attention; nil keeps a key.
    static func presentAutoencoderKey(_ key: String) -> String? {
        guard key.contains(".attentions.") else { return nil }
        for (old, new) in [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")] {
            for kind in ["weight", "bias"] where key.hasSuffix(".\(old).\(kind)") {
                return key.dropLast("\(old).\(kind)".count) + "\(new).\(kind)"
            }
        }
        return nil
    }

    /// Writes `model_index.json` of a Stable Diffusion into `folder`, beside parts written by `save(folder:)`. It is
    /// written last, because it makes the folder a model.
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
        try AtomicFile.write(text, to: "\(folder)/\(indexName)")
    }

    fileprivate static func write(_ module: Module, _ configuration: String, stem: String, to folder: String) throws {
        try FileSystem.createFolder(folder)
        try module.save(to: "\(folder)/\(stem).safetensors", metadata: ["format": "pt"])
        try AtomicFile.write(configuration, to: "\(folder)/config.json")
    }

    /// The weights of a diffusers folder that holds only one module.
    fileprivate static func weights(folder: String) throws -> Weights {
        try Weights(ModelFolder(folder).weights(stems: [weightStem], pickleStems: [weightStem]))
    }
}

extension UNet2DConditionModel {
    /// Loads a diffusers folder that holds only a UNet: `config.json` and weights.
    public convenience init(folder: String, memory: WeightMemory = .owned) throws {
        self.init(try UNetConfiguration(file: "\(folder)/config.json"))
        try load(DiffusersFolder.weights(folder: folder), memory: memory)
        setRequiresGrad(false)
    }

    /// Writes `config.json` and `diffusion_pytorch_model.safetensors`, which diffusers' `from_pretrained` reads.
    public func save(folder: String) throws {
        try DiffusersFolder.write(
            self, configuration.diffusersJSON, stem: DiffusersFolder.weightStem, to: folder)
    }
}

extension AutoencoderKL {
    /// Loads a diffusers folder that holds only an autoencoder: `config.json` and weights.
    public convenience init(folder: String, memory: WeightMemory = .owned) throws {
        self.init(try AutoencoderConfiguration(file: "\(folder)/config.json"))
        var weights = try DiffusersFolder.weights(folder: folder)
        weights.renameKeys(DiffusersFolder.presentAutoencoderKey)
        try load(weights, memory: memory)
        setRequiresGrad(false)
    }

    /// Writes `config.json` and `diffusion_pytorch_model.safetensors`, which diffusers' `from_pretrained` reads.
    public func save(folder: String) throws {
        try DiffusersFolder.write(
            self, configuration.diffusersJSON, stem: DiffusersFolder.weightStem, to: folder)
    }
}

extension DiffusionTextEncoder {
    /// Writes `config.json` and `model.safetensors`, which transformers' `CLIPTextModel.from_pretrained` reads.
    public func save(folder: String) throws {
        try DiffusersFolder.write(self, configuration.textEncoderJSON, stem: "model", to: folder)
    }
}
