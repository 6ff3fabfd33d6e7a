// Features of the frozen side, computed once. f_r and the text encoder do not change during training and preprocessing
// is deterministic, so a feature is a function of weights, preprocessing and the content of the file.
//
//   CACHE/<space>/space.json                what the space is
//   CACHE/<space>/features-<tag>.safetensors  keys [n, 16] U8, features [n, D] F32; complete files only
//   CACHE/<space>/files.jsonl               path, size, times and content hash of files seen, one per line

import Datasets
import Files
import Foundation
import Safetensors
import StrictJSON
import Torch
import TorchNN

/// What makes features comparable: everything on which they depend besides the input.
public struct FeatureSpace: Sendable, Hashable, Codable {
    /// `image`, `text`, …
    public var name: String
    /// The identity of what computes them: a model's fingerprint, with adapters if they are used.
    public var model: String
    /// How an input reaches the model, beyond what the fingerprint covers (`ImagePreprocessing.canonicalJSON`).
    public var input: String
    /// The precision of the arithmetic, `float32` or `bfloat16`, between which features differ.
    public var precision: String
    /// Length of a feature.
    public var dimension: Int

    public init(name: String, model: String, input: String, precision: String, dimension: Int) {
        self.name = name
        self.model = model
        self.input = input
        self.precision = precision
        self.dimension = dimension
    }

    /// The name of the space's folder: a hash of all of it.
    public var identifier: String {
        let text = [name, model, input, precision, "\(dimension)"].joined(separator: "\n")
        return String(ContentHash.sha256(of: text).prefix(24))
    }
}

/// Names an input by its content: the first 16 bytes of a SHA-256.
public struct FeatureKey: Sendable, Hashable, CustomStringConvertible {
    let high: UInt64
    let low: UInt64

    init(digest: some Collection<UInt8>) {
        var bytes = digest.makeIterator()
        func word() -> UInt64 { (0..<8).reduce(0) { value, _ in value << 8 | UInt64(bytes.next()!) } }
        high = word()
        low = word()
    }

    init(hexadecimal: String) {
        let digits = hexadecimal.utf8.prefix(32).map { $0 < 0x3A ? $0 - 0x30 : $0 - 0x57 }
        self.init(digest: stride(from: 0, to: 32, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
    }

    var bytes: [UInt8] {
        [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) } }
    }

    public var description: String { ContentHash.hexadecimal(bytes) }
}

/// Features on disk by content, filled during a run and read through the file mapping.
///
/// Any thread may use it, and several processes may fill one folder. What was flushed survives a crash; a flush is
/// complete or absent. A file whose size or modification time changes is hashed again, and gets other features if its
/// content differs.
public final class FeatureCache: @unchecked Sendable {
    public let space: FeatureSpace
    /// The space's own folder.
    public let folder: String

    private enum Place {
        case shard(Int, row: Int)
        /// Inserted, not yet flushed; row of `pending`.
        case pending(row: Int)
    }

    private let lock = NSLock()
    private var places: [FeatureKey: Place] = [:]
    private var shards: [TensorView] = []
    private var pendingKeys: [FeatureKey] = []
    private var pending: [Float] = []
    private let stats: FileStatIndex
    /// Rows after which `insert` flushes by itself.
    private let flushEvery: Int

    /// Opens the space's folder below `path`, or creates it.
    /// - Throws: ``TrainingError/badFeatureShard(path:reason:)``, `SafetensorsError` for a damaged shard.
    public init(path: String, space: FeatureSpace, flushEvery: Int = 8192) throws {
        precondition(space.dimension > 0 && flushEvery > 0)
        self.space = space
        self.flushEvery = flushEvery
        folder = "\(path)/\(space.identifier)"
        try FileSystem.createFolder(folder)
        let description = "\(folder)/space.json"
        if !FileSystem.exists(description) { try AtomicFile.write(PrettyJSON.encode(space), to: description) }
        stats = try FileStatIndex(path: "\(folder)/files.jsonl")
        for name in try FileSystem.entries(folder) where name.hasPrefix("features-") && name.hasSuffix(".safetensors") {
            try open(shard: "\(folder)/\(name)")
        }
    }

    private func open(shard path: String) throws {
        let file = try SafetensorsFile(path: path)
        let keys = try file.tensor(named: "keys").requiring(.uint8)
        let features = try file.tensor(named: "features").requiring(.float32)
        guard keys.shape.count == 2, keys.shape[1] == 16, features.shape == [keys.shape[0], space.dimension] else {
            throw TrainingError.badFeatureShard(
                path: path,
                reason:
                    "keys \(keys.shape) and features \(features.shape), expected [n, 16] and [n, \(space.dimension)]")
        }
        shards.append(features)
        keys.withUnsafeBytes { bytes in
            for row in 0..<keys.shape[0] {
                let key = FeatureKey(digest: UnsafeRawBufferPointer(rebasing: bytes[row * 16..<row * 16 + 16]))
                if places[key] == nil { places[key] = .shard(shards.count - 1, row: row) }
            }
        }
    }

    /// The number of inputs that have features, including those not yet flushed.
    public var count: Int { lock.withLock { places.count } }

    // MARK: Keys

    /// The key of a file's content; the file is read only if its size or modification time is not the known one.
    /// - Throws: `FileError`.
    public func key(ofFile path: String) throws -> FeatureKey {
        FeatureKey(hexadecimal: try stats.contentHash(of: path))
    }

