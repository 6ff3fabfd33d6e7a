import Files
import Foundation
import Safetensors
import Torch
import TorchNN

/// Finds a GPT-2's weights and brings the published key layouts to one.
///
/// | layout | recognised by | what changes |
/// |---|---|---|
/// | `GPT2LMHeadModel` | `transformer.wte.weight` | nothing |
/// | `GPT2Model` (OpenAI's published folders) | `wte.weight` | keys get the prefix `transformer.` |
///
/// Left unused by name: `attn.bias` and `attn.masked_bias` of every layer (the causal mask, which follows from the context
/// length), and `lm_head.weight` of a model whose configuration ties its head (a copy of the token embedding).
enum GPT2Checkpoint {
    static func path(folder: String) throws(LanguageModelError) -> String {
        for name in ["model.safetensors", "model.safetensors.index.json"] {
            if FileManager.default.fileExists(atPath: "\(folder)/\(name)") { return "\(folder)/\(name)" }
        }
        let legacy = FileManager.default.fileExists(atPath: "\(folder)/pytorch_model.bin")
        throw .notAModelFolder(
            path: folder,
            expected: "model.safetensors or model.safetensors.index.json"
                + (legacy ? " (it has pytorch_model.bin, which transformers' save_pretrained turns into one)" : ""))
    }

    static func weights(folder: String, configuration: GPT2Configuration) throws -> Weights {
        var weights = try Weights(path: path(folder: folder))
        try convert(&weights, configuration: configuration)
        return weights
    }

    static func convert(_ weights: inout Weights, configuration: GPT2Configuration) throws(LanguageModelError) {
        if weights["transformer.wte.weight"] == nil {
            guard weights["wte.weight"] != nil else {
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
        let embedding = weights["transformer.wte.weight"]
        if configuration.tiesHead, weights["lm_head.weight"]?.shape == embedding?.shape {
            weights.entries["lm_head.weight"] = nil
        }
    }
}

extension GPT2LanguageModel {
    /// Loads a Hugging Face folder: `config.json` with `model.safetensors` or its index and shards.
    /// - Parameters:
    ///   - dtype: of the weights in memory; nil keeps the file's.
    ///   - memory: `.mapped` to read the file's pages in place (inference), `.owned` to train.
    /// - Throws: `LanguageModelError`, `SafetensorsError`, `StateMismatch` (missing, unused and misshapen keys at once).
    public convenience init(
        folder: String, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws {
        let configuration = try GPT2Configuration(folder: folder)
        try TorchRuntime.load()
        self.init(configuration)
        try load(
            GPT2Checkpoint.weights(folder: folder, configuration: configuration), dtype: dtype, device: device,
            memory: memory)
        setRequiresGrad(false)
    }

    /// Fills the weights from `weights`, in any of the published layouts.
    /// - Throws: `LanguageModelError`, `StateMismatch`; the model is then unchanged.
    public func loadGPT2(
        _ weights: Weights, dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped
    ) throws {
        var weights = weights
        try GPT2Checkpoint.convert(&weights, configuration: configuration)
        try load(weights, dtype: dtype, device: device, memory: memory)
    }

    /// Writes `config.json` and `model.safetensors` as transformers writes them: `GPT2LMHeadModel.from_pretrained` reads
    /// the folder, a tied head is stored once.
    public func saveFolder(_ folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try save(to: "\(folder)/model.safetensors", metadata: ["format": "pt"])
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(folder)/config.json")
    }
}
