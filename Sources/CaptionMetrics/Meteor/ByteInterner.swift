/// Gives byte strings small consecutive numbers, in the order of their first appearance.
struct ByteInterner {
    /// All strings one after the other; string `id` is `bytes[offsets[id] ..< offsets[id + 1]]`.
    private(set) var bytes: [UInt8] = []
    private(set) var offsets: [UInt32] = [0]
    /// Open addressing: id + 1, or 0 for a free slot; at most half full.
    private(set) var slots: [UInt32]

    init(minimumSlots: Int = 1024) { slots = [UInt32](repeating: 0, count: minimumSlots) }

    var count: Int { offsets.count - 1 }

    subscript(id: Int) -> ArraySlice<UInt8> { bytes[Int(offsets[id])..<Int(offsets[id + 1])] }

    /// The number of `word`, and whether it is new.
    mutating func intern(_ word: UnsafeBufferPointer<UInt8>) -> (id: Int, isNew: Bool) {
        let mask = slots.count - 1
        var slot = Int(MeteorLayout.hash(word)) & mask
        while slots[slot] != 0 {
            let id = Int(slots[slot]) - 1
            let (start, end) = (Int(offsets[id]), Int(offsets[id + 1]))
            if end - start == word.count, bytes[start..<end].elementsEqual(word) { return (id, false) }
            slot = (slot + 1) & mask
        }
        let id = count
        bytes += word
        offsets.append(UInt32(bytes.count))
        slots[slot] = UInt32(id + 1)
        if count * 2 > slots.count { grow() }
        return (id, true)
    }

    mutating func intern(_ word: some Collection<UInt8>) -> (id: Int, isNew: Bool) {
        Array(word).withUnsafeBufferPointer { intern($0) }
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 2)
        let mask = slots.count - 1
        bytes.withUnsafeBufferPointer { bytes in
            for id in 0..<count {
                let word = UnsafeBufferPointer(rebasing: bytes[Int(offsets[id])..<Int(offsets[id + 1])])
                var slot = Int(MeteorLayout.hash(word)) & mask
                while slots[slot] != 0 { slot = (slot + 1) & mask }
                slots[slot] = UInt32(id + 1)
            }
        }
    }
}
