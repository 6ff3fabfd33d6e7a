import Files
import ModelFolders
import Safetensors
import StrictJSON
import Torch
import TorchNN

/// Converts the published key layouts of a GPT-2 to one, and decides where its output layer comes from.
///
/// | layout | recognised by | what changes |
/// |---|---|---|
/// | `GPT2LMHeadModel` | `transformer.wpe.weight` | nothing |
/// | `GPT2Model` (OpenAI's published folders) | `wpe.weight` | keys get the prefix `transformer.` |
///
/// | `lm_head.weight` of a configuration that ties it | what happens |
/// |---|---|
/// | not there | the output layer is the token embedding |
/// | equal to the token embedding | the same: it is a copy |
/// | another than the token embedding | it is kept, and the two are not tied |
/// | without a token embedding (safetensors' `save_model`) | it is the token embedding too |
///
/// These are transformers' rules. Ignored by name are `attn.bias` and `attn.masked_bias` of every layer (the causal
/// mask, which follows from the context length).
enum GPT2Checkpoint {
    private static let head = "lm_head.weight"
    private static let embedding = "transformer.wte.weight"

    /// - Returns: the weights in our keys, with `lm_head.weight` if the output layer is a separate one.
    /// - Throws: `ModelFolderError.unknownLayout`.
    static func converted(
        _ weights: Weights, configuration: GPT2Configuration
    ) throws(ModelFolderError) -> Weights {
        var weights = weights
        if weights["transformer.wpe.weight"] == nil {
            guard weights["wpe.weight"] != nil else {
                throw .unknownLayout(
                    file: weights.source,
                    expected:
                        "GPT-2's (transformer.wte.weight, transformer.wpe.weight, transformer.h.0.attn.c_attn.weight, … or the same without 'transformer.')"
                )
            }
            weights.renameKeys { $0.hasPrefix("lm_head.") ? nil : "transformer.\($0)" }
        }
        for layer in 0..<configuration.layerCount {
            for name in ["attn.bias", "attn.masked_bias"] { weights.entries["transformer.h.\(layer).\(name)"] = nil }
        }
        if configuration.tiesHead, let own = weights[head] {
            if let table = weights[embedding] {
                if isCopy(own, table) { weights.entries[head] = nil }
            } else {
                weights.entries[embedding] = own
                weights.entries[head] = nil
            }
        }
        return weights
    }

    private static func isCopy(_ head: Weights.Entry, _ table: Weights.Entry) -> Bool {
        guard head.shape == table.shape, head.dtype.isFloatingPoint, table.dtype.isFloatingPoint else { return false }
        return (head.tensor().to(.float32) .== table.tensor().to(.float32)).all()
    }
}

extension GPT2LanguageModel {
    /// Loads a Hugging Face folder: `config.json` with its weights, in one file or in shards, safetensors or
    /// `pytorch_model.bin`. ``LanguageModelFolder`` does the same for every family.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `ModelFolderError`, `JSONFileError`, `SafetensorsError`, `StateMismatch` (missing, unused and misshapen keys
    ///   at once).
    public convenience init(
        folder path: String, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws {
        let folder = try ModelFolder(path)
        let configuration = try GPT2Configuration(folder)
        let files = try folder.weights()
        try TorchRuntime.load()
        self.init(configuration)
        try loadCheckpoint(Weights(files), dtype: dtype, device: device, memory: memory)
        setRequiresGrad(false)
    }

    public func loadCheckpoint(
        _ weights: Weights, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws {
        let weights = try GPT2Checkpoint.converted(weights, configuration: configuration)
        let before = head
        let hasHead = weights["lm_head.weight"] != nil || !configuration.tiesHead
        head = hasHead ? before ?? .empty([configuration.vocabularySize, configuration.hiddenSize]) : nil
        do {
            try load(weights, dtype: dtype, device: device, memory: memory)
        } catch {
            head = before
            throw error
        }
    }

    /// Writes `config.json` and `model.safetensors` in transformers' format, which `GPT2LMHeadModel.from_pretrained`
    /// reads; a tied head is stored once.
    /// - Throws: `FileError`, `SafetensorsError`.
    public func saveFolder(_ folder: String) throws {
        try FileSystem.createFolder(folder)
        try save(to: "\(folder)/model.safetensors", metadata: ["format": "pt"])
        var configuration = configuration
        configuration.tiesHead = head == nil
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(folder)/config.json")
    }
}

extension LanguageModelFamily {
    static let gpt2 = LanguageModelFamily(
        name: "GPT-2",
        recognises: { folder in
            guard let file = try folder.json("config.json") else { return false }
            // The first published files have no model_type.
            return try file.string("model_type").map { $0 == "gpt2" } ?? file.has("n_embd")
        }, configuration: { try GPT2Configuration($0) })
}
