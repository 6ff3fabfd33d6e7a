import Files
import Foundation

/// `predictions.jsonl`, and the captions so far while it is made.
///
/// Captions are appended to a file beside it, whose first line says what makes them; a run that is begun again with the
/// same tags goes on there. The final file has the images in the set's order.
final class PredictionsFile {
    struct Line: Codable {
        let imageID: Int
        let file: String
        let path: String
        let caption: String
        let references: [String]

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case file, path, caption, references
        }
    }

    /// Captions so far by image.
    private(set) var done: [Int: Line] = [:]
    private let path: String
    private var partial: String { path + ".partial" }
    private let file: AppendFile

    private static var encoder: JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return encoder
    }

    init(path: String, tags: [String: String]) throws {
        self.path = path
        let partial = path + ".partial"
        let head = try [UInt8](Self.encoder.encode(tags)) + [0x0A]
        var kept = head
        let before = FileSystem.exists(partial) ? try RegularFile.bytes(partial) : []
        if before.starts(with: head) {
            // A last line without its end was cut by a crash.
            let lines = before.dropFirst(head.count).split(separator: 0x0A, omittingEmptySubsequences: false).dropLast()
            for bytes in lines {
                let line = try JSONDecoder().decode(Line.self, from: Data(bytes))
                done[line.imageID] = line
                kept += bytes + [0x0A]
            }
        }
        try AtomicFile.write(kept, to: partial)
        file = try AppendFile(path: partial)
    }

    func append(_ set: EvaluationImages, _ index: Int, _ caption: String) throws {
        let image = set.images[index]
        let line = Line(
            imageID: image.id, file: image.fileName, path: set.paths[index], caption: caption,
            references: image.captions)
        done[image.id] = line
        try file.append([UInt8](Self.encoder.encode(line)) + [0x0A])
    }

    /// Writes the final file; atomic.
    /// - Returns: its lines, in the set's order.
    func finish(_ set: EvaluationImages) throws -> [Line] {
        let lines = set.images.compactMap { done[$0.id] }
        try AtomicFile.write(lines.flatMap { try Self.encoder.encode($0) + [0x0A] }, to: path)
        try FileSystem.remove(partial)
        return lines
    }
}
