import Files
import Foundation
import Safetensors

/// Finds METEOR's tables in what pip installs or downloads, and unpacks them with `unzip` and `gzip`.
///
/// Accepted: the installed package `pycocoevalcap` (or its folder `meteor`), the `.whl` of it, `meteor-1.5.jar` with
/// `data/paraphrase-en.gz` beside it, or a folder of the plain tables (`english.words`, `english.prefixes`,
/// `english.synsets`, `english.exceptions`, `english.paraphrase` or `english.paraphrase.gz`).
struct MeteorSources {
    enum Table: String, CaseIterable {
        case functionWords = "english.words"
        case prefixes = "english.prefixes"
        case synsets = "english.synsets"
        case exceptions = "english.exceptions"

        /// Where METEOR's jar keeps the table.
        var pathInJar: String {
            switch self {
            case .functionWords: "function/english.words"
            case .prefixes: "nonbreaking/english.prefixes"
            case .synsets: "synonym/english.synsets"
            case .exceptions: "synonym/english.exceptions"
            }
        }
    }

    private enum Origin {
        case jar(String)
        case folder(String)
    }

    private let origin: Origin
    /// The paraphrase table, compressed if its name ends in `.gz`.
    private let paraphrases: String
    /// Holds what was unpacked from a wheel; removed by `close`.
    private let scratch: String?

    static let expectations = [
        "the installed package pycocoevalcap", "its folder 'meteor'", "a wheel pycocoevalcap-1.2-*.whl",
        "meteor-1.5.jar with data/paraphrase-en.gz beside it", "a folder with english.words and the other tables",
    ]

