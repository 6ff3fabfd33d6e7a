@_spi(Training) import CaptionMetrics
import Files
import Foundation

/// One line of a golden parse file.
struct GoldenParse: Decodable {
    struct Sentence: Decodable {
        let tokens: [[String]]
        let basic: [GoldenEdge]
        let collapsed: [GoldenEdge]

        enum CodingKeys: String, CodingKey {
            case tokens, basic
            case collapsed = "collapsed_cc"
        }

        var words: [DependencyParse.Word] {
            tokens.map { DependencyParse.Word(form: $0[0], tag: $0[1], lemma: $0[2]) }
        }
        var basicParse: DependencyParse { DependencyParse(words: words, edges: basic.map(\.edge)) }
        var collapsedParse: DependencyParse { DependencyParse(words: words, edges: collapsed.map(\.edge)) }
    }

    let caption: String
    let sentences: [Sentence]
    let tuples: [[String]]
}

/// `[relation, governor, dependent]`.
struct GoldenEdge: Decodable {
    let edge: DependencyParse.Edge

    init(from decoder: any Decoder) throws {
        var row = try decoder.unkeyedContainer()
        let relation = try row.decode(String.self)
        edge = DependencyParse.Edge(relation, try row.decode(Int.self), try row.decode(Int.self))
    }
}

/// Reads a file, through `gzip -dc` or `xz -dc` when its name ends in `.gz` or `.xz`.
func contents(of path: String) throws -> Data {
    let program: String
    if path.hasSuffix(".gz") {
        program = "gzip"
    } else if path.hasSuffix(".xz") {
        program = "xz"
    } else {
        return try Data(contentsOf: URL(fileURLWithPath: path))
    }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program, "-dc", path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let data = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw ToolError("cannot decompress '\(path)' with \(program)") }
    return data
}

func jsonLines<T: Decodable>(_ type: T.Type, at path: String) throws -> [T] {
    let decoder = JSONDecoder()
    return try TextLines([UInt8](try contents(of: path)), path: path).filter { !$0.isBlank }.map {
        try decoder.decode(type, from: Data($0.bytes))
    }
}

/// A message for the person at the terminal.
struct ToolError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

extension SceneTuple {
    /// As the golden files write it: `[object]`, `[object, attribute]`, `[subject, object, relation]`.
    var row: [String] {
        switch self {
        case .object(let object): [object]
        case .attribute(let object, let attribute): [object, attribute]
        case .relation(let subject, let relation, let object): [subject, object, relation]
        }
    }
}
