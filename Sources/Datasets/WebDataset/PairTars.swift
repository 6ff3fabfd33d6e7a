import Files

/// A set of pairs in tars, unpacked into what every command reads: images as files and a manifest beside them.
public enum PairTars {
    /// What came of it.
    public struct Unpacked: Sendable {
        public let manifest: String
        public let pairs: Int
    }

    /// Unpacks shards into a folder, in their order. Names of members decide nothing but the endings, so that no tar can
    /// write outside of the folder; equal shards give equal files.
    /// - Parameters:
    ///   - names: of tars; `shards/{000000..000331}.tar` stands for all of them.
    ///   - folder: new or empty; the manifest appears in it when everything else is there.
    ///   - progress: called after each shard with how many are done and how many there are.
    /// - Throws: ``DatasetError``, `FileError`.
    public static func unpack(
        _ names: [String], to folder: String, progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
    ) throws -> Unpacked {
        let paths = try names.flatMap(expanded)
        try FileSystem.createFolder(folder)
        if let found = try FileSystem.entries(folder).first(where: { $0 != FolderLock.fileName }) {
            throw DatasetError.badSetting(
                name: "the folder '\(folder)'", expected: "an empty one", got: "'\(found)' in it")
        }
        let lock = try FolderLock(folder: folder, owner: "gmail data unpack")
        defer { withExtendedLifetime(lock) {} }
        var pairs: [Pair] = []
        var first: [ExactString: String] = [:]
        for (done, path) in paths.enumerated() {
            var reader = try PairTarReader(path: path, real: .optional)
            while var sample = try reader.next() {
                let key = "'\(sample.key)' of '\(path)'"
                if let other = first.updateValue(key, forKey: ExactString(sample.pair.id)) {
                    throw DatasetError.repeatedSample(id: sample.pair.id, first: other, second: key)
                }
                func write(_ bytes: [UInt8], _ kind: String, _ name: String) throws -> String {
                    let number = String(pairs.count)
                    let padded = String(repeating: "0", count: max(0, 9 - number.count)) + number
                    let path = "\(kind)/\(padded.dropLast(3))/\(padded).\(ImageEnding.of(bytes, named: name))"
                    try FileSystem.createFolder("\(folder)/\(FileSystem.folder(of: path))")
                    try AtomicFile.write(bytes, to: "\(folder)/\(path)")
                    return path
                }
                sample.pair.generated = try write(sample.generated, "generated", sample.pair.generated)
                sample.pair.real = try sample.real.map { try write($0, "real", sample.pair.real ?? "") }
                pairs.append(sample.pair)
            }
            try progress(done + 1, paths.count)
        }
        let manifest = "\(folder)/pairs.jsonl"
        try PairsManifest.write(pairs, to: manifest)
        return Unpacked(manifest: manifest, pairs: pairs.count)
    }

    /// Whether a name is of tars and not of a manifest.
    public static func isTar(_ name: String) -> Bool { name.lowercased().hasSuffix(".tar") }

    /// The files that a name with one pair of braces stands for; itself without. Numbers keep their width.
    static func expanded(_ name: String) throws -> [String] {
        guard let open = name.utf8.firstIndex(of: UInt8(ascii: "{")),
            let close = name.utf8[open...].firstIndex(of: UInt8(ascii: "}")), !FileSystem.exists(name)
        else { return [name] }
        let inside = String(name[name.utf8.index(after: open)..<close])
        let ends = inside.split(separator: ".", omittingEmptySubsequences: false)
        guard ends.count == 3, ends[1].isEmpty, let low = Int(ends[0]), let high = Int(ends[2]),
            (0...high).contains(low), high - low < 1_000_000
        else {
            throw DatasetError.badSetting(
                name: "'\(name)'", expected: "braces such as {000000..000331}", got: "{\(inside)}")
        }
        return (low...high).map { number in
            let digits = String(number)
            let padding = String(repeating: "0", count: max(0, ends[0].count - digits.count))
            return "\(name[..<open])\(padding)\(digits)\(name[name.utf8.index(after: close)...])"
        }
    }
}
