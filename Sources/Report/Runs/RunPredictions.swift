import Files
import StrictJSON

/// A captioner's caption of an image, with the captions of people.
public struct RunPrediction: Sendable, Equatable {
    /// As text, so that `42` and `"42"` name one image.
    public let imageID: ExactString
    /// The name below `--images`.
    public let file: String?
    /// The path as the captioner got it.
    public let path: String?
    public let caption: String
    public let references: [String]
    /// Per-image scores by metric name, in the order of the file.
    public let scores: [(name: String, value: Double)]

    public static func == (a: RunPrediction, b: RunPrediction) -> Bool {
        a.imageID == b.imageID && a.file == b.file && a.path == b.path && a.caption == b.caption
            && a.references == b.references && a.scores.count == b.scores.count
            && zip(a.scores, b.scores).allSatisfy { $0.name == $1.name && $0.value == $1.value }
    }
}

extension RunPrediction {
    /// Reads `predictions.jsonl`, and scores per image from its lines (`"scores"`) or from `per-image.jsonl` beside it,
    /// as `gmail evaluate captions --per-image` writes it; nil if there are no predictions.
    /// - Throws: ``ReportError``.
    static func read(folder: String) throws -> [RunPrediction]? {
        let path = "\(folder)/predictions.jsonl"
        guard let (lines, _) = try JSONDocument.lines(path) else { return nil }
        let scores = try perImage("\(folder)/per-image.jsonl")
        var seen: [ExactString: Int] = [:]
        return try lines.map { line, value in
            let id = try imageID(value, path: path, line: line)
            if let first = seen[id] {
                throw ReportError.unexpectedContent(
                    path: path, line: line, expected: "every image once",
                    got: "image \(id) again (first on line \(first))")
            }
            seen[id] = line
            guard let caption = value["caption"]?.string else {
                throw ReportError.unexpectedContent(
                    path: path, line: line, expected: "a text under 'caption'",
                    got: value["caption"]?.kind ?? "no such key")
            }
            let references = try (value["references"]?.array ?? []).map { reference in
                guard let text = reference.string else {
                    throw ReportError.unexpectedContent(
                        path: path, line: line, expected: "texts under 'references'", got: reference.kind)
                }
                return text
            }
            return RunPrediction(
                imageID: id, file: value["file"]?.string, path: value["path"]?.string, caption: caption,
                references: references, scores: value["scores"].map(numbers) ?? scores[id] ?? [])
        }
    }

    private static func perImage(_ path: String) throws -> [ExactString: [(name: String, value: Double)]] {
        guard let (lines, _) = try JSONDocument.lines(path) else { return [:] }
        return try lines.reduce(into: [:]) { result, entry in
            result[try imageID(entry.value, path: path, line: entry.line)] = numbers(entry.value)
        }
    }

    private static func numbers(_ object: JSONValue) -> [(name: String, value: Double)] {
        (object.members ?? []).compactMap { member in
            guard member.key != "image_id", let value = member.value.double, value.isFinite else { return nil }
            return (member.key, value)
        }
    }

    private static func imageID(_ value: JSONValue, path: String, line: Int) throws -> ExactString {
        switch value["image_id"] {
        case .number(let text)?: return ExactString(text)
        case .string(let text)?: return ExactString(text)
        case let other:
            throw ReportError.unexpectedContent(
                path: path, line: line, expected: "a number or a text under 'image_id'",
                got: other?.kind ?? "no such key")
        }
    }
}
