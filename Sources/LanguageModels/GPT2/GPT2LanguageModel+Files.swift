import Files
import ModelFolders
import Torch
import TorchNN

/// Brings the published key layouts of GPT-2 to one.
///
/// | layout | recognised by | what changes |
/// |---|---|---|
/// | `GPT2LMHeadModel` | keys below `transformer.` | nothing |
/// | `GPT2Model` (OpenAI's published folders) | keys below `h.` | keys get the prefix `transformer.` |
///
/// Left unused by name: `attn.bias` and `attn.masked_bias` of every layer (the causal mask, which follows from the context
/// length).
///
/// A model whose configuration ties its head has it in `transformer.wte.weight`, or in `lm_head.weight` alone (safetensors'
/// `save_model` keeps one name of a shared tensor). Where both are there and differ, the head is its own, whatever the
/// configuration says: so does transformers since 5.0.
enum GPT2Checkpoint {
    static let (embedding, head) = ("transformer.wte.weight", "lm_head.weight")

    /// - Returns: whether the head is tied; `lm_head.weight` is gone then.
    static func convert(_ weights: inout Weights, _ configuration: GPT2Configuration) throws(ModelFolderError) -> Bool {
        let names = weights.entries.keys
        if !names.contains(where: { $0.hasPrefix("transformer.") }) {
            guard names.contains(where: { $0.hasPrefix("h.") }) else {
                throw .unknownLayout(
                    file: weights.source,
                    expected:
                        "GPT-2's (transformer.wte.weight, transformer.h.0.attn.c_attn.weight, … or the same without 'transformer.')"
                )
            }
            weights.renameKeys { $0.hasPrefix("lm_head.") ? nil : "transformer.\($0)" }
        }
        for layer in 0..<configuration.layerCount {
            for name in ["attn.bias", "attn.masked_bias"] { weights.entries["transformer.h.\(layer).\(name)"] = nil }
        }
        guard configuration.tiesHead else { return false }
        guard let own = weights[head] else { return true }
        if let table = weights[embedding] {
            // A head of another shape is left, for the strict comparison to name.
            guard own.shape == table.shape, maximumDifference(own, table) == 0 else {
                return false
            }
        } else {
            weights.entries[embedding] = own
        }
        weights.entries[head] = nil
        return true
    }

    /// NaN, which differs from everything, when either has one.
    private static func maximumDifference(_ a: Weights.Entry, _ b: Weights.Entry) -> Double {
        inferenceMode { (a.tensor().to(.float32) - b.tensor().to(.float32)).abs().max().item() }
    }
}

extension GPT2LanguageModel {
    /// Loads a Hugging Face folder: `config.json` with its weights, in safetensors or as a pickle, whole or in shards.
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
        try TorchRuntime.load()
        try self.init(
            configuration, Weights(folder.weights()), WeightLoading(dtype: dtype, device: device, memory: memory))
    }

    fileprivate convenience init(
        _ configuration: GPT2Configuration, _ weights: Weights, _ loading: WeightLoading
    ) throws {
        var (configuration, weights) = (configuration, weights)
        configuration.tiesHead = try GPT2Checkpoint.convert(&weights, configuration)
        self.init(configuration)
        try load(weights, dtype: loading.dtype, device: loading.device, memory: loading.memory)
        setRequiresGrad(false)
    }

    /// Fills the weights from `weights`, in any of the published layouts.
    /// - Throws: `ModelFolderError`, `StateMismatch` (also for a head of its own in a model without one); the model is then
    ///   unchanged.
    public func loadGPT2(
        _ weights: Weights, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws {
        var weights = weights
        _ = try GPT2Checkpoint.convert(&weights, configuration)
        try load(weights, dtype: dtype, device: device, memory: memory)
    }

    /// Writes `config.json` and `model.safetensors` as transformers writes them: `GPT2LMHeadModel.from_pretrained` reads
    /// the folder, a tied head is stored once.
    public func saveFolder(_ folder: String) throws {
        try FileSystem.createFolder(folder)
        try save(to: "\(folder)/model.safetensors", metadata: ["format": "pt"])
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(folder)/config.json")
    }
}

extension LanguageModelFamily {
    /// GPT-2 of every size.
    public static let gpt2 = LanguageModelFamily(
        name: "GPT-2",
        recognises: { folder in
            guard let file = try folder.json("config.json") else { return false }
            // Files from before transformers 2.4 name no type.
            return try file.string("model_type").map { $0 == "gpt2" } ?? file.has("n_embd")
        },
        describe: { folder in
            let configuration = try GPT2Configuration(folder)
            return LanguageModelDescription(
                vocabularySize: configuration.vocabularySize, contextLength: configuration.contextLength,
                embeddingSize: configuration.hiddenSize)
        },
        weights: { folder, variant in try folder.weights(variant: variant) },
        open: { folder, weights, loading in try GPT2LanguageModel(GPT2Configuration(folder), weights, loading) })
}
