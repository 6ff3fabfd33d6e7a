import Files
import Foundation
import Safetensors

/// A pairs manifest (JSON Lines), opened and checked whole.
///
/// The file stays mapped and pairs are read from it when asked for, so that a manifest of millions of lines costs eight
/// bytes of memory per line. Blank lines are allowed and counted in line numbers. `Sendable`: any thread may read pairs.
public final class PairsManifest: Sendable {
    public let path: String
    /// What the manifest's paths are relative to.
    public let folder: String
    public let count: Int
    /// SHA-256 of the file; for a half of it, of that hash and the half's name.
    public let contentHash: String

    private let file: MappedFile
    private let real: Pair.RealImages
    /// Byte offset of every pair's line.
    private let starts: [Int]
    /// Line number of every pair; nil when pair i stands in line i + 1.
    private let lineNumbers: [Int]?

    /// Reads and checks every line.
    /// - Parameters:
    ///   - real: whether lines may leave out `real`.
    ///   - half: the pairs that are kept; every line is checked.
    ///   - report: called with each broken line's error, when given; opening goes on with the next line and those
    ///     pairs are left out. Without it the first one is thrown.
    /// - Throws: ``DatasetError`` with the line number, `FileError`.
    public init(
        path: String, real: Pair.RealImages = .required, half: PairsHalf = .all,
        report: ((DatasetError) throws -> Void)? = nil
    ) throws {
        if PairTars.isTar(path) { throw DatasetError.tarOfPairs(path: path) }
        let file = try MappedFile(path: path)
        try PlaceholderFile.refuse(file)
        var starts: [Int] = []
        var lineNumbers: [Int] = []
        var isKept: [Bool] = []
        var ids = IDSet()
        try file.withUnsafeBytes { bytes in
            try Self.forEachLine(bytes) { line, range in
                do {
                    let pair = try Pair(
                        json: UnsafeRawBufferPointer(rebasing: bytes[range]), path: path, line: line, real: real)
                    let first = try ids.insert(pair.id, at: starts.count) { index in
                        try Self.pair(bytes, at: starts[index], path: path, line: lineNumbers[index], real: real).id
                    }
                    if let first {
                        throw DatasetError.duplicateID(
                            path: path, line: line, id: pair.id, firstLine: lineNumbers[first])
                    }
                    isKept.append(half.contains(pair))
                    starts.append(range.lowerBound)
                    lineNumbers.append(line)
                } catch let error as DatasetError {
                    guard let report else { throw error }
                    try report(error)
                }
            }
        }
        if starts.isEmpty, report == nil { throw DatasetError.noPairs(path: path) }
        if isKept.contains(false) {
            starts = starts.indices.filter { isKept[$0] }.map { starts[$0] }
            lineNumbers = lineNumbers.indices.filter { isKept[$0] }.map { lineNumbers[$0] }
            if starts.isEmpty { throw DatasetError.emptyHalf(path: path, half: half.rawValue, pairs: isKept.count) }
        }
        self.path = path
        self.file = file
        self.real = real
        self.starts = starts
        count = starts.count
        let isDense = lineNumbers.last == lineNumbers.count
        self.lineNumbers = isDense || lineNumbers.isEmpty ? nil : lineNumbers
        folder = (path as NSString).deletingLastPathComponent
        let hash = file.withUnsafeBytes { ContentHash.sha256(of: $0) }
        contentHash = half == .all ? hash : ContentHash.sha256(of: "\(hash)\n\(half.rawValue) half")
    }

    /// Pair `index`, `0..<count`, in file order.
    /// - Throws: ``DatasetError/changedWhileOpen(path:line:)`` when the file was overwritten in place meanwhile.
    public func pair(at index: Int) throws -> Pair {
        precondition(starts.indices.contains(index), "pair \(index) of \(count)")
        return try file.withUnsafeBytes {
            do {
                return try Self.pair($0, at: starts[index], path: path, line: line(of: index), real: real)
            } catch {
                throw DatasetError.changedWhileOpen(path: path, line: line(of: index))
            }
        }
    }

    /// The line number (from 1) of pair `index`.
    public func line(of index: Int) -> Int { lineNumbers?[index] ?? index + 1 }

    /// A path of the manifest as this process can open it.
    public func resolve(_ relative: String) -> String { folder.isEmpty ? relative : "\(folder)/\(relative)" }

    private static func pair(
        _ bytes: UnsafeRawBufferPointer, at start: Int, path: String, line: Int, real: Pair.RealImages
    ) throws -> Pair {
        let end = endOfLine(bytes, from: start)
        return try Pair(json: UnsafeRawBufferPointer(rebasing: bytes[start..<end]), path: path, line: line, real: real)
    }

    private static func endOfLine(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
        guard start < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + start, 0x0A, bytes.count - start)
        else { return bytes.count }
        return UnsafeRawPointer(found) - base
    }

    /// Calls `body` with every line that is not blank: its number from 1 and where its bytes lie.
    static func forEachLine(
        _ bytes: UnsafeRawBufferPointer, _ body: (_ line: Int, _ range: Range<Int>) throws -> Void
    ) throws {
        var start = 0
        var line = 0
        while start < bytes.count {
            line += 1
            let end = endOfLine(bytes, from: start)
            if bytes[start..<end].contains(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0D }) {
                try body(line, start..<end)
            }
            start = end + 1
        }
    }
}

extension PairsManifest {
    /// Writes a manifest; atomic. Paths are written as they stand in the pairs, so they must be relative to its folder.
    public static func write(_ pairs: some Sequence<Pair>, to path: String) throws {
        try AtomicFile.write(byteCount: 0, to: path) { sink in
            var piece: [UInt8] = []
            for pair in pairs {
                piece.append(contentsOf: pair.jsonLine.utf8)
                piece.append(0x0A)
                if piece.count > 1 << 16 {
                    try sink.append(piece)
                    piece.removeAll(keepingCapacity: true)
                }
            }
            try sink.append(piece)
        }
    }
}

/// Which ids were seen: a 64-bit hash and an index each; equal hashes are told apart by reading the first id again.
struct IDSet {
    private var indices: [UInt64: Int] = [:]
    /// Ids whose hash another id already holds.
    private var collisions: [ExactString: Int] = [:]

    /// - Parameter id: the id inserted at an earlier index.
    /// - Returns: the index under which `text` was inserted before; nil when it is new.
    mutating func insert(_ text: String, at index: Int, id: (Int) throws -> String) rethrows -> Int? {
        let hash = Self.hash(text)
        guard let first = indices[hash] else {
            indices[hash] = index
            return nil
        }
        if try id(first).utf8.elementsEqual(text.utf8) { return first }
        if let again = collisions[ExactString(text)] { return again }
        collisions[ExactString(text)] = index
        return nil
    }

    /// FNV-1a, 64 bits.
    static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }
}
