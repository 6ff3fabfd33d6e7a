import Foundation

/// Runs the official SPICE 1.0 jar, for those who have Java, the jar and CoreNLP's models.
///
/// Nothing of the jar ships with this package. Values carry the tag ``protocolTag``, never the tag of ``SpiceScorer``.
public enum SpiceJar {
    /// The tag of values that the jar computed.
    public static let protocolTag = "spice-1.0.jar"

    /// The jar writes its results through a part of Java that version 15 removed.
    static let lastJava = 14

    /// CoreNLP's classes and models, expected in `lib` beside the jar.
    static let libraries = ["stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar"]

    /// Runs the jar on tokenised captions.
    ///
    /// - Parameters:
    ///   - jar: `spice-1.0.jar` with its `lib` folder beside it.
    ///   - references: the captions of each image.
    ///   - candidates: one caption per image.
    ///   - java: the program to run, a path or a name found in `PATH`; Java 8 to 14.
    ///   - heap: what Java may use (`-Xmx`); CoreNLP asks for 8 GB.
    /// - Throws: ``SpiceJarError`` before anything runs if the jar, its libraries or a suitable Java are missing, and
    ///   with the end of the jar's own messages if it fails. ``SpiceError/counts(candidates:references:)``.
    public static func run(
        jar: URL, references: [[String]], candidates: [String], java: String = "java", heap: String = "8G"
    ) throws -> SpiceResult {
        guard references.count == candidates.count else {
            throw SpiceError.counts(candidates: candidates.count, references: references.count)
        }
        let files = FileManager.default
        guard files.fileExists(atPath: jar.path) else { throw SpiceJarError.jarMissing(path: jar.path) }
        let library = jar.deletingLastPathComponent().appendingPathComponent("lib")
        let absent = libraries.filter { !files.fileExists(atPath: library.appendingPathComponent($0).path) }
        guard absent.isEmpty else { throw SpiceJarError.modelsMissing(folder: library.path, files: absent) }
        let version = try javaVersion(java)
        guard version <= lastJava else { throw SpiceJarError.javaTooNew(java: java, version: version) }

        let folder = files.temporaryDirectory.appendingPathComponent("spice-\(UUID().uuidString)")
        let cache = folder.appendingPathComponent("cache")
        try files.createDirectory(at: cache, withIntermediateDirectories: true)
        defer { try? files.removeItem(at: folder) }
        let input = folder.appendingPathComponent("input.json")
        let output = folder.appendingPathComponent("output.json")
        let items = zip(candidates, references).enumerated().map { i, pair in
            Item(imageID: i, test: pair.0, references: pair.1)
        }
        try JSONEncoder().encode(items).write(to: input)
        let (status, messages) = try launch(
            java,
            [
                "-Xmx\(heap)", "-jar", jar.path, input.path, "-cache", cache.path, "-out", output.path, "-subset",
                "-silent",
            ], in: jar.deletingLastPathComponent(), messagesIn: folder)
        guard status == 0, files.fileExists(atPath: output.path) else {
            throw SpiceJarError.failed(status: status, messages: String(messages.suffix(2000)))
        }
        return try read(Data(contentsOf: output), count: candidates.count)
    }