    /// - Throws: `MeteorError.sourceNotFound`, or `.toolMissing` and `.toolFailed` while unpacking a wheel.
    init(path: String) throws(MeteorError) {
        let files = FileManager.default
        var isFolder: ObjCBool = false
        guard files.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw .sourceNotFound(path: path, expected: Self.expectations)
        }
        if !isFolder.boolValue {
            try Self.requireFile(path)
            if path.hasSuffix(".whl") {
                (scratch, origin, paraphrases) = try Self.unpackWheel(path)
                return
            }
            let beside = (path as NSString).deletingLastPathComponent + "/data/paraphrase-en.gz"
            guard path.hasSuffix(".jar"), files.fileExists(atPath: beside) else {
                throw .sourceNotFound(path: path, expected: Self.expectations)
            }
            try Self.requireFile(beside)
            (scratch, origin, paraphrases) = (nil, .jar(path), beside)
            return
        }
        for folder in [path, path + "/meteor", path + "/pycocoevalcap/meteor"] {
            let (jar, table) = (folder + "/meteor-1.5.jar", folder + "/data/paraphrase-en.gz")
            if files.fileExists(atPath: jar), files.fileExists(atPath: table) {
                try Self.requireFile(jar)
                try Self.requireFile(table)
                (scratch, origin, paraphrases) = (nil, .jar(jar), table)
                return
            }
        }
        let plain = ["english.paraphrase", "english.paraphrase.gz", "paraphrase-en.gz"].map { path + "/" + $0 }
        guard let table = plain.first(where: { files.fileExists(atPath: $0) }),
            Table.allCases.allSatisfy({ files.fileExists(atPath: path + "/" + $0.rawValue) })
        else { throw .sourceNotFound(path: path, expected: Self.expectations) }
        try Self.requireFile(table)
        (scratch, origin, paraphrases) = (nil, .folder(path), table)
    }

    private static func unpackWheel(_ wheel: String) throws(MeteorError) -> (String?, Origin, String) {
        let scratch = FileManager.default.temporaryDirectory.path + "/gmail-meteor-\(UUID().uuidString)"
        do {
            try FileSystem.createFolder(scratch)
        } catch {
            throw .writeFailed(path: scratch, reason: "\(error)")
        }
        do throws(MeteorError) {
            for (member, name) in [
                ("pycocoevalcap/meteor/meteor-1.5.jar", "meteor-1.5.jar"),
                ("pycocoevalcap/meteor/data/paraphrase-en.gz", "paraphrase-en.gz"),
            ] {
                let path = scratch + "/" + name
                do {
                    let file = try AppendFile(path: path)
                    try unzip(wheel, member) { chunk throws(MeteorError) in
                        do { try file.append(Array(chunk)) } catch {
                            throw .writeFailed(path: path, reason: "\(error)")
                        }
                    }
                } catch let error as MeteorError {
                    throw error
                } catch {
                    throw .writeFailed(path: path, reason: "\(error)")
                }
            }
        } catch {
            remove(scratch)
            throw error
        }
        return (scratch, .jar(scratch + "/meteor-1.5.jar"), scratch + "/paraphrase-en.gz")
    }

    /// Removes what was unpacked.
    func close() { if let scratch { Self.remove(scratch) } }

    private static func remove(_ folder: String) {
        // A scratch folder that stays in the temporary directory does no harm.
        try? FileSystem.remove(folder)
    }

    // MARK: - Reading

    /// SHA-256 over the SHA-256 of each source file, so it does not depend on how the sources were packed.
    func hash() throws(MeteorError) -> [UInt8] {
        var digests: [UInt8] = []
        switch origin {
        case .jar(let jar): digests += try Self.digest(of: jar)
        case .folder(let folder):
            for table in Table.allCases { digests += try Self.digest(of: folder + "/" + table.rawValue) }
        }
        digests += try Self.digest(of: paraphrases)
        var hash = SHA256()
        hash.update(digests)
        return hash.finish()
    }

    func read(_ table: Table) throws(MeteorError) -> [UInt8] {
        switch origin {
        case .folder(let folder):
            var bytes: [UInt8] = []
            try Self.readFile(folder + "/" + table.rawValue) { bytes += $0 }
            return bytes
        case .jar(let jar):
            var bytes: [UInt8] = []
            try Self.unzip(jar, table.pathInJar) { chunk throws(MeteorError) in bytes += chunk }
            return bytes
        }
    }

    /// Passes on the text of the paraphrase table in pieces; it is 272 MB unpacked.
    func readParaphrases(_ consume: (Data) throws(MeteorError) -> Void) throws(MeteorError) {
        if paraphrases.hasSuffix(".gz") {
            try SetupTool.run(
                "gzip", ["-dc", paraphrases], purpose: "unpack METEOR's paraphrase table", consume: consume)
        } else {
            try Self.readFile(paraphrases, consume)
        }
    }

    private static func unzip(
        _ archive: String, _ member: String, _ consume: (Data) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        try SetupTool.run(
            "unzip", ["-p", archive, member], purpose: "unpack METEOR's tables", consume: consume)
    }

    private static func digest(of path: String) throws(MeteorError) -> [UInt8] {
        var hash = SHA256()
        try readFile(path) { chunk in chunk.withUnsafeBytes { hash.update($0) } }
        return hash.finish()
    }

    private static func readFile(
        _ path: String, _ consume: (Data) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        let file: MappedFile
        do {
            file = try MappedFile(path: path)
            try PlaceholderFile.refuse(file)
        } catch {
            throw .dataUnreadable(path: path, reason: "\(error)")
        }
        for start in stride(from: 0, to: file.bytes.count, by: 1 << 20) {
            let end = min(start + 1 << 20, file.bytes.count)
            try consume(file.withUnsafeBytes { Data(UnsafeRawBufferPointer(rebasing: $0[start..<end])) })
        }
    }

    /// A pipe or a device would be waited for, here or by the programs that unpack.
    private static func requireFile(_ path: String) throws(MeteorError) {
        do {
            try PlaceholderFile.refuse(MappedFile(path: path))
        } catch {
            throw .dataUnreadable(path: path, reason: "\(error)")
        }
    }
}

/// Runs a program of the system at set-up and passes on its output in pieces.
enum SetupTool {
    static func run(
        _ name: String, _ arguments: [String], purpose: String,
        environment: [String: String] = ProcessInfo.processInfo.environment,
        consume: (Data) throws(MeteorError) -> Void
    ) throws(MeteorError) {
        let folders = (environment["PATH"] ?? "").split(separator: ":").map(String.init)
        guard
            let program = folders.map({ $0 + "/" + name }).first(where: {
                FileManager.default.isExecutableFile(atPath: $0)
            })
        else { throw .toolMissing(tool: name, purpose: purpose) }
        let command = ([name] + arguments).joined(separator: " ")
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = errors
        do { try process.run() } catch {
            throw .toolFailed(command: command, status: -1, message: error.localizedDescription)
        }
        do {
            while true {
                let chunk = try output.fileHandleForReading.read(upToCount: 1 << 20) ?? Data()
                if chunk.isEmpty { break }
                try consume(chunk)
            }
        } catch {
            process.terminate()
            process.waitUntilExit()
            throw (error as? MeteorError)
                ?? .toolFailed(command: command, status: -1, message: error.localizedDescription)
        }
        let message = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw .toolFailed(
                command: command, status: process.terminationStatus,
                message: message.trimmingCharacters(in: .whitespacesAndNewlines))
        }
    }
}
