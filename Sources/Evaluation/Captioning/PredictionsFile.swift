import CaptionFiles
import Files
import Foundation

/// `predictions.jsonl`, and the captions so far while it is made.
///
/// Captions are appended to a file beside it, whose first line says what makes them; a run that is begun again with the
/// same tags goes on there. The final file has the images in the set's order. One process at a time makes a file.
final class PredictionsFile {
    /// Captions so far by image.
    private(set) var done: [ImageID: Prediction] = [:]
    private let path: String
    private let partial: String
    private let file: AppendFile
    private let lock: OutputLock

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    private static func line(_ value: some Encodable) throws -> [UInt8] { [UInt8](try encoder.encode(value)) + [0x0A] }

    /// - Parameter tags: what tells these captions from others of the same images.
    /// - Throws: `FileError`, that of a locked folder too; `CaptioningEvaluationError.brokenRecord`.
    init(path: String, tags: [String: String], owner: String) throws {
        try FileSystem.createFolder(FileSystem.folder(of: path))
        lock = try OutputLock(for: path, owner: owner)
        self.path = path
        partial = path + ".partial"
        let head = try Self.line(tags)
        var kept = head
        if FileSystem.exists(partial) {
            let bytes = try RegularFile.bytes(partial)
            if bytes.starts(with: head) {
                // A last line without its end was cut by a crash.
                let end = bytes.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
                kept = Array(bytes[..<end])
                for line in TextLines(Array(bytes[head.count..<end]), path: partial) {
                    do {
                        let record = try JSONDecoder().decode(Prediction.self, from: Data(line.bytes))
                        done[record.imageID] = record
                    } catch {
                        throw CaptioningEvaluationError.brokenRecord(path: partial, line: line.number + 1)
                    }
                }
            }
        }
        try AtomicFile.write(kept, to: partial)
        file = try AppendFile(path: partial)
    }

    func append(_ record: Prediction) throws {
        try file.append(try Self.line(record))
        done[record.imageID] = record
    }

    /// Writes the final file; atomic.
    /// - Parameter order: the images of the set.
    /// - Returns: its lines, in that order.
    func finish(_ order: [ImageID]) throws -> [Prediction] {
        let lines = order.compactMap { done[$0] }
        try AtomicFile.write(byteCount: 0, to: path) { sink in
            for line in lines { try sink.append(try Self.line(line)) }
        }
        try FileSystem.remove(partial)
        return lines
    }
}
