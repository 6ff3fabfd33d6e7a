import Foundation

/// The files that a user's arguments name: a file stands for itself, a folder for what is below it.
///
/// Symbolic links are followed; a folder that was entered once (by device and inode) is not entered again, so that links
/// to folders above end. The order is that of the paths' bytes, the same on every machine and in every locale.
public struct FileList: Sendable {
    /// What was found and counts.
    public private(set) var files: [String] = []
    /// What was found and does not count, with the reason.
    public private(set) var skipped: [Skipped] = []

    public struct Skipped: Sendable, Equatable {
        public let path: String
        public let reason: String

        public init(path: String, reason: String) {
            self.path = path
            self.reason = reason
        }
    }

    /// What a folder's file is to the caller.
    public enum Verdict: Sendable {
        case wanted
        /// It is nothing of the caller's concern (a text file among photos).
        case other
        case refused(reason: String)
    }

    /// - Parameters:
    ///   - paths: a file that is named itself is taken whatever it is called.
    ///   - verdict: gets the lower-case ending (`jpg`) of a file in a folder.
    /// - Throws: ``FileError`` for a path that does not exist, or a folder that cannot be listed.
    public init(_ paths: [String], verdict: (_ ending: String) -> Verdict) throws(FileError) {
        for path in paths {
            guard FileSystem.isFolder(path) else {
                guard FileSystem.exists(path) else {
                    throw .cannotOpen(path: path, reason: errorText(ENOENT))
                }
                files.append(path)
                continue
            }
            var found: [String] = []
            var entered: Set<[UInt64]> = []
            let base = path.utf8.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
            try walk(base, &found, &entered, verdict)
            files += found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
    }

    private mutating func walk(
        _ folder: String, _ found: inout [String], _ entered: inout Set<[UInt64]>, _ verdict: (String) -> Verdict
    ) throws(FileError) {
        guard let handle = opendir(folder) else { throw .system(folder, "listing the folder") }
        defer { closedir(handle) }
        var own = stat()
        guard fstat(dirfd(handle), &own) == 0, entered.insert([UInt64(own.st_dev), UInt64(own.st_ino)]).inserted else {
            return
        }
        var names: [[UInt8]] = []
        while let entry = readdir(handle) {
            let name = DirectoryEntry.name(entry)
            if name != [0x2E], name != [0x2E, 0x2E] { names.append(name) }
        }
        for bytes in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard let name = String(validating: bytes, as: UTF8.self) else {
                let shown = "\(folder)/\(Self.escaped(bytes))"
                skipped.append(Skipped(path: shown, reason: "'\(shown)': its name is not UTF-8; rename it"))
                continue
            }
            let path = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
            var status = stat()
            guard stat(path, &status) == 0 else {
                // A link to nowhere is worth a word only where the file would count.
                if case .other = verdict(Self.ending(of: name)) { continue }
                skipped.append(Skipped(path: path, reason: "cannot read '\(path)': \(errorText(errno))"))
                continue
            }
            if status.st_mode & S_IFMT == S_IFDIR {
                try walk(path, &found, &entered, verdict)
                continue
            }
            switch verdict(Self.ending(of: name)) {
            case .other: break
            case .wanted: found.append(path)
            case .refused(let reason): skipped.append(Skipped(path: path, reason: "'\(path)': \(reason)"))
            }
        }
    }

    private static func ending(of name: String) -> String {
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return "" }
        return String(name[name.utf8.index(after: dot)...]).lowercased()
    }

    private static func escaped(_ bytes: [UInt8]) -> String {
        bytes.map { byte in
            (0x20..<0x7F).contains(byte) && byte != UInt8(ascii: "\\")
                ? String(UnicodeScalar(byte)) : "\\x" + String(byte, radix: 16, uppercase: true)
        }.joined()
    }
}
