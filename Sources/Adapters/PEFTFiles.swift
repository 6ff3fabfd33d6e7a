import Files
import ModelFolders
import TorchNN

// PEFT's layout on disk (huggingface/peft, docs/source/developer_guides/checkpoint.md):
//
//   adapter_config.json         r, lora_alpha, target_modules, …
//   adapter_model.safetensors   base_model.model.<path>.lora_A.weight  [r, in]
//                               base_model.model.<path>.lora_B.weight  [out, r]
//
// <path> is the layer's path below the model that was adapted; `base_model.model` are PEFT's two wrappers around it. As
// the settings ask for them, there are also: <path>.lora_magnitude_vector (DoRA), <path>.lora_B.bias (lora_bias),
// <path>.base_layer.bias of updated layers and <path>.bias of others (bias), whole modules under their own names
// (modules_to_save), lora_embedding_A [r, V] and lora_embedding_B [D, r] for embeddings.

/// The two files of an adapter folder.
public enum PEFTFiles {
    public static let configuration = "adapter_config.json"
    /// The file that is written, and read if there is one.
    public static let weights = "adapter_model.safetensors"
    /// Written by `torch.save`; read if there is no safetensors file, as in PEFT.
    static let pickledWeights = "adapter_model.bin"
    static let prefix = "base_model.model."

    /// The key of a module's tensor in the weights file.
    static func key(_ module: String, _ tensor: String) -> String { "\(prefix)\(module).\(tensor)" }

    /// Whether a folder holds an adapter, that is an `adapter_config.json`.
    public static func areIn(_ folder: String) -> Bool { FileSystem.exists("\(folder)/\(configuration)") }

    /// The identity of an adapter: a hash over both files. It names an adapter made elsewhere in caches and manifests,
    /// so a changed file is another adapter. The folder's place is not part of it.
    /// - Throws: `AdapterError.notAnAdapterFolder`, `ModelFolderError`, `FileError`.
    public static func fingerprint(of folder: String, hashes: FileHashes = FileHashes()) throws -> ModelFingerprint {
        let weights = try weightFiles(in: folder)
        return try ModelFingerprint(
            ModelFolder(folder), weights: [weights], names: [configuration], hashes: hashes)
    }

    /// - Throws: `AdapterError.notAnAdapterFolder` if one of the two files is missing.
    static func weightFiles(in folder: String) throws -> WeightFiles {
        guard areIn(folder) else { throw AdapterError.notAnAdapterFolder(path: folder, missing: configuration) }
        if FileSystem.exists("\(folder)/\(weights)") {
            return WeightFiles(file: "\(folder)/\(weights)", format: .safetensors)
        }
        guard FileSystem.exists("\(folder)/\(pickledWeights)") else {
            throw AdapterError.notAnAdapterFolder(path: folder, missing: weights)
        }
        return WeightFiles(file: "\(folder)/\(pickledWeights)", format: .pickle)
    }
}
