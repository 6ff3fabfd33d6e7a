import Files
import Foundation
import Safetensors

/// Why a parser file cannot be used.
public enum CaptionParserError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case missing(path: String)
    case notAParser(path: String)
    case version(path: String, found: UInt32)
    case truncated(path: String, expected: Int, found: Int)
    case corrupt(path: String, detail: String)

    public var description: String {
        switch self {
        case .missing(let path):
            "caption parser '\(path)': no such file; it ships beside the program, so copy that folder along "
                + "(or make one with 'spice-parser train', docs/spice.md)"
        case .notAParser(let path):
            "caption parser '\(path)': the file does not start with 'SPCP'; expected a file written by "
                + "'spice-parser train'"
        case .version(let path, let found):
            "caption parser '\(path)': file version \(found), expected \(CaptionParser.fileVersion); train it again "
                + "with this version of 'spice-parser train'"
        case .truncated(let path, let expected, let found):
            "caption parser '\(path)': \(found) bytes, expected at least \(expected); copy the file again"
        case .corrupt(let path, let detail):
            "caption parser '\(path)': \(detail); copy the file again"
        }
    }

    public var errorDescription: String? { description }
}

extension CaptionParser {
    /// Raised when the layout of the file or the features of the classifiers change.
    public static let fileVersion: UInt32 = 1

    /// The parser that ships with the library: `gmail_CaptionMetrics.resources/spice-parser.bin` beside the program.
    ///
    /// It is found by hand, because the accessor that SwiftPM makes ends the program if the folder was not copied
    /// along.
    /// - Throws: ``CaptionParserError`` when the resource is missing or damaged.
    public static func bundled() throws -> CaptionParser {
        let resource = "gmail_CaptionMetrics.resources/spice-parser.bin"
        let program = Bundle.main.executableURL ?? URL(fileURLWithPath: CommandLine.arguments[0])
        // A link to the program does not move its resources.
        let folders = [program.resolvingSymlinksInPath(), program].map { $0.deletingLastPathComponent() }
        let places = folders.map { $0.appendingPathComponent(resource) }
        let found = places.first { FileManager.default.fileExists(atPath: $0.path) }
        return try CaptionParser(contentsOf: found ?? places[0])
    }

    /// Reads a parser written by ``data()``.
    ///
    /// - Throws: ``CaptionParserError``, naming the file and what is wrong with it.
    public init(contentsOf url: URL) throws {
        guard FileManager.default.fileExists(atPath: url.path) else {
            throw CaptionParserError.missing(path: url.path)
        }
        try self.init(bytes: RegularFile.bytes(url.path), path: url.path)
    }

    init(bytes: [UInt8], path: String) throws {
        var reader = ParserFileReader(bytes: bytes, path: path)
        guard bytes.starts(with: Array("SPCP".utf8)) else { throw CaptionParserError.notAParser(path: path) }
        try reader.skip(4)
        let version = try reader.word()
        guard version == Self.fileVersion else { throw CaptionParserError.version(path: path, found: version) }
        let tagger = try reader.model(classes: CaptionTagger.tags.count)
        let transitions = try reader.model(classes: TransitionState.Transition.allCases.count)
        let labeler = try reader.model(classes: ArcLabeler.labels.count)
        let text = try reader.text()
        guard reader.isAtEnd else {
            throw CaptionParserError.corrupt(path: path, detail: "bytes follow the last table")
        }
        var exceptions: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: "\t")
            guard fields.count == 2 else {
                throw CaptionParserError.corrupt(path: path, detail: "lemma line '\(line)' has no two columns")
            }
            exceptions[String(fields[0])] = String(fields[1])
        }
        self.init(
            tagger: CaptionTagger(model: tagger), transitions: transitions, labeler: ArcLabeler(model: labeler),
            lemmatizer: Lemmatizer(exceptions: exceptions), hash: ContentHash.sha256(of: bytes))
    }

    /// The parser as a file: three sparse models and the lemma exceptions, little-endian.
    @_spi(Training) public func data() -> Data {
        var data = Data("SPCP".utf8)
        data.appendWord(Self.fileVersion)
        for model in [tagger.model, transitions, labeler.model] {
            let rows = model.keys.indices.map { model.row(at: $0) }
            data.appendWord(UInt32(model.classCount))
            data.appendWord(model.scale.bitPattern)
            data.appendWord(UInt32(rows.count))
            data.appendWord(UInt32(rows.reduce(0) { $0 + $1.entries.count }))
            for row in rows { data.appendWord(row.key) }
            data.append(contentsOf: rows.map { UInt8($0.entries.count) })
            for row in rows { data.append(contentsOf: row.entries.map(\.class)) }
            for row in rows {
                for entry in row.entries {
                    let bits = UInt16(bitPattern: entry.weight)
                    data.append(contentsOf: [UInt8(truncatingIfNeeded: bits), UInt8(truncatingIfNeeded: bits >> 8)])
                }
            }
        }
        let text = lemmatizer.exceptions.sorted { $0.key < $1.key }.map { "\($0.key)\t\($0.value)\n" }.joined()
        data.appendWord(UInt32(text.utf8.count))
        data.append(contentsOf: text.utf8)
        return data
    }
}

