import Files
import StrictJSON

/// Which batches of a shard are done: one JSON object per line, appended and synced after the images of the batch.
///
///     {"block": 3, "images": 8, "truncated": 1, "wider": ["coco-139-0"], "failed": []}
///
/// An incomplete line after a crash is cut off; its batch counts as not done. Whoever opens the journal holds the
/// shard's lock.
final class SynthesisJournal {
    struct Failure: Equatable {
        let id: String
        let reason: String
    }

    struct Entry: Equatable {
        let block: Int
        /// How many images the block had; the last block of a limited run grows with the limit.
        let images: Int
        /// Prompts that were cut off at the token limit.
        let truncated: Int
        /// Ids of images made in the wider dtype.
        let wider: [String]
        let failed: [Failure]

        var line: String {
            func text(_ value: String) -> String {
                var out: [UInt8] = []
                StrictJSON.append(string: value, to: &out)
                return String(decoding: out, as: UTF8.self)
            }
            let failures = failed.map { "{\"id\": \(text($0.id)), \"reason\": \(text($0.reason))}" }
            return "{\"block\": \(block), \"images\": \(images), \"truncated\": \(truncated), "
                + "\"wider\": [\(wider.map(text).joined(separator: ", "))], "
                + "\"failed\": [\(failures.joined(separator: ", "))]}\n"
        }
    }

    let path: String
    private let file: AppendFile
    /// By block; the last entry of a block counts.
    private(set) var entries: [Int: Entry] = [:]

    /// - Throws: ``SynthesisError/brokenJournal(path:line:reason:)``, `FileError`.
    init(path: String) throws {
        self.path = path
        file = try AppendFile(path: path)
        let bytes = try RegularFile.bytes(path)
        let end = (bytes.lastIndex(of: 0x0A) ?? -1) + 1
        if end < bytes.count { try file.truncate(to: end) }
        for line in TextLines(Array(bytes[..<end]), path: path) where !line.bytes.isEmpty {
            guard let entry = Self.entry(Array(line.bytes)) else {
                throw SynthesisError.brokenJournal(
                    path: path, line: line.number, reason: "is no record of a finished batch")
            }
            entries[entry.block] = entry
        }
    }

    private static func entry(_ line: [UInt8]) -> Entry? {
        let value: JSONValue
        do {
            value = try StrictJSON.parse(line)
        } catch {
            return nil  // reported with its line by the caller
        }
        guard let block = value["block"]?.integer, let images = value["images"]?.integer,
            let truncated = value["truncated"]?.integer, let wider = value["wider"]?.array,
            let failed = value["failed"]?.array, block >= 0, images >= 1
        else { return nil }
        let failures = failed.compactMap { entry -> Failure? in
            guard let id = entry["id"]?.string, let reason = entry["reason"]?.string else { return nil }
            return Failure(id: id, reason: reason)
        }
        let names = wider.compactMap(\.string)
        guard failures.count == failed.count, names.count == wider.count else { return nil }
        return Entry(block: block, images: images, truncated: truncated, wider: names, failed: failures)
    }

    /// Appends an entry and waits until it is on disk.
    func append(_ entry: Entry) throws {
        try file.append(Array(entry.line.utf8))
        try file.sync()
        entries[entry.block] = entry
    }
}
