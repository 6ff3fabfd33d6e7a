// Pairs as WebDataset shards: members of one sample share the name up to the first dot and stand next to each other:
//   000000000.jpg  the real image      000000000.gen.png  the generated one
//   000000000.txt  the caption         000000000.json     the pair as in a manifest, its paths the members' names
// Where there is no real image the generated one has the plain name, 000000000.png, under which loaders look for *the*
// image of a sample. Names are unique over all shards of a set, so that they can be unpacked into one folder, and joined.

import Files

/// A pair with its images' bytes, as it travels in a tar.
public struct PairSample: Sendable, Hashable {
    /// What the members' names begin with; unique over the set.
    public var key: String
    /// `real` and `generated` are the members' names.
    public var pair: Pair
    /// A picture file's bytes; nil where the pair has no real image.
    public var real: [UInt8]?
    public var generated: [UInt8]

    public init(key: String, pair: Pair, real: [UInt8]?, generated: [UInt8]) {
        self.key = key
        self.pair = pair
        self.real = real
        self.generated = generated
    }
}

/// Reads the pairs of one shard, front to back.
public struct PairTarReader {
    public let path: String
    private var tar: TarReader
    private var ahead: TarMember?
    private let real: Pair.RealImages

    /// - Throws: `FileError`.
    public init(path: String, real: Pair.RealImages = .required) throws {
        self.path = path
        self.real = real
        tar = try TarReader(path: path)
        ahead = try tar.next()
    }

    /// The next pair; nil at the end. Without a `.json` member the id is the sample's key. Members with other endings are
    /// passed over.
    /// - Throws: ``DatasetError/badTar(path:offset:reason:)``, ``DatasetError/incompleteSample(path:key:missing:)``, and
    ///   what a broken manifest line throws (line 1 of `SHARD/KEY.json`).
    public mutating func next() throws -> PairSample? {
        guard let first = ahead else { return nil }
        let key = Self.split(first.name).key
        var members: [String: TarMember] = [:]
        while let member = ahead, ExactString(Self.split(member.name).key) == ExactString(key) {
            members[Self.split(member.name).ending.lowercased()] = member
            ahead = try tar.next()
        }
        var pair = try members["json"].map { description in
            try tar.bytes(of: description).withUnsafeBytes {
                try Pair(json: $0, path: "\(path)/\(description.name)", line: 1, real: .optional)
            }
        }
        var realMember = ImageEnding.known.lazy.compactMap { members[$0] }.first
        var generatedMember = ImageEnding.known.lazy.compactMap { members["gen.\($0)"] }.first
        // A picture alone is the generated one where the description says so.
        if generatedMember == nil, let alone = realMember, pair?.generated == alone.name {
            (realMember, generatedMember) = (nil, alone)
        }
        guard let generated = generatedMember else {
            throw DatasetError.incompleteSample(path: path, key: key, missing: ".gen.jpg")
        }
        guard realMember != nil || real == .optional else {
            throw DatasetError.incompleteSample(path: path, key: key, missing: ".jpg")
        }
        if pair == nil {
            guard let caption = members["txt"] else {
                throw DatasetError.incompleteSample(path: path, key: key, missing: ".txt")
            }
            guard let text = String(validating: tar.bytes(of: caption), as: UTF8.self),
                text.utf8.contains(where: { $0 > 0x20 })
            else { throw DatasetError.emptyValue(path: "\(path)/\(caption.name)", line: 1, key: "caption") }
            if let excess = TextLimit.excess(of: text) {
                throw DatasetError.wrongType(
                    path: "\(path)/\(caption.name)", line: 1, key: "caption", expected: TextLimit.expectation,
                    got: excess)
            }
            pair = Pair(id: key, caption: text, real: nil, generated: generated.name)
        }
        guard var pair else { preconditionFailure("a sample has a description or was given one") }
        pair.real = realMember?.name
        pair.generated = generated.name
        return PairSample(
            key: key, pair: pair, real: realMember.map { tar.bytes(of: $0) }, generated: tar.bytes(of: generated))
    }

    /// `a/b.gen.jpg` gives `a/b` and `gen.jpg`, as WebDataset splits names.
    private static func split(_ name: String) -> (key: String, ending: String) {
        let slash = name.utf8.lastIndex(of: UInt8(ascii: "/")).map { name.utf8.index(after: $0) } ?? name.startIndex
        guard let dot = name.utf8[slash...].firstIndex(of: UInt8(ascii: ".")) else { return (name, "") }
        return (String(name[..<dot]), String(name[name.utf8.index(after: dot)...]))
    }
}

/// Writes pairs as one shard.
public enum PairTarWriter {
    /// Writes a shard; atomic, and byte-identical for equal pairs.
    /// - Parameter next: samples with keys of their own; the members' endings come from the pictures' bytes, or, where these
    ///   are of no known format, from the names in the pair.
    /// - Returns: how many there were.
    @discardableResult
    public static func write(
        to path: String, next: () throws -> PairSample?
    ) throws -> Int {
        var count = 0
        try AtomicFile.write(byteCount: 0, to: path) { sink in
            while let sample = try next() {
                var pair = sample.pair
                pair.real = sample.real.map { "\(sample.key).\(ImageEnding.of($0, named: sample.pair.real))" }
                let stem = sample.real == nil ? sample.key : "\(sample.key).gen"
                pair.generated = "\(stem).\(ImageEnding.of(sample.generated, named: sample.pair.generated))"
                if let name = pair.real, let real = sample.real { try TarWriter.append(name, real, to: &sink) }
                try TarWriter.append(pair.generated, sample.generated, to: &sink)
                try TarWriter.append("\(sample.key).txt", Array(pair.caption.utf8), to: &sink)
                // A line, so that joined descriptions are a manifest.
                try TarWriter.append("\(sample.key).json", Array("\(pair.jsonLine)\n".utf8), to: &sink)
                count += 1
            }
            try TarWriter.finish(&sink)
        }
        return count
    }
}
