import Files

/// The n-grams (n = 1…4) of every caption as counted numbers; equal n-grams have equal numbers in all captions.
struct NGramIndex: Sendable {
    static let maximumOrder = 4

    /// An n-gram of a caption and how often it occurs there.
    struct Entry: Sendable {
        let gram: Int32
        let count: Int32
    }

    let words: WordIndex
    /// The entries of caption c and order n (from 0) are at `starts[4c + n] ..< starts[4c + n + 1]`, in order of `gram`.
    let entries: [Entry]
    let starts: [Int]
    /// One more than the largest n-gram number.
    let gramCount: Int

    func entries(_ caption: Int, order: Int) -> Range<Int> {
        let index = caption * Self.maximumOrder + order
        return starts[index]..<starts[index + 1]
    }

    /// Number of words of a caption.
    func length(_ caption: Int) -> Int { words.range(of: caption).count }

    init(_ words: WordIndex) {
        self.words = words
        let captionCount = words.captionStarts.count - 1
        // Occurrences come first: that of order n at word position p has slot 4p + n, and is absent near a caption's
        // end.
        let partitions = 2
        var grams = [Int32](repeating: -1, count: words.words.count * Self.maximumOrder)
        var tableSizes = [Int](repeating: 0, count: partitions)
        grams.withUnsafeMutableBufferPointer { grams in
            tableSizes.withUnsafeMutableBufferPointer { sizes in
                // A partition owns the n-grams whose hash falls to it, so each slot is written once.
                nonisolated(unsafe) let grams = grams
                nonisolated(unsafe) let sizes = sizes
                _ = Parallel.map(partitions) { partition in
                    sizes[partition] = Self.number(words, partition, of: partitions, into: grams)
                }
            }
        }
        gramCount = (tableSizes.max() ?? 0) * partitions + partitions

        let occurrences = grams
        let blocks = Parallel.mapBlocks(captionCount) { captions in
            [Self.count(captions, words, occurrences)]
        }
        var entries: [Entry] = []
        entries.reserveCapacity(blocks.reduce(0) { $0 + $1.entries.count })
        var starts = [0]
        starts.reserveCapacity(captionCount * Self.maximumOrder + 1)
        for block in blocks {
            let base = entries.count
            entries += block.entries
            for end in block.ends { starts.append(base + end) }
        }
        self.entries = entries
        self.starts = starts
    }

    /// Numbers the n-grams of one partition; returns how many there are.
    private static func number(
        _ words: WordIndex, _ partition: Int, of partitions: Int, into grams: UnsafeMutableBufferPointer<Int32>
    ) -> Int {
        var table = GramTable()
        words.words.withUnsafeBufferPointer { text in
            for caption in 0..<words.captionStarts.count - 1 {
                let range = words.range(of: caption)
                for position in range {
                    var key = GramKey(first: 0, second: 0)
                    for order in 0..<min(maximumOrder, range.upperBound - position) {
                        key.append(text[position + order], order)
                        let hash = key.hash
                        if Int(hash >> 63) == partition {
                            let number = Int(table.number(of: key, hash: hash))
                            grams[position * maximumOrder + order] = Int32(number * partitions + partition)
                        }
                    }
                }
            }
        }
        return table.count
    }

    private static func count(
        _ captions: Range<Int>, _ words: WordIndex, _ grams: [Int32]
    ) -> (entries: [Entry], ends: [Int]) {
        var entries: [Entry] = []
        var ends: [Int] = []
        var sorted: [Int32] = []
        for caption in captions {
            let range = words.range(of: caption)
            for order in 0..<maximumOrder {
                sorted.removeAll(keepingCapacity: true)
                if range.count > order {
                    for position in range.lowerBound..<range.upperBound - order {
                        sorted.append(grams[position * maximumOrder + order])
                    }
                }
                sorted.sort()
                var index = 0
                while index < sorted.count {
                    var end = index + 1
                    while end < sorted.count, sorted[end] == sorted[index] { end += 1 }
                    entries.append(Entry(gram: sorted[index], count: Int32(end - index)))
                    index = end
                }
                ends.append(entries.count)
            }
        }
        return (entries, ends)
    }
}

/// Up to four word numbers, 0 where there is none: the n-gram itself, not a digest of it.
private struct GramKey: Equatable {
    var first: UInt64
    var second: UInt64

    @inline(__always)
    mutating func append(_ word: Int32, _ order: Int) {
        let value = UInt64(UInt32(bitPattern: word))
        switch order {
        case 0: first = value
        case 1: first |= value << 32
        case 2: second = value
        default: second |= value << 32
        }
    }

    @inline(__always)
    var hash: UInt64 {
        var hash = (first ^ (second &* 0x9E37_79B9_7F4A_7C15)) &* 0xBF58_476D_1CE4_E5B9
        hash ^= hash >> 32
        hash = hash &* 0x94D0_49BB_1331_11EB
        return hash ^ (hash >> 29)
    }
}

private struct GramTable {
    private(set) var count = 0
    private var keys = [GramKey](repeating: GramKey(first: 0, second: 0), count: 1 << 16)
    private var numbers = [Int32](repeating: 0, count: 1 << 16)

    /// The number of `key`, from 0, in order of first appearance. No key is all zero.
    @inline(__always)
    mutating func number(of key: GramKey, hash: UInt64) -> Int32 {
        let mask = keys.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while true {
            let found = keys[slot]
            if found == key { return numbers[slot] }
            if found.first == 0 { break }
            slot = (slot + 1) & mask
        }
        let number = Int32(count)
        keys[slot] = key
        numbers[slot] = number
        count += 1
        if count * 2 > keys.count { grow() }
        return number
    }

    @inline(never)
    private mutating func grow() {
        let (oldKeys, oldNumbers) = (keys, numbers)
        keys = [GramKey](repeating: GramKey(first: 0, second: 0), count: oldKeys.count * 2)
        numbers = [Int32](repeating: 0, count: keys.count)
        let mask = keys.count - 1
        for (key, number) in zip(oldKeys, oldNumbers) where key.first != 0 {
            var slot = Int(truncatingIfNeeded: key.hash) & mask
            while keys[slot].first != 0 { slot = (slot + 1) & mask }
            keys[slot] = key
            numbers[slot] = number
        }
    }
}