private struct ParserFileReader {
    let bytes: [UInt8]
    let path: String
    private var place = 0

    init(bytes: [UInt8], path: String) {
        self.bytes = bytes
        self.path = path
    }

    var isAtEnd: Bool { place == bytes.count }

    private func need(_ count: Int) throws {
        guard count <= bytes.count - place else {
            throw CaptionParserError.truncated(path: path, expected: place + count, found: bytes.count)
        }
    }

    mutating func skip(_ count: Int) throws {
        try need(count)
        place += count
    }

    mutating func word() throws -> UInt32 {
        try need(4)
        defer { place += 4 }
        return (0..<4).reduce(0) { $0 | UInt32(bytes[place + $1]) << UInt32(8 * $1) }
    }

    mutating func text() throws -> String {
        let count = Int(try word())
        try need(count)
        defer { place += count }
        return String(decoding: bytes[place..<place + count], as: UTF8.self)
    }

    mutating func model(classes expected: Int) throws -> SparseLinearModel {
        let classCount = Int(try word())
        guard classCount == expected else {
            throw CaptionParserError.corrupt(
                path: path, detail: "a model has \(classCount) classes, expected \(expected)")
        }
        let scale = Float(bitPattern: try word())
        let rowCount = Int(try word())
        let entryCount = Int(try word())
        try need(rowCount * 5 + entryCount * 3)
        let keys = place
        let counts = keys + rowCount * 4
        let classes = counts + rowCount
        let weights = classes + entryCount
        var entry = 0
        var rows: [SparseLinearModel.Row] = []
        rows.reserveCapacity(rowCount)
        for i in 0..<rowCount {
            let key = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[keys + 4 * i + $1]) << UInt32(8 * $1) }
            let end = entry + Int(bytes[counts + i])
            guard end <= entryCount else {
                throw CaptionParserError.corrupt(path: path, detail: "row \(i) ends past the last weight")
            }
            var entries: [(class: UInt8, weight: Int16)] = []
            entries.reserveCapacity(end - entry)
            for j in entry..<end {
                guard bytes[classes + j] < UInt8(classCount) else {
                    throw CaptionParserError.corrupt(path: path, detail: "row \(i) names class \(bytes[classes + j])")
                }
                let bits = UInt16(bytes[weights + 2 * j]) | UInt16(bytes[weights + 2 * j + 1]) << 8
                entries.append((bytes[classes + j], Int16(bitPattern: bits)))
            }
            entry = end
            rows.append(SparseLinearModel.Row(key: key, entries: entries))
        }
        guard entry == entryCount else {
            throw CaptionParserError.corrupt(path: path, detail: "\(entryCount - entry) weights belong to no row")
        }
        place = weights + 2 * entryCount
        return SparseLinearModel(classCount: classCount, scale: scale, rows: rows)
    }
}

extension Data {
    fileprivate mutating func appendWord(_ word: UInt32) {
        append(contentsOf: (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) })
    }
}