    private struct Item: Encodable {
        let imageID: Int
        let test: String
        let references: [String]

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case test
            case references = "refs"
        }
    }

    /// The major version `java -version` reports: 8 for `1.8.0_292`, 17 for `17.0.15`.
    static func javaVersion(_ java: String) throws -> Int {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("spice-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let (status, messages) = try launch(java, ["-version"], in: folder, messagesIn: folder)
        let quoted = messages.split(separator: "\"", omittingEmptySubsequences: false)
        guard status == 0, quoted.count > 2 else {
            throw SpiceJarError.javaMissing(java: java, messages: String(messages.suffix(500)))
        }
        let numbers = quoted[1].split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }
        guard let first = numbers.first else {
            throw SpiceJarError.javaMissing(java: java, messages: String(messages.suffix(500)))
        }
        return first == 1 && numbers.count > 1 ? numbers[1] : first
    }

    /// Runs a program to its end; its output goes through a file, which no amount of output can block.
    private static func launch(
        _ program: String, _ arguments: [String], in folder: URL, messagesIn log: URL
    ) throws -> (status: Int32, messages: String) {
        let logFile = log.appendingPathComponent("messages.txt")
        try Data().write(to: logFile)
        let handle = try FileHandle(forWritingTo: logFile)
        defer { try? handle.close() }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.currentDirectoryURL = folder
        process.standardOutput = handle
        process.standardError = handle
        try process.run()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: try Data(contentsOf: logFile), as: UTF8.self))
    }

    /// Reads the jar's result file: an array of images, each with `scores` by category.
    static func read(_ data: Data, count: Int) throws -> SpiceResult {
        // Categories without reference tuples are written as NaN, which is not JSON.
        let text = String(decoding: data, as: UTF8.self).replacing(":NaN", with: ":null")
        let images: [OutputImage]
        do {
            images = try JSONDecoder().decode([OutputImage].self, from: Data(text.utf8))
        } catch {
            throw SpiceJarError.unreadable(detail: "\(error)")
        }
        let byIdentifier = Dictionary(images.map { ($0.imageID, $0) }, uniquingKeysWith: { first, _ in first })
        return SpiceResult(
            images: try (0..<count).map { i in
                guard let image = byIdentifier[i], let all = image.scores["All"] else {
                    throw SpiceJarError.unreadable(detail: "image \(i) of \(count) has no score 'All'")
                }
                var categories: [SpiceCategory: SpiceScore] = [:]
                for category in SpiceCategory.allCases {
                    guard let score = image.scores[category.rawValue], score.f != nil else { continue }
                    categories[category] = score.counts
                }
                return SpiceImageScore(all: all.counts, categories: categories)
            })
    }

    private struct OutputImage: Decodable {
        let imageID: Int
        let scores: [String: OutputScore]

        enum CodingKeys: String, CodingKey {
            case imageID = "image_id"
            case scores
        }
    }

    private struct OutputScore: Decodable {
        let f: Double?
        let tp: Double
        let fp: Double
        let fn: Double

        var counts: SpiceScore {
            SpiceScore(truePositives: Int(tp), falsePositives: Int(fp), falseNegatives: Int(fn))
        }
    }
}

/// Why the official jar cannot be run.
public enum SpiceJarError: Error, Equatable, CustomStringConvertible, LocalizedError {
    case jarMissing(path: String)
    case modelsMissing(folder: String, files: [String])
    case javaMissing(java: String, messages: String)
    case javaTooNew(java: String, version: Int)
    case failed(status: Int32, messages: String)
    case unreadable(detail: String)

    public var description: String {
        switch self {
        case .jarMissing(let path):
            "SPICE jar '\(path)': no such file; expected spice-1.0.jar as pip's pycocoevalcap brings it"
        case .modelsMissing(let folder, let files):
            "SPICE jar: '\(folder)' lacks \(files.joined(separator: " and ")); they are part of "
                + "stanford-corenlp-full-2015-12-09.zip and belong into that folder"
        case .javaMissing(let java, let messages):
            "SPICE jar: '\(java) -version' reports no version; expected Java 8 to 14. It said: \(messages)"
        case .javaTooNew(let java, let version):
            "SPICE jar: '\(java)' is Java \(version), which no longer has the script engine the jar writes its results "
                + "with; expected Java 8 to 14, give its path"
        case .failed(let status, let messages):
            "SPICE jar: ended with status \(status). Its last messages: \(messages)"
        case .unreadable(let detail):
            "SPICE jar: the result file cannot be read: \(detail)"
        }
    }

    public var errorDescription: String? { description }
}
