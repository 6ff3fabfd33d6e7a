import Files
import Foundation
import Safetensors

extension MeteorData {
    /// What a compilation made, or found up to date.
    public struct Compilation: Sendable, Equatable {
        public var path: String
        public var sourceHash: String
        /// False if the file was there already, made from the same sources by this version.
        public var wasWritten: Bool
        public var bytes: Int
        public var words: Int
        public var phrases: Int
        public var paraphrases: Int
    }

    /// Compiles METEOR's tables into one file that opens in milliseconds.
    ///
    /// It takes some seconds for the full tables (5.3 million paraphrases) and less than 300 MB of memory. The result
    /// is written beside its place and renamed, so a reader never sees half a file. The same sources give the same
    /// bytes.
    /// - Parameters:
    ///   - source: the package pycocoevalcap, its wheel, the jar, or a folder of tables (`MeteorSources`).
    ///   - output: the file to write; `MeteorData.defaultPath()` if nil.
    ///   - force: compile even if the file is up to date.
    ///   - progress: receives a line before each stage.
    /// - Throws: `MeteorError` for sources that are missing or not as expected, missing programs, failed writes.
    @discardableResult
    public static func compile(
        from source: String, to output: String? = nil, force: Bool = false, progress: (String) -> Void = { _ in }
    ) throws(MeteorError) -> Compilation {
        let output = output ?? defaultPath()
        let sources = try MeteorSources(path: source)
        defer { sources.close() }
        progress("hashing the sources in \(source)")
        let hash = try sources.hash()
        if !force, let present = try upToDate(output, hash: hash) { return present }

        var builder = MeteorDataBuilder()
        progress("reading the paraphrase table")
        try builder.addParaphrases(from: sources)
        progress("reading synsets, irregular forms, function words and prefixes")
        try builder.addSynsets(sources.read(.synsets))
        try builder.addExceptions(sources.read(.exceptions))
        try builder.addFunctionWords(sources.read(.functionWords))
        try builder.addPrefixes(sources.read(.prefixes))
        progress("writing \(output)")
        let file = builder.file(sourceHash: hash)
        try write(file, to: output)
        return try summary(of: output, written: true)
    }

    /// The existing file, if it was made from sources with this hash.
    private static func upToDate(_ path: String, hash: [UInt8]) throws(MeteorError) -> Compilation? {
        do {
            let present = try summary(of: path, written: false)
            return present.sourceHash == ContentHash.hexadecimal(hash) ? present : nil
        } catch {
            switch error {
            // Compiling replaces a missing, old or damaged file.
            case .dataMissing, .dataFormat: return nil
            default: throw error
            }
        }
    }

    private static func summary(of path: String, written: Bool) throws(MeteorError) -> Compilation {
        let data = try MeteorData(path: path)
        return Compilation(
            path: path, sourceHash: data.sourceHash, wasWritten: written, bytes: data.byteCount,
            words: data.wordOffsets.count - 1, phrases: data.leftOffsets.count - 1,
            paraphrases: data.paraphraseCount)
    }

    private static func write(_ file: [UInt8], to path: String) throws(MeteorError) {
        do {
            try FileSystem.createFolder(FileSystem.folder(of: path))
            try AtomicFile.write(file, to: path)
        } catch {
            throw .writeFailed(path: path, reason: "\(error)")
        }
    }
}
