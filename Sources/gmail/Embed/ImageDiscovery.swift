import Foundation

/// Finds image files: a file stands for itself, a folder for the images below it, recursively, sorted by path.
enum ImageDiscovery {
    /// What counts as an image inside a folder; files named one by one are taken whatever they are called.
    static let suffixes: Set<String> = ["jpg", "jpeg", "png", "webp"]

    /// - Throws: `CommandError` for a path that does not exist.
    static func images(_ paths: [String]) throws -> [String] {
        var found: [String] = []
        for path in paths {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
                throw CommandError("--images: '\(path)' does not exist")
            }
            guard isFolder.boolValue else {
                found.append(path)
                continue
            }
            guard let walker = FileManager.default.enumerator(atPath: path) else {
                throw CommandError("--images: the folder '\(path)' cannot be read")
            }
            let base = path.hasSuffix("/") ? String(path.dropLast()) : path
            var below: [String] = []
            for case let name as String in walker where suffixes.contains((name as NSString).pathExtension.lowercased())
            {
                below.append("\(base)/\(name)")
            }
            // By bytes, so that the order is the same on every machine and in every locale.
            found += below.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
        return found
    }
}
