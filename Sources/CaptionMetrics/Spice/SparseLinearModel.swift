/// A linear classifier over hashed features whose weights are mostly absent.
///
/// Each feature key has a row of (class, weight) pairs; the score of a class is the sum over the active features. Rows
/// are found by open addressing on the 32-bit key. Two features with the same key share a row; with half a million rows
/// that affects one look-up in ten thousand, and always the same ones.
@_spi(Training) public struct SparseLinearModel: Sendable {
    @_spi(Training) public let classCount: Int
    /// Distance from a stored weight to the next.
    @_spi(Training) public let scale: Float
    private let mask: Int
    private let slots: [UInt32]
    private let starts: [UInt32]
    private let classes: [UInt8]
    private let weights: [Int16]
    /// Row keys in file order, for writing the model again.
    @_spi(Training) public let keys: [UInt32]

    /// One row: the key of a feature and its weights.
    @_spi(Training) public struct Row: Sendable {
        @_spi(Training) public let key: UInt32
        @_spi(Training) public let entries: [(class: UInt8, weight: Int16)]

        @_spi(Training) public init(key: UInt32, entries: [(class: UInt8, weight: Int16)]) {
            self.key = key
            self.entries = entries
        }
    }

    @_spi(Training) public init(classCount: Int, scale: Float, rows: [Row]) {
        self.classCount = classCount
        self.scale = scale
        var capacity = 16
        while capacity < rows.count * 2 { capacity *= 2 }
        mask = capacity - 1
        var slots = [UInt32](repeating: 0, count: capacity)
        var starts: [UInt32] = [0]
        starts.reserveCapacity(rows.count + 1)
        var classes: [UInt8] = []
        var weights: [Int16] = []
        for (i, row) in rows.enumerated() {
            var slot = Int(row.key) & (capacity - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (capacity - 1) }
            slots[slot] = UInt32(i + 1)
            for entry in row.entries {
                classes.append(entry.class)
                weights.append(entry.weight)
            }
            starts.append(UInt32(classes.count))
        }
        self.slots = slots
        self.starts = starts
        self.classes = classes
        self.weights = weights
        keys = rows.map(\.key)
    }

    /// Adds the weights of `features` to `scores` (one element per class, in units of ``scale``).
    @_spi(Training) public func addScores(of features: FeatureBuffer, to scores: inout [Int32]) {
        slots.withUnsafeBufferPointer { slots in
            keys.withUnsafeBufferPointer { keys in
                starts.withUnsafeBufferPointer { starts in
                    classes.withUnsafeBufferPointer { classes in
                        weights.withUnsafeBufferPointer { weights in
                            scores.withUnsafeMutableBufferPointer { scores in
                                for key in features.keys {
                                    var slot = Int(key) & mask
                                    while slots[slot] != 0 {
                                        let row = Int(slots[slot]) - 1
                                        if keys[row] == key {
                                            for i in Int(starts[row])..<Int(starts[row + 1]) {
                                                scores[Int(classes[i])] &+= Int32(weights[i])
                                            }
                                            break
                                        }
                                        slot = (slot + 1) & mask
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// The row at a place in file order.
    @_spi(Training) public func row(at index: Int) -> Row {
        Row(
            key: keys[index],
            entries: (Int(starts[index])..<Int(starts[index + 1])).map { (classes[$0], weights[$0]) })
    }
}

extension [Int32] {
    /// The position of the largest element, the first on a tie.
    @_spi(Training) public func indexOfLargest() -> Int {
        var best = 0
        for i in 1..<Swift.max(count, 1) where self[i] > self[best] { best = i }
        return best
    }
}
