import Files

/// The identity of a model: a hash over every file that decides what it computes.
///
/// It names a model in feature caches, run manifests, resume checks, sidecars and synthesis settings. It covers all
/// shards of the weights, the configuration, the tokenizer and the preprocessing: a fine-tuned model with the same
/// index, or the same weights under another `config.json`, is another model. It does not cover where the folder is or
/// what else it holds.
public struct ModelFingerprint: Sendable, Hashable, Codable {
    /// A file with its hash.
    public struct File: Sendable, Hashable, Codable {
        /// The name of the file in the folder.
        public let name: String
        public let sha256: String
    }

    /// Sorted by the bytes of their names.
    public let files: [File]

    /// SHA-256 over the lines `hash  name`.
    public var sha256: String { ContentHash.sha256(of: files.map { "\($0.sha256)  \($0.name)\n" }.joined()) }

    /// - Parameters:
    ///   - names: files in the folder, which may repeat; missing ones are left out.
    ///   - weights: all of their files must be there.
    ///   - hashes: the caller's memory of hashes.
    /// - Throws: `FileError`.
    public init(_ folder: ModelFolder, weights: [WeightFiles], names: [String], hashes: FileHashes) throws {
        let own = folder.path + "/"
        // Weights may lie in the folders of parts.
        let weightNames = weights.flatMap { files in
            files.names.map { name in
                let path = "\(FileSystem.folder(of: files.path))/\(name)"
                return path.hasPrefix(own) ? String(path.dropFirst(own.utf8.count)) : path
            }
        }
        let wanted = Set((weightNames + names.filter(folder.has)).map { ExactString($0) })
        files = try wanted.sorted().map { name in
            let path = FileSystem.isAbsolute(name.string) ? name.string : folder.file(name.string)
            return File(name: name.string, sha256: try hashes.sha256(of: path))
        }
    }

    /// The fingerprint of one file, such as a `.pt` of a model's authors.
    public init(file path: String, hashes: FileHashes) throws {
        files = [File(name: FileSystem.name(of: path), sha256: try hashes.sha256(of: path))]
    }

    /// Files of a folder that decide which token ids a text gets.
    public static let tokenizerFiles = [
        "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model",
        "spiece.model", "added_tokens.json", "special_tokens_map.json",
    ]
    /// Files that decide what a model computes, and how images reach it.
    public static let configurationFiles = ["config.json", "open_clip_config.json"]
    public static let preprocessingFiles = ["preprocessor_config.json", "processor_config.json"]
}
