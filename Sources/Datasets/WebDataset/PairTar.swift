// Pairs as WebDataset shards: members of one sample share the name up to the first dot and stand next to each other:
//   000000000.jpg  the real image      000000000.gen.jpg  the generated one
//   000000000.txt  the caption         000000000.json     the pair as in a manifest, its paths the members' names

import Files
import Foundation
import Safetensors

/// A pair with its images' bytes, as it travels in a tar.
public struct PairSample: Sendable, Hashable {
    /// `real` and `generated` are the members' names.
    public var pair: Pair
    /// JPEG, PNG or WebP bytes; nil where the pair has no real image.
    public var real: [UInt8]?
    public var generated: [UInt8]

    public init(pair: Pair, real: [UInt8]?, generated: [UInt8]) {
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

    private static let imageEndings = ["jpg", "jpeg", "png", "webp"]

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
        while let member = ahead, Self.split(member.name).key == key {
            members[Self.split(member.name).ending.lowercased()] = member
            ahead = try tar.next()
        }
        let realMember = Self.imageEndings.lazy.compactMap { members[$0] }.first
        guard let generated = Self.imageEndings.lazy.compactMap({ members["gen.\($0)"] }).first else {
            throw DatasetError.incompleteSample(path: path, key: key, missing: ".gen.jpg")
        }
        guard realMember != nil || real == .optional else {
            throw DatasetError.incompleteSample(path: path, key: key, missing: ".jpg")
        }
        var pair: Pair
        if let description = members["json"] {
            pair = try tar.bytes(of: description).withUnsafeBytes {
                try Pair(json: $0, path: "\(path)/\(description.name)", line: 1, real: .optional)
            }
        } else {
            guard let caption = members["txt"] else {
                throw DatasetError.incompleteSample(path: path, key: key, missing: ".txt")
            }
            guard let text = String(validating: tar.bytes(of: caption), as: UTF8.self),
                text.utf8.contains(where: { $0 > 0x20 })
            else { throw DatasetError.emptyValue(path: "\(path)/\(caption.name)", line: 1, key: "caption") }
            pair = Pair(id: key, caption: text, real: nil, generated: generated.name)
        }
        pair.real = realMember?.name
        pair.generated = generated.name
        return PairSample(
            pair: pair, real: realMember.map { tar.bytes(of: $0) }, generated: tar.bytes(of: generated))
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
    /// Writes a shard; atomic, and byte-identical for equal pairs. Samples are numbered; a pair's id is in its `.json`.
    /// - Parameter samples: their `pair.real` and `pair.generated` give the members' endings (`.jpg` when they have none of
    ///   jpg, jpeg, png, webp).
    /// - Returns: how many there were.
    @discardableResult
    public static func write(
        to path: String, next: () throws -> PairSample?
    ) throws -> Int {
        var count = 0
        try AtomicFile.write(byteCount: 0, to: path) { sink in
            while var sample = try next() {
                let digits = String(count)
                let key = String(repeating: "0", count: max(0, 9 - digits.count)) + digits
                sample.pair.generated = "\(key).gen.\(ending(of: sample.pair.generated))"
                if let real = sample.real {
                    let name = "\(key).\(ending(of: sample.pair.real ?? ""))"
                    sample.pair.real = name
                    try TarWriter.append(name, real, to: &sink)
                } else {
                    sample.pair.real = nil
                }
                try TarWriter.append(sample.pair.generated, sample.generated, to: &sink)
                try TarWriter.append("\(key).txt", Array(sample.pair.caption.utf8), to: &sink)
                try TarWriter.append("\(key).json", Array(sample.pair.jsonLine.utf8), to: &sink)
                count += 1
            }
            try TarWriter.finish(&sink)
        }
        return count
    }

    private static func ending(of name: String) -> String {
        let ending = (name as NSString).pathExtension.lowercased()
        return ["jpg", "jpeg", "png", "webp"].contains(ending) ? ending : "jpg"
    }
}
