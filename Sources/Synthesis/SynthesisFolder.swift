import Files
import Foundation
import Safetensors

/// Where a run's files lie in its output folder. Several shards may share one; they touch no file in common but the
/// settings, which they all write alike.
///
///     settings.json                       what the images are made with
///     progress.jsonl                      finished batches; progress-00002-of-00008.jsonl of a shard
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

    /// Name of the folder that images are written to.
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

    /// Creates the folder, or checks that it is one of ours.
    /// - Throws: ``SynthesisError``.
    func prepare() throws {
        try Self.createFolder(path)
        if !FileManager.default.fileExists(atPath: settingsPath) {
            // What a crash before the first settings.json left is ours too.
            let found = try Self.entries(path).first { !($0.hasPrefix(".settings.json.") && $0.hasSuffix(".tmp")) }
            // Another shard may have begun meanwhile.
            if let found, !FileManager.default.fileExists(atPath: settingsPath) {
                throw SynthesisError.foreignFolder(path: path, found: found)
            }
        }
        try settings.claim(settingsPath)
    }

    static func createFolder(_ path: String) throws {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw SynthesisError.fileFailure(
                path: path, operation: "creating the folder", reason: error.localizedDescription)
        }
    }

    static func entries(_ folder: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw SynthesisError.fileFailure(
                path: folder, operation: "listing the folder", reason: error.localizedDescription)
        }
    }

    /// Removes what a killed process of this shard left of writing images into a folder. Those of other shards, which may be
    /// at work, are told by their row.
    func removeLeftoverImages(in folder: String) throws {
        for entry in try Self.entries(folder) where entry.hasPrefix(".") && entry.hasSuffix(".tmp") {
            guard let row = Int(entry.dropFirst().prefix { $0.isASCII && $0.isNumber }) else { continue }
            if row % shard.count == shard.index { try Self.remove("\(folder)/\(entry)") }
        }
    }

    /// Removes what a killed process left of writing `name`: the temporary files of ``AtomicFile``.
    static func removeLeftovers(of name: String, in folder: String) throws {
        guard FileManager.default.fileExists(atPath: folder) else { return }
        for entry in try entries(folder) where entry.hasPrefix(".\(name).") && entry.hasSuffix(".tmp") {
            try remove("\(folder)/\(entry)")
        }
    }

    /// Removes a file; none is fine.
    static func remove(_ path: String) throws {
        guard unlink(path) == 0 || errno == ENOENT else {
            throw SynthesisError.fileFailure(
                path: path, operation: "removing", reason: String(cString: strerror(errno)))
        }
    }

    /// Removes a folder if nothing is left in it.
    static func removeIfEmpty(_ path: String) throws {
        guard rmdir(path) == 0 || [ENOENT, ENOTEMPTY, EEXIST].contains(errno) else {
            throw SynthesisError.fileFailure(
                path: path, operation: "removing", reason: String(cString: strerror(errno)))
        }
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// A path without symbolic links; itself where nothing is.
    static func resolved(_ path: String) -> String {
        guard let real = realpath(path.isEmpty ? "." : path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// `target` as a path from `folder`, both as this process can open them and free of symbolic links: after one, `..`
    /// does not lead back.
    static func relativePath(of target: String, from folder: String) -> String {
        func parts(_ path: String) -> [Substring] {
            let absolute =
                path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
            var parts: [Substring] = []
            for part in absolute.split(separator: "/") where part != "." {
                if part == ".." { _ = parts.popLast() } else { parts.append(part) }
            }
            return parts
        }
        let (to, from) = (parts(target), parts(folder))
        let common = zip(to, from).prefix { $0 == $1 }.count
        return (Array(repeating: "..", count: from.count - common) + to[common...]).joined(separator: "/")
    }
}
