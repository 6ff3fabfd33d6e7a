import Foundation
import Safetensors

/// What the command may forget without harm: `$XDG_CACHE_HOME/gmail`, or `~/.cache/gmail`.
enum CacheFolder {
    static var path: String {
        let environment = ProcessInfo.processInfo.environment
        let base =
            environment["XDG_CACHE_HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? "\(environment["HOME"] ?? "/tmp")/.cache"
        return "\(base)/gmail"
    }
}

/// SHA-256 of large files, remembered by path, size, modification time and inode.
///
/// Reading a model of some hundred MB twice only to name it would cost more than a small job. A file that changed in any
/// of the four is read again; a cache that cannot be read or written costs time, never correctness.
struct FileHashes {
    private let cache = "\(CacheFolder.path)/sha256.json"

    func sha256(of path: String) throws -> String {
        let resolved = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
        let attributes = try FileManager.default.attributesOfItem(atPath: resolved)
        let size = (attributes[.size] as? Int) ?? -1
        let time = (attributes[.modificationDate] as? Date)?.timeIntervalSince1970 ?? -1
        let node = (attributes[.systemFileNumber] as? Int) ?? -1
        let key = "\(resolved)|\(size)|\(time)|\(node)"
        var known = read()
        if let hash = known[key] { return hash }
        let hash = try ContentHash.sha256(ofFile: resolved)
        known[key] = hash
        remember(known)
        return hash
    }

    private func read() -> [String: String] {
        guard let data = FileManager.default.contents(atPath: cache) else { return [:] }
        do {
            return try JSONDecoder().decode([String: String].self, from: data)
        } catch {
            return [:]  // a damaged cache is an empty one
        }
    }

    private func remember(_ known: [String: String]) {
        do {
            try FileManager.default.createDirectory(atPath: CacheFolder.path, withIntermediateDirectories: true)
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            try AtomicFile.write([UInt8](encoder.encode(known)), to: cache)
        } catch {
            FileHandle.standardError.write(
                Data("warning: \(cache) could not be written (\(error)); hashes are computed again next time\n".utf8))
        }
    }
}