    /// The key of a text's UTF-8.
    public static func key(ofText text: String) -> FeatureKey {
        FeatureKey(hexadecimal: ContentHash.sha256(of: text))
    }

    public func contains(_ key: FeatureKey) -> Bool { lock.withLock { places[key] != nil } }

    // MARK: Reading and filling

    /// Features of the keys, in their order.
    /// - Returns: `[keys.count, dimension]`, float32, memory of its own.
    /// - Throws: ``TrainingError/featureMissing(space:key:)``.
    public func features(_ keys: [FeatureKey]) throws -> Tensor {
        let dimension = space.dimension
        let result = Tensor.empty([keys.count, dimension])
        try lock.withLock {
            try result.withUnsafeMutableBytes { target in
                for (index, key) in keys.enumerated() {
                    guard let place = places[key] else {
                        throw TrainingError.featureMissing(space: space.name, key: key.description)
                    }
                    let row = UnsafeMutableRawBufferPointer(
                        rebasing: target[index * dimension * 4..<(index + 1) * dimension * 4])
                    switch place {
                    case .shard(let shard, let number):
                        shards[shard].withUnsafeBytes { bytes in
                            row.copyMemory(
                                from: UnsafeRawBufferPointer(
                                    rebasing: bytes[number * dimension * 4..<(number + 1) * dimension * 4]))
                        }
                    case .pending(let number):
                        pending.withUnsafeBytes { bytes in
                            row.copyMemory(
                                from: UnsafeRawBufferPointer(
                                    rebasing: bytes[number * dimension * 4..<(number + 1) * dimension * 4]))
                        }
                    }
                }
            }
        }
        return result
    }

    /// Adds features. A key that already has some keeps them, so that what was read once never changes.
    /// - Parameter features: `[keys.count, dimension]`, any float dtype, stored as float32.
    public func insert(_ keys: [FeatureKey], _ features: Tensor) throws {
        let dimension = space.dimension
        guard features.shape == [keys.count, dimension] else {
            throw TrainingError.featureShape(expected: [keys.count, dimension], got: features.shape)
        }
        let values = features.detached().to(.float32).to(.cpu).contiguous()
        let isFull = lock.withLock {
            values.withUnsafeBytes { bytes in
                let floats = bytes.bindMemory(to: Float.self)
                for (index, key) in keys.enumerated() where places[key] == nil {
                    places[key] = .pending(row: pendingKeys.count)
                    pendingKeys.append(key)
                    pending.append(contentsOf: floats[index * dimension..<(index + 1) * dimension])
                }
            }
            return pendingKeys.count >= flushEvery
        }
        if isFull { try flush() }
    }

    /// Writes what was inserted since the last flush; atomic.
    public func flush() throws {
        try stats.flush()
        try lock.withLock {
            guard !pendingKeys.isEmpty else { return }
            var generator = SystemRandomNumberGenerator()
            let tag = String(UInt64.random(in: 0...UInt64.max, using: &generator), radix: 36)
            let path = "\(folder)/features-\(tag).safetensors"
            let keys = pendingKeys.flatMap(\.bytes)
            try keys.withUnsafeBytes { keyBytes in
                try pending.withUnsafeBytes { featureBytes in
                    try SafetensorsWriter.write(
                        tensors: [
                            .init(name: "keys", elementType: .uint8, shape: [pendingKeys.count, 16], bytes: keyBytes),
                            .init(
                                name: "features", elementType: .float32, shape: [pendingKeys.count, space.dimension],
                                bytes: featureBytes),
                        ], to: path)
                }
            }
            shards.append(try SafetensorsFile(path: path).tensor(named: "features"))
            for (row, key) in pendingKeys.enumerated() { places[key] = .shard(shards.count - 1, row: row) }
            pendingKeys = []
            pending = []
        }
    }
}

extension FeatureCache {
    /// Computes the missing features of `keys`, in chunks that depend only on `keys`.
    ///
    /// The last bits of a feature can depend on the rest of its batch. So chunk `i` always consists of inputs `i *
    /// chunkSize ..< (i + 1) * chunkSize` of the distinct keys, and a chunk in which anything is missing is computed
    /// whole: a fill that was interrupted gives the same bits as one that was not.
    /// - Parameters:
    ///   - keys: may repeat.
    ///   - compute: gets the indices (into `keys`) of a chunk's inputs, gives `[indices.count, dimension]`.
    ///   - progress: gets the number of distinct inputs done and their total after every chunk.
    public func fill(
        _ keys: [FeatureKey], chunkSize: Int, progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in },
        compute: (_ indices: [Int]) throws -> Tensor
    ) throws {
        precondition(chunkSize > 0)
        var seen: Set<FeatureKey> = []
        let distinct = keys.indices.filter { seen.insert(keys[$0]).inserted }
        do {
            for start in stride(from: 0, to: distinct.count, by: chunkSize) {
                let chunk = Array(distinct[start..<min(start + chunkSize, distinct.count)])
                let chunkKeys = chunk.map { keys[$0] }
                if !chunkKeys.allSatisfy(contains) { try insert(chunkKeys, compute(chunk)) }
                try progress(start + chunk.count, distinct.count)
            }
        } catch {
            // What was computed so far is kept.
            try flush()
            throw error
        }
        try flush()
    }
}
