import Files
import Synchronization

/// Byte-level byte-pair encoding: words of bytes to token ids, by merge ranks (Sennrich et al. 2016).
///
/// Everything is keyed by bytes and integers; `String` equality (canonical equivalence) is never used.
final class BytePairEncoder: Sendable {
    /// Token of each id, in the byte alphabet, as UTF-8; nil for ids that are not used.
    private let tokens: [[UInt8]?]
    private let ids: [TokenBytes: Int32]
    private let byteIDs: [Int32]
    /// Ids of bytes that end a word; the same as `byteIDs` when the vocabulary marks no ends.
    private let finalByteIDs: [Int32]
    private let merges: MergeTable
    private let cache = Mutex(WordCache())

    /// - Parameters:
    ///   - path: the file that errors name.
    ///   - vocabulary: tokens and ids.
    ///   - merges: pairs of tokens, the first has the lowest rank.
    ///   - endOfWord: what is appended to the last character of a word; `</w>` for CLIP, empty for GPT-2.
    init(
        path: String, vocabulary: [(token: [UInt8], id: Int)], merges: [(left: [UInt8], right: [UInt8])],
        endOfWord: [UInt8]
    ) throws(TokenizerError) {
        var tokens: [[UInt8]?] = []
        var ids: [TokenBytes: Int32] = [:]
        ids.reserveCapacity(vocabulary.count)
        let limit = max(1 << 20, 4 * vocabulary.count)
        for (token, id) in vocabulary {
            guard 0 <= id, id < limit else {
                throw .badField(
                    path: path, field: "id of '\(text(token))'", expected: "an integer from 0 to \(limit - 1)",
                    got: "\(id)")
            }
            if id >= tokens.count { tokens.append(contentsOf: repeatElement(nil, count: id + 1 - tokens.count)) }
            if let first = tokens[id] {
                throw .duplicateID(path: path, id: id, first: text(first), second: text(token))
            }
            tokens[id] = token
            ids[TokenBytes(bytes: token)] = Int32(id)
        }
        self.tokens = tokens
        self.ids = ids

        func byteTable(suffix: [UInt8]) throws(TokenizerError) -> [Int32] {
            var table: [Int32] = []
            for byte in UInt8.min...UInt8.max {
                let token = ByteAlphabet.token(byte) + suffix
                guard let id = ids[TokenBytes(bytes: token)] else {
                    throw .missingByte(path: path, byte: byte, token: text(token))
                }
                table.append(id)
            }
            return table
        }
        byteIDs = try byteTable(suffix: [])
        finalByteIDs = endOfWord.isEmpty ? byteIDs : try byteTable(suffix: endOfWord)

        var table = MergeTable(capacity: merges.count)
        for (rank, merge) in merges.enumerated() {
            func id(_ token: [UInt8]) throws(TokenizerError) -> Int32 {
                guard let id = ids[TokenBytes(bytes: token)] else {
                    throw .mergeOutOfVocabulary(
                        path: path, merge: "\(text(merge.left)) \(text(merge.right))", token: text(token))
                }
                return id
            }
            table.insert(
                left: try id(merge.left), right: try id(merge.right), rank: UInt32(rank),
                result: try id(merge.left + merge.right))
        }
        self.merges = table
    }

    /// The number of tokens in the vocabulary.
    var count: Int { ids.count }

    /// All ids are below this.
    var limit: Int { tokens.count }

    func id(of token: [UInt8]) -> Int32? { ids[TokenBytes(bytes: token)] }

    func id(of token: ExactString) -> Int32? { id(of: Array(token.string.utf8)) }

    /// The token of an id, in the byte alphabet; nil where the vocabulary has none.
    func token(of id: Int) -> [UInt8]? { tokens.indices.contains(id) ? tokens[id] : nil }

    /// Runs `body` with the cache of words, or with a fresh one if another thread has the cache.
    func withCache<Result>(_ body: (inout WordCache) throws -> Result) rethrows -> Result {
        if let result = try cache.withLockIfAvailable({ try body(&$0) }) { return result }
        var own = WordCache()
        return try body(&own)
    }

    /// Appends the ids of one word.
    func encode(word: UnsafeBufferPointer<UInt8>, cache: inout WordCache, into output: inout [Int32]) {
        guard word.count > 0 else { return }
        if cache.append(word, to: &output) { return }
        let start = output.count
        for byte in word { output.append(byteIDs[Int(byte)]) }
        output[output.count - 1] = finalByteIDs[Int(word[word.count - 1])]
        merges.merge(&output, from: start)
        cache.insert(word, output[start...])
    }
}

/// A token as a dictionary key; `[UInt8]` itself hashes byte by byte, which is many times slower.
private struct TokenBytes: Hashable {
    let bytes: [UInt8]

    func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// Ranks and results of merges by the pair of ids: open addressing with linear probing.
struct MergeTable: Sendable {
    struct Merge {
        let rank: UInt32
        let result: Int32
    }

    static let none = Merge(rank: .max, result: -1)

    private var keys: [UInt64]
    private var values: [Merge]
    private let mask: Int

