import Files
import Foundation

/// Where the files of a run are in its output folder. Several shards may share one; the only file they have in common
/// is the settings, which they all write alike.
///
///     settings.json                       what the images are made with
///     progress.jsonl                      finished batches; progress-00002-of-00008.jsonl of a shard
///     .lock                               held by the process at work; .lock-00002-of-00008 of a shard
///     images/00000/00000042-0.png         row 42, image 0
///     pairs.jsonl                         written when a run ends or is stopped; pairs-00002-of-00008.jsonl of a shard
///
/// As WebDataset, images wait in `staging/` until a tar is full:
///
///     000000.tar, 000001.tar, …           00002-of-00008-000000.tar of a shard
struct SynthesisFolder {
    let path: String
    let settings: SynthesisSettings
    let shard: Shard

    var settingsPath: String { "\(path)/settings.json" }
    var journalPath: String { "\(path)/progress\(shard.suffix).jsonl" }
    var pairsPath: String { "\(path)/pairs\(shard.suffix).jsonl" }

    /// Name of the folder into which images are written.
    var imageFolder: String { settings.format == .folder ? "images" : "staging" }

    /// Path of an image relative to the output folder.
    func name(of image: PlannedImage) -> String {
        "\(imageFolder)/" + SynthesisPlan.fileName(of: image, ending: settings.imageFormat.ending)
    }

    func path(of image: PlannedImage) -> String { "\(path)/\(name(of: image))" }

    func tarPath(_ index: Int) -> String {
        let prefix = shard.count == 1 ? "" : shard.suffix.dropFirst() + "-"
        return "\(path)/\(prefix)\(padded(index, 6)).tar"
    }

    /// The name of the lock that this shard's process holds.
    var lockName: String { FolderLock.fileName + shard.suffix }

    /// Creates the folder, or checks that it is one of ours, and locks this shard's part of it.
    /// - Throws: ``SynthesisError``, `FileError.locked(path:owner:)`, `FileError`.
    func claim() throws -> FolderLock {
        try FileSystem.createFolder(path)
        if !FileSystem.exists(settingsPath) {
            // Files that a crash left before the first settings.json belong to this run too.
            let found = try FileSystem.entries(path).first {
                !($0.hasPrefix(".settings.json.") && $0.hasSuffix(".tmp")) && !$0.hasPrefix(FolderLock.fileName)
            }
            // Another shard may have begun in the meantime.
            if let found, !FileSystem.exists(settingsPath) {
                throw SynthesisError.foreignFolder(path: path, found: found)
            }
        }
        let lock = try FolderLock(folder: path, name: lockName, owner: "gmail generate")
        try settings.claim(settingsPath)
        // This happens under the lock. With several shards it is left out, because such a file may be in use by another
        // one.
        if shard.count == 1 { try Self.removeLeftovers(of: "settings.json", in: path) }
        return lock
    }

    /// Removes what a killed process of this shard left while writing images into a folder. Files of other shards,
    /// which may be at work, are recognised by their row.
    func removeLeftoverImages(in folder: String) throws {
        for entry in try FileSystem.entries(folder) where entry.hasPrefix(".") && entry.hasSuffix(".tmp") {
            guard let row = Int(entry.dropFirst().prefix { $0.isASCII && $0.isNumber }) else { continue }
            if row % shard.count == shard.index { try FileSystem.remove("\(folder)/\(entry)") }
        }
    }

    /// Removes what a killed process left while writing `name`: the temporary files of `AtomicFile`.
    static func removeLeftovers(of name: String, in folder: String) throws {
        for entry in try FileSystem.entries(folder) where entry.hasPrefix(".\(name).") && entry.hasSuffix(".tmp") {
            try FileSystem.remove("\(folder)/\(entry)")
        }
    }

    /// Removes a folder if it is empty.
    static func removeIfEmpty(_ path: String) throws {
        guard rmdir(path) == 0 || [ENOENT, ENOTEMPTY, EEXIST].contains(errno) else {
            throw FileError.system(path, "removing")
        }
    }

    /// `target` as a path relative to `folder`, both as this process can open them and without symbolic links: after a
    /// link, `..` does not lead back.
    static func relativePath(of target: String, from folder: String) -> String {
        // Cut at bytes: a combining character after the slash would hide it from `Character`.
        func parts(_ path: String) -> [ExactString] {
            let absolute =
                FileSystem.isAbsolute(path) ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
            var parts: [ExactString] = []
            for part in absolute.utf8.split(separator: UInt8(ascii: "/")) {
                let name = String(part) ?? ""
                if name == ".." { _ = parts.popLast() } else if name != "." { parts.append(ExactString(name)) }
            }
            return parts
        }
        let (to, from) = (parts(target), parts(folder))
        let common = zip(to, from).prefix { $0 == $1 }.count
        return (Array(repeating: "..", count: from.count - common) + to[common...].map(\.string)).joined(separator: "/")
    }
}
