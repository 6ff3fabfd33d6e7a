import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CaptionMetrics

/// What the SPICE tests read from outside: golden files, METEOR's WordNet, hand-written graphs.
enum SpiceSupport {
    private static let wheel = TestCondition.file(named: "GMAIL_METEOR_WHEEL")

    /// Whether METEOR's tables are compiled on this machine, or can be.
    static let hasWordNet = wheel != nil || FileManager.default.fileExists(atPath: MeteorData.defaultPath())

    /// All of WordNet as METEOR has it.
    static func wordNet() throws -> WordNetLookup {
        guard let wheel, !FileManager.default.fileExists(atPath: MeteorData.defaultPath()) else {
            return try WordNetLookup()
        }
        return WordNetLookup(data: try wordNetData(wheel: wheel).get())
    }

    private static let compiled = Mutex<Result<MeteorData, any Error>?>(nil)

    /// METEOR's tables without the paraphrases: those would take minutes in an unoptimised build, and SPICE reads none.
    private static func wordNetData(wheel: String) -> Result<MeteorData, any Error> {
        compiled.withLock { known in
            if let known { return known }
            let made = Result {
                let folder = try MeteorTestSupport.temporaryFolder()
                defer { try? FileManager.default.removeItem(at: folder) }
                let jar = folder.appendingPathComponent("meteor.jar")
                try output(of: ["unzip", "-p", wheel, "pycocoevalcap/meteor/meteor-1.5.jar"]).write(to: jar)
                for table in MeteorSources.Table.allCases {
                    try output(of: ["unzip", "-p", jar.path, table.pathInJar])
                        .write(to: folder.appendingPathComponent(table.rawValue))
                }
                try FileManager.default.copyItem(
                    at: MeteorTestSupport.fixtures.appendingPathComponent("tables/english.paraphrase"),
                    to: folder.appendingPathComponent("english.paraphrase"))
                return try MeteorTestSupport.compile(folder.path)
            }
            known = made
            return made
        }
    }

    static func output(of command: [String]) throws -> Data {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = command
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.fileReadUnknown) }
        return data
    }

    /// The parser that ships, read once for all tests.
    static let parser = Result { try CaptionParser.bundled() }

    static func unzipped(_ file: URL) throws -> Data { try output(of: ["gzip", "-dc", file.path]) }

    static func lines<T: Decodable>(_ type: T.Type, _ data: Data) throws -> [T] {
        try data.split(separator: 10).map { try JSONDecoder().decode(type, from: $0) }
    }

    static func fixture(_ name: String) throws -> Data {
        let url = try #require(Bundle.module.url(forResource: "Fixtures/spice/\(name)", withExtension: nil))
        return try Data(contentsOf: url)
    }
}

/// `[relation, governor, dependent]`, as fixtures and golden files write edges.
struct SpiceEdgeRow: Decodable {
    let edge: DependencyParse.Edge

    init(from decoder: any Decoder) throws {
        var row = try decoder.unkeyedContainer()
        let relation = try row.decode(String.self)
        edge = DependencyParse.Edge(relation, try row.decode(Int.self), try row.decode(Int.self))
    }
}

/// Golden tuples: `[object]`, `[object, attribute]`, `[subject, object, relation]`.
func sceneTuple(_ row: [String]) -> SceneTuple {
    switch row.count {
    case 1: .object(row[0])
    case 2: .attribute(object: row[0], attribute: row[1])
    default: .relation(subject: row[0], relation: row[2], object: row[1])
    }
}

struct SpiceGoldenTuples: Decodable {
    let caption: String
    let tuples: [[String]]
}

struct SpiceGoldenCaptions: Decodable {
    struct Image: Decodable {
        let imageID: Int
        let candidate: String
        let references: [String]

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case candidate = "cand_tok"
            case references = "refs_tok"
        }
    }

    let images: [Image]
}

struct SpiceGoldenScores: Decodable {
    struct Image: Decodable {
        let imageID: Int
        let spice: Double
        let scores: [String: Score]

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case spice = "SPICE"
            case scores
        }
    }

    struct Score: Decodable, Equatable {
        let f: Double?
        let tp: Int
        let fp: Int
        let fn: Int
    }

    let images: [Image]
    /// Images whose counts differ from run to run in the reference tool: every outcome as [tp, fp, fn].
    let variants: [String: [[Int]]]
}