    init(capacity: Int) {
        var size = 16
        while size < 2 * capacity { size *= 2 }
        keys = Array(repeating: .max, count: size)
        values = Array(repeating: Self.none, count: size)
        mask = size - 1
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private func slot(_ key: UInt64) -> Int {
        // Fibonacci hashing; the high bits are the well-mixed ones.
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while keys[slot] != key, keys[slot] != .max { slot = (slot + 1) & mask }
        return slot
    }

    /// A pair that is listed twice gets the later rank, as in a Python dictionary of merges.
    mutating func insert(left: Int32, right: Int32, rank: UInt32, result: Int32) {
        let key = Self.key(left, right)
        let slot = slot(key)
        keys[slot] = key
        values[slot] = Merge(rank: rank, result: result)
    }

    subscript(left: Int32, right: Int32) -> Merge {
        values[slot(Self.key(left, right))]
    }

    /// Merges the pair of lowest rank, leftmost first, until there is none.
    func merge(_ output: inout [Int32], from start: Int) {
        if output.count - start <= 48 { mergeShort(&output, from: start) } else { mergeLong(&output, from: start) }
    }

    private func mergeShort(_ output: inout [Int32], from start: Int) {
        while output.count - start > 1 {
            var best = MergeTable.none
            var at = start
            for i in start..<output.count - 1 {
                let merge = self[output[i], output[i + 1]]
                if merge.rank < best.rank { (best, at) = (merge, i) }
            }
            guard best.rank != UInt32.max else { return }
            output[at] = best.result
            output.remove(at: at + 1)
        }
    }

    /// The same with a queue and a linked list, for words whose square would hurt.
    private func mergeLong(_ output: inout [Int32], from start: Int) {
        let count = output.count - start
        var symbols = Array(output[start...])
        var next = Array(1...count)
        var previous = Array(-1..<count - 1)
        var queue = MinimumQueue()
        func push(_ left: Int) {
            let right = next[left]
            guard right < count else { return }
            let merge = self[symbols[left], symbols[right]]
            if merge.rank != UInt32.max { queue.push(UInt64(merge.rank) << 32 | UInt64(left)) }
        }
        for i in 0..<count - 1 { push(i) }
        while let entry = queue.pop() {
            let left = Int(entry & 0xFFFF_FFFF)
            // Entries whose pair has changed since are stale; a merged-away symbol is -1.
            guard symbols[left] >= 0, next[left] < count else { continue }
            let right = next[left]
            let merge = self[symbols[left], symbols[right]]
            guard UInt64(merge.rank) == entry >> 32 else { continue }
            symbols[left] = merge.result
            symbols[right] = -1
            next[left] = next[right]
            if next[right] < count { previous[next[right]] = left }
            push(left)
            if previous[left] >= 0 { push(previous[left]) }
        }
        output.removeSubrange(start...)
        var i = 0
        while i < count {
            output.append(symbols[i])
            i = next[i]
        }
    }
}

/// A binary heap of integers.
private struct MinimumQueue {
    private var heap: [UInt64] = []

    mutating func push(_ value: UInt64) {
        heap.append(value)
        var i = heap.count - 1
        while i > 0, heap[(i - 1) / 2] > heap[i] {
            heap.swapAt(i, (i - 1) / 2)
            i = (i - 1) / 2
        }
    }

    mutating func pop() -> UInt64? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var i = 0
        while true {
            var least = i
            if 2 * i + 1 < heap.count, heap[2 * i + 1] < heap[least] { least = 2 * i + 1 }
            if 2 * i + 2 < heap.count, heap[2 * i + 2] < heap[least] { least = 2 * i + 2 }
            if least == i { return first }
            heap.swapAt(i, least)
            i = least
        }
    }
}

/// Ids of words seen before, in a flat hash table over bytes. It accepts no more words when it is full.
struct WordCache: Sendable {
    private struct Entry {
        var hash: UInt32 = 0
        var keyStart: UInt32 = 0
        var valueStart: UInt32 = 0
        var keyCount: UInt16 = 0
        var valueCount: UInt16 = 0
    }

    private static let slotCount = 1 << 17
    private static let entryLimit = slotCount / 2
    private static let wordLimit = 64

    private var entries: [Entry] = []
    private var keys: [UInt8] = []
    private var values: [Int32] = []
    private var count = 0

    private static func hash(_ word: UnsafeBufferPointer<UInt8>) -> UInt32 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in word { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return UInt32(truncatingIfNeeded: hash ^ hash >> 32)
    }

    /// The slot of the word, or the free slot for it.
    private func slot(_ word: UnsafeBufferPointer<UInt8>, hash: UInt32) -> Int {
        var slot = Int(hash) & (Self.slotCount - 1)
        while entries[slot].keyCount != 0 {
            let entry = entries[slot]
            if entry.hash == hash, Int(entry.keyCount) == word.count {
                let start = Int(entry.keyStart)
                if keys.withUnsafeBufferPointer({ $0[start..<start + word.count].elementsEqual(word) }) { return slot }
            }
            slot = (slot + 1) & (Self.slotCount - 1)
        }
        return slot
    }

    /// Appends the ids of `word` if it is known.
    func append(_ word: UnsafeBufferPointer<UInt8>, to output: inout [Int32]) -> Bool {
        guard !entries.isEmpty, word.count <= Self.wordLimit else { return false }
        let entry = entries[slot(word, hash: Self.hash(word))]
        guard entry.keyCount != 0 else { return false }
        let start = Int(entry.valueStart)
        for i in start..<start + Int(entry.valueCount) { output.append(values[i]) }
        return true
    }

    mutating func insert(_ word: UnsafeBufferPointer<UInt8>, _ ids: ArraySlice<Int32>) {
        guard count < Self.entryLimit, word.count <= Self.wordLimit else { return }
        if entries.isEmpty { entries = Array(repeating: Entry(), count: Self.slotCount) }
        let hash = Self.hash(word)
        let slot = slot(word, hash: hash)
        guard entries[slot].keyCount == 0 else { return }
        entries[slot] = Entry(
            hash: hash, keyStart: UInt32(keys.count), valueStart: UInt32(values.count), keyCount: UInt16(word.count),
            valueCount: UInt16(ids.count))
        keys.append(contentsOf: word)
        values.append(contentsOf: ids)
        count += 1
    }
}
