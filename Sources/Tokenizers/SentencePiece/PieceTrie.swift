/// The pieces of a vocabulary by their bytes, for finding all that begin at a place in a text.
struct PieceTrie: Sendable {
    /// `node << 8 | byte` to the next node: open addressing with linear probing.
    private var keys: [UInt64]
    private var nodes: [Int32]
    /// Of each node the value that ends there; -1 for none.
    private var values: [Int32] = [-1]
    private let mask: Int

    /// - Parameter pieces: of the same text the last one counts.
    init(_ pieces: [(text: [UInt8], value: Int32)]) {
        let bytes = pieces.reduce(0) { $0 + $1.text.count }
        var size = 64
        while size < 2 * bytes { size *= 2 }
        keys = Array(repeating: .max, count: size)
        nodes = Array(repeating: -1, count: size)
        mask = size - 1
        for (text, value) in pieces {
            var node: Int32 = 0
            for byte in text {
                let slot = slot(node, byte)
                if nodes[slot] < 0 {
                    keys[slot] = Self.key(node, byte)
                    nodes[slot] = Int32(values.count)
                    values.append(-1)
                }
                node = nodes[slot]
            }
            values[Int(node)] = value
        }
    }

    private static func key(_ node: Int32, _ byte: UInt8) -> UInt64 { UInt64(node) << 8 | UInt64(byte) }

    private func slot(_ node: Int32, _ byte: UInt8) -> Int {
        let key = Self.key(node, byte)
        var slot = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while keys[slot] != key, keys[slot] != .max { slot = (slot + 1) & mask }
        return slot
    }

    /// Calls `body` with length and value of every piece that stands at `start`, the shortest first.
    @inline(__always)
    func pieces(
        in text: UnsafeBufferPointer<UInt8>, from start: Int, _ body: (_ length: Int, _ value: Int32) -> Void
    ) {
        var node: Int32 = 0
        for i in start..<text.count {
            node = nodes[slot(node, text[i])]
            if node < 0 { return }
            if values[Int(node)] >= 0 { body(i - start + 1, values[Int(node)]) }
        }
    }

    /// The value of a whole text; nil where it is no piece.
    func value(of text: some Collection<UInt8>) -> Int32? {
        var node: Int32 = 0
        for byte in text {
            node = nodes[slot(node, byte)]
            if node < 0 { return nil }
        }
        return values[Int(node)] >= 0 ? values[Int(node)] : nil
    }
}
