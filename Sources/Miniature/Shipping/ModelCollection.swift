import Files
import Foundation
import Safetensors
import Training

// The small models as they ship: model folders, the records of their training, and a manifest with hashes of both.
//
//     clip/  stable-diffusion/  gpt2/                        model folders
//     training/<model>/recipe.yaml  manifest.json  metrics.jsonl  sessions.jsonl
//     manifest.json

/// `manifest.json` of a collection of small models.
public struct ModelCollection: Codable, Sendable, Equatable {
    /// The trainings of which a collection consists.
    public enum Model: String, Codable, Sendable, CaseIterable, CodingKeyRepresentable {
        case clip, autoencoder, unet
        case languageModel = "language-model"

        /// Folder of the finished model; nil for the autoencoder, which is part of the diffusion model.
        public var folder: String? {
            switch self {
            case .clip: "clip"
            case .autoencoder: nil
            case .unet: "stable-diffusion"
            case .languageModel: "gpt2"
            }
        }
    }

    /// A file and its expected content.
    public struct File: Codable, Sendable, Equatable {
        public var bytes: Int
        public var sha256: String
    }

    /// The record of a model's training.
    public struct Training: Codable, Sendable, Equatable {
        public var recipe: String
        /// Hash of the resolved `recipe.yaml`.
        public var recipeSHA256: String
        /// Seed of the world.
        public var dataSeed: Int
        public var seed: Int
        public var steps: Int
        /// Total time of all sessions that trained it.
        public var seconds: Double
        public var machines: [String]
        /// The files that were read, by role: renders, models.
        public var sources: [String: String]
        /// The last validation.
        public var validation: [String: Double]

        enum CodingKeys: String, CodingKey {
            case recipe, seed, steps, seconds, machines, sources, validation
            case recipeSHA256 = "recipe_sha256"
            case dataSeed = "data_seed"
        }
    }

    public var version = 1
    /// Commit of this project's code, as given.
    public var commit: String
    public var trainings: [Model: Training]
    /// By path below the folder, without this manifest.
    public var files: [String: File]

    public static let name = "manifest.json"

    /// Bytes of all files.
    public var totalBytes: Int { files.values.reduce(0) { $0 + $1.bytes } }

    /// Reads the manifest of a folder.
    public init(folder: String) throws {
        let path = "\(folder)/\(Self.name)"
        let bytes = try RegularFile.bytes(path)
        do {
            self = try JSONDecoder().decode(ModelCollection.self, from: Data(bytes))
        } catch let error as DecodingError {
            throw TrainingError.badState(path: path, reason: error.shortReason)
        }
    }

    /// Copies finished runs into `folder`, which must not exist, and writes the manifest.
    /// - Parameters:
    ///   - runs: folders of `gmail miniature train`, one of each kind.
    ///   - commit: commit of the code that trained.
    /// - Throws: `MiniatureError`, `TrainingError`, errors of files.
    public init(collecting runs: [Model: String], commit: String, to folder: String) throws {
        guard !FileSystem.exists(folder) else { throw MiniatureError.folderExists(path: folder) }
        try FileSystem.createFolder(FileSystem.folder(of: folder))
        let lock = try OutputLock(for: folder, owner: "gmail miniature collect")
        defer { withExtendedLifetime(lock) {} }
        let partial = folder + ".partial"
        try FileSystem.recreateFolder(partial)
        var trainings: [Model: Training] = [:]
        for model in Model.allCases {
            guard let run = runs[model], FileSystem.isFolder("\(run)/model") else {
                throw MiniatureError.unfinishedRun(model: model.rawValue, path: runs[model] ?? "none")
            }
            let records = "\(partial)/training/\(model.rawValue)"
            try FileSystem.createFolder(records)
            for name in ["recipe.yaml", "manifest.json", "metrics.jsonl", "sessions.jsonl"] {
                try FileSystem.copy("\(run)/\(name)", to: "\(records)/\(name)")
            }
            if let target = model.folder {
                try FileSystem.copy("\(run)/model", to: "\(partial)/\(target)")
            }
            trainings[model] =
                switch model {
                case .clip: try Training(run, CLIPRecipe.self)
                case .autoencoder: try Training(run, AutoencoderRecipe.self)
                case .unet: try Training(run, UNetRecipe.self)
                case .languageModel: try Training(run, LanguageModelRecipe.self)
                }
        }
        self.commit = commit
        self.trainings = trainings
        files = try Self.files(in: partial)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try AtomicFile.write([UInt8](encoder.encode(self)) + [0x0A], to: "\(partial)/\(Self.name)")
        try FileSystem.rename(partial, to: folder)
    }

    /// Compares the files of a folder with this manifest.
    /// - Returns: one line for each file that is missing, changed or not listed; README files are allowed beside them.
    public func differences(in folder: String) throws -> [String] {
        let found = try Self.files(in: folder)
        var lines: [String] = []
        for (path, file) in files.sorted(by: { $0.key < $1.key }) {
            if let got = found[path] {
                if got != file { lines.append("\(path) has changed") }
            } else {
                lines.append("\(path) is missing")
            }
        }
        return lines + found.keys.filter { files[$0] == nil }.sorted().map { "\($0) is not listed" }
    }

    private static func files(in folder: String) throws -> [String: File] {
        var files: [String: File] = [:]
        for path in try FileSystem.files(below: folder) where path != name && !path.hasSuffix(".md") {
            let full = "\(folder)/\(path)"
            files[path] = File(bytes: FileSystem.size(full) ?? 0, sha256: try ContentHash.sha256(ofFile: full))
        }
        return files
    }
}

extension ModelCollection.Training {
    fileprivate init<R: MiniatureRecipe>(_ path: String, _ type: R.Type) throws {
        let run = try RunFolder.open(path)
        let recipe = try run.recipe(of: R.self)
        let manifest = try run.manifest()
        func lines(_ file: String) throws -> [Data] {
            try TextLines(path: file).filter { !$0.isBlank }.map { Data($0.bytes) }
        }
        let sessions = try lines("\(path)/sessions.jsonl").map {
            try JSONDecoder().decode(RecordedSession.self, from: $0)
        }
        var validation: [String: Double] = [:]
        for line in try lines(run.metricsPath) {
            let numbers = try JSONDecoder().decode([String: Double].self, from: line)
            for (key, value) in numbers where key.hasPrefix("validation/") {
                validation[String(key.dropFirst("validation/".count))] = value
            }
        }
        self.init(
            recipe: recipe.name, recipeSHA256: try ContentHash.sha256(ofFile: run.recipePath),
            dataSeed: recipe.data.seed, seed: recipe.training.seed, steps: recipe.training.steps ?? 0,
            seconds: (sessions.reduce(0) { $0 + $1.seconds } * 10).rounded() / 10,
            machines: Array(Set(sessions.map(\.machine))).sorted(),
            sources: Dictionary(
                manifest.sources.map { ($0.role, $0.sha256) }, uniquingKeysWith: { first, _ in first }),
            validation: validation)
    }
}

/// The fields that are read from a line of `sessions.jsonl`.
private struct RecordedSession: Decodable {
    let seconds: Double
    let machine: String
}
