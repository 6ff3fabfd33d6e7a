import Diffusion
import Files
import Foundation
import StrictJSON

/// Everything that decides what the images of a run are and where they are stored. It is kept in `settings.json` beside
/// them; a run that would continue with anything else is refused.
///
/// It does not contain the device (a run may move to another machine, and noise is always drawn on the CPU), nor, for
/// folders, the number of captions used, which may grow.
public struct SynthesisSettings: Sendable, Hashable {
    public enum Format: String, Sendable, Hashable, CaseIterable, Encodable {
        /// `images/…` and `pairs.jsonl`.
        case folder
        /// Tar shards of pairs.
        case webdataset
    }

    public enum ImageFormat: String, Sendable, Hashable, CaseIterable, Encodable {
        case png, jpeg

        /// Of file names.
        public var ending: String { self == .png ? "png" : "jpg" }
    }

    /// The model and how it draws.
    public var generator: GeneratorDescription
    public var seed: UInt64

    // The captions
    public var captionsHash: String
    /// Which part of the captions file, such as `train+restval`; nil if the file has no parts.
    public var split: String?
    public var imagesPerCaption = 1

    // The layout
    public var batchSize: Int
    public var shardCount = 1
    public var format = Format.folder
    public var imageFormat = ImageFormat.png
    /// Quality of JPEG, 1...100.
    public var quality = 95
    /// Of a tar shard.
    public var imagesPerTar = 1000
    /// How many captions are used; recorded only where tar shards depend on it.
    public var limit: Int?

    public init(generator: GeneratorDescription, seed: UInt64, captionsHash: String, batchSize: Int) {
        self.generator = generator
        self.seed = seed
        self.captionsHash = captionsHash
        self.batchSize = batchSize
    }
}

extension SynthesisSettings: Encodable {
    private enum Key: String, CodingKey {
        case seed, split, shards, format, quality, limit
        case captionsHash = "captions_sha256"
        case imagesPerCaption = "images_per_caption"
        case batchSize = "batch_size"
        case imageFormat = "image_format"
        case imagesPerTar = "images_per_tar"
    }

    public func encode(to encoder: any Encoder) throws {
        try generator.encode(to: encoder)
        var container = encoder.container(keyedBy: Key.self)
        // JSON readers round numbers of 64 bits.
        try container.encode("\(seed)", forKey: .seed)
        try container.encode(captionsHash, forKey: .captionsHash)
        try container.encodeIfPresent(split, forKey: .split)
        try container.encode(imagesPerCaption, forKey: .imagesPerCaption)
        try container.encode(batchSize, forKey: .batchSize)
        try container.encode(shardCount, forKey: .shards)
        try container.encode(format, forKey: .format)
        try container.encode(imageFormat, forKey: .imageFormat)
        if imageFormat == .jpeg { try container.encode(quality, forKey: .quality) }
        if format == .webdataset {
            try container.encode(imagesPerTar, forKey: .imagesPerTar)
            try container.encodeIfPresent(limit, forKey: .limit)
        }
    }

    var json: [UInt8] {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            return [UInt8](try encoder.encode(self)) + [0x0A]
        }
    }

    /// Writes the file if there is none, otherwise compares.
    /// - Throws: ``SynthesisError/otherSettings(path:differences:)``, ``SynthesisError/brokenSettings(reason:)``,
    ///   `FileError`.
    func claim(_ path: String) throws {
        let json = try json
        guard FileSystem.exists(path) else {
            try AtomicFile.write(json, to: path)
            return
        }
        let file: JSONFile
        do {
            file = try JSONFile(path)
        } catch let error as JSONFileError {
            throw SynthesisError.brokenSettings(reason: "\(error)")
        }
        let before = Self.values(file)
        let now = try Self.values(JSONFile(json, path: path))
        let keys = Set(before.keys).union(now.keys).sorted()
        let differences = keys.filter { before[$0] != now[$0] }.map { key in
            SynthesisError.Difference(key: key.string, before: Self.shown(before[key]), now: Self.shown(now[key]))
        }
        guard differences.isEmpty else { throw SynthesisError.otherSettings(path: path, differences: differences) }
    }

    /// Values by key; those within objects under `object.key`.
    private static func values(_ file: JSONFile) -> [ExactString: JSONValue] {
        var values: [ExactString: JSONValue] = [:]
        for member in file.value.members ?? [] where member.value != .null {
            guard let inner = member.value.members else {
                values[ExactString(member.key)] = member.value
                continue
            }
            for part in inner { values[ExactString("\(member.key) '\(part.key)'")] = part.value }
        }
        return values
    }

    /// A value in a message; hashes are shortened to their beginning.
    private static func shown(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null?: "not set"
        case .string(let text)?:
            text.utf8.count == 64 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
                ? String(text.prefix(12)) : "'\(text)'"
        case let value?: value.words
        }
    }
}
