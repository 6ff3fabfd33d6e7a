import Datasets
import Files
import Foundation
import Safetensors

/// `state.json` of a checkpoint: the state of the run, beside the tensors.
public struct TrainingState: Sendable, Equatable, Codable {
    /// The version of this file's layout; other versions are refused.
    public static let formatVersion = 1

    public var formatVersion = TrainingState.formatVersion
    /// Optimizer steps done.
    public var step: Int
    /// Where the sampler continues.
    public var sampler: SamplerPosition
    /// Pairs trained on so far.
    public var pairsSeen: Int
    /// State of every random generator by name, base64.
    public var generators: [String: String]
    /// Samples left out so far.
    public var skipped: [SkippedSample]
    /// Bytes of `metrics.jsonl` at this step.
    public var metricsBytes: Int
    /// The best validation so far, and what else validations remember.
    public var validation = ValidationProgress()
    /// The checkpoint's other files.
    public var files: [FileRecord]

    public struct FileRecord: Sendable, Equatable, Codable {
        public let name: String
        public let bytes: Int
        public let sha256: String
    }

    public init(
        step: Int, sampler: SamplerPosition, pairsSeen: Int, generators: [String: [UInt8]], skipped: [SkippedSample],
        metricsBytes: Int, files: [FileRecord] = []
    ) {
        self.step = step
        self.sampler = sampler
        self.pairsSeen = pairsSeen
        self.generators = generators.mapValues { Data($0).base64EncodedString() }
        self.skipped = skipped
        self.metricsBytes = metricsBytes
        self.files = files
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        formatVersion = try values.decode(Int.self, forKey: .formatVersion)
        step = try values.decode(Int.self, forKey: .step)
        sampler = try values.decode(SamplerPosition.self, forKey: .sampler)
        pairsSeen = try values.decode(Int.self, forKey: .pairsSeen)
        generators = try values.decode([String: String].self, forKey: .generators)
        skipped = try values.decode([SkippedSample].self, forKey: .skipped)
        metricsBytes = try values.decode(Int.self, forKey: .metricsBytes)
        // Absent in checkpoints of before runs knew a best one.
        validation = try values.decodeIfPresent(ValidationProgress.self, forKey: .validation) ?? ValidationProgress()
        files = try values.decode([FileRecord].self, forKey: .files)
    }

    /// The generator states as bytes.
    /// - Throws: ``TrainingError/badState(path:reason:)``.
    public func generatorStates(path: String) throws -> [String: [UInt8]] {
        try generators.reduce(into: [:]) { states, entry in
            guard let data = Data(base64Encoded: entry.value) else {
                throw TrainingError.badState(path: path, reason: "generator '\(entry.key)' is not base64")
            }
            states[entry.key] = Array(data)
        }
    }

    static func read(path: String) throws -> TrainingState {
        struct Version: Decodable { let formatVersion: Int }
        let data = try MappedFile(path: path).withUnsafeBytes { Data($0) }
        do {
            let version = try JSONDecoder().decode(Version.self, from: data).formatVersion
            guard version == Self.formatVersion else {
                throw TrainingError.badState(
                    path: path, reason: "format version \(version), this program reads \(Self.formatVersion)")
            }
            return try JSONDecoder().decode(TrainingState.self, from: data)
        } catch let error as DecodingError {
            throw TrainingError.badState(path: path, reason: error.shortReason)
        }
    }
}

extension DecodingError {
    /// One line: which key, and what is wrong with it.
    package var shortReason: String {
        func place(_ context: Context, _ last: (any CodingKey)? = nil) -> String {
            let path = (context.codingPath + (last.map { [$0] } ?? [])).map(\.stringValue).joined(separator: ".")
            return path.isEmpty ? "the file" : "'\(path)'"
        }
        switch self {
        case .keyNotFound(let key, let context): return "\(place(context, key)) is missing"
        case .typeMismatch(let type, let context): return "\(place(context)) should be \(type)"
        case .valueNotFound(let type, let context): return "\(place(context)) should be \(type), got null"
        case .dataCorrupted(let context): return "\(place(context)): \(context.debugDescription)"
        @unknown default: return "\(self)"
        }
    }
}

enum PrettyJSON {
    /// Sorted keys, so that equal values give equal bytes.
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [0x0A]
    }
}
