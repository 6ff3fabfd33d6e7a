import Files
import Foundation
import Safetensors
import StrictJSON

/// Everything that decides what the images of a run are and where they lie. Kept in `settings.json` beside them; a run that
/// would continue with anything else is refused.
///
/// Not among them: the device (a run may move to another machine; noise is drawn on the CPU everywhere), and for folders
/// the number of captions used, which may grow.
public struct SynthesisSettings: Sendable, Hashable {
    public enum Format: String, Sendable, Hashable, CaseIterable {
        /// `images/…` and `pairs.jsonl`.
        case folder
        /// Tar shards of pairs.
        case webdataset
    }

    public enum ImageFormat: String, Sendable, Hashable, CaseIterable {
        case png, jpeg

        /// Of file names.
        public var ending: String { self == .png ? "png" : "jpg" }
    }

    // The generator
    /// Name of the model, as it goes into every pair.
    public var model: String
    /// Of all files of the model.
    public var modelHash: String
    public var scheduler: String
    public var steps: Int
    public var guidance: Double
    public var negativePrompt: String
    public var width: Int
    public var height: Int
    public var dtype: String
    public var seed: UInt64

    // The captions
    public var captionsHash: String
    /// Which part of the captions file; nil for all.
    public var split: String?
    public var imagesPerCaption = 1

    // The layout
    public var batchSize: Int
    public var shardCount = 1
    public var format = Format.folder
    public var imageFormat = ImageFormat.png
    /// Of JPEG, 1...100.
    public var quality = 95
    /// Of a tar shard.
    public var imagesPerTar = 1000
    /// How many captions are used; only where tar shards depend on it.
    public var limit: Int?

    public init(
        model: String, modelHash: String, scheduler: String, steps: Int, guidance: Double, negativePrompt: String = "",
        width: Int, height: Int, dtype: String, seed: UInt64, captionsHash: String, batchSize: Int
    ) {
        self.model = model
        self.modelHash = modelHash
        self.scheduler = scheduler
        self.steps = steps
        self.guidance = guidance
        self.negativePrompt = negativePrompt
        self.width = width
        self.height = height
        self.dtype = dtype
        self.seed = seed
        self.captionsHash = captionsHash
        self.batchSize = batchSize
    }

    /// Keys and JSON values in the file's order. The seed is a string: JSON readers round numbers of 64 bits.
    private var entries: [(key: String, json: String)] {
        func text(_ value: String) -> String {
            var out: [UInt8] = []
            StrictJSON.append(string: value, to: &out)
            return String(decoding: out, as: UTF8.self)
        }
        var entries: [(String, String)] = [
            ("model", text(model)), ("model_sha256", text(modelHash)), ("scheduler", text(scheduler)),
            ("steps", "\(steps)"), ("guidance", "\(guidance)"), ("negative_prompt", text(negativePrompt)),
            ("size", text("\(width)x\(height)")), ("dtype", text(dtype)), ("seed", text("\(seed)")),
            ("captions_sha256", text(captionsHash)), ("split", split.map(text) ?? "null"),
            ("images_per_caption", "\(imagesPerCaption)"), ("batch_size", "\(batchSize)"), ("shards", "\(shardCount)"),
            ("format", text(format.rawValue)), ("image_format", text(imageFormat.rawValue)),
        ]
        if imageFormat == .jpeg { entries.append(("quality", "\(quality)")) }
        if format == .webdataset {
            entries.append(("images_per_tar", "\(imagesPerTar)"))
            entries.append(("limit", limit.map { "\($0)" } ?? "null"))
        }
        return entries
    }

    var json: String {
        "{\n" + entries.map { "  \"\($0.key)\": \($0.json)" }.joined(separator: ",\n") + "\n}\n"
    }

    /// Writes the file where there is none, else compares.
    /// - Throws: ``SynthesisError/otherSettings(path:differences:)``, ``SynthesisError/brokenSettings(path:reason:)``.
    func claim(_ path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            try AtomicFile.write(json, to: path)
            return
        }
        let found: JSONValue
        do {
            found = try StrictJSON.parse([UInt8](data))
        } catch {
            throw SynthesisError.brokenSettings(path: path, reason: "is no JSON: \(error)")
        }
        guard let members = found.members else {
            throw SynthesisError.brokenSettings(path: path, reason: "is no JSON object")
        }
        var differences: [SynthesisError.Difference] = []
        for (key, text) in entries {
            let now = try StrictJSON.parse(Array(text.utf8))
            let before = members.first { $0.key == key }?.value
            if before != now {
                differences.append(.init(key: key, before: before.map(Self.shown) ?? "not set", now: Self.shown(now)))
            }
        }
        let keys = Set(entries.map(\.key))
        for member in members where !keys.contains(member.key) {
            differences.append(.init(key: member.key, before: Self.shown(member.value), now: "not set"))
        }
        guard differences.isEmpty else { throw SynthesisError.otherSettings(path: path, differences: differences) }
    }

    /// A value in a message; hashes are shown by their beginning.
    private static func shown(_ value: JSONValue) -> String {
        switch value {
        case .null: "not set"
        case .number(let text): text
        case .string(let text):
            text.utf8.count == 64 && text.utf8.allSatisfy { ($0 | 0x20) >= 0x30 && ($0 | 0x20) <= 0x66 }
                ? String(text.prefix(12)) : "'\(text)'"
        default: value.kind
        }
    }
}
