/// Hashing of parser features: deterministic, the same on every machine and in every run.
@_spi(Training) public enum FeatureHash {
    /// FNV-1a over the UTF-8 bytes of a word.
    @_spi(Training) public static func word(_ text: some StringProtocol) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        return hash
    }

    /// Mixes one more value into a feature.
    @inline(__always)
    @_spi(Training) public static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var x = (a ^ b) &* 0x9e37_79b9_7f4a_7c15
        x ^= x >> 29
        x = x &* 0xbf58_476d_1ce4_e5b9
        return x ^ (x >> 32)
    }
}

/// The keys of the features active in one decision; reused so that hot loops allocate nothing.
@_spi(Training) public struct FeatureBuffer {
    @_spi(Training) public private(set) var keys: [UInt32] = []
    private var template: UInt64 = 0

    @_spi(Training) public init() { keys.reserveCapacity(96) }

    /// Starts the features of a new decision.
    @inline(__always)
    @_spi(Training) public mutating func reset() {
        keys.removeAll(keepingCapacity: true)
        template = 0
    }

    @inline(__always)
    @_spi(Training) public mutating func add(_ a: UInt64) {
        template &+= 1
        keys.append(UInt32(truncatingIfNeeded: FeatureHash.mix(template, a)))
    }

    @inline(__always)
    @_spi(Training) public mutating func add(_ a: UInt64, _ b: UInt64) {
        template &+= 1
        keys.append(UInt32(truncatingIfNeeded: FeatureHash.mix(FeatureHash.mix(template, a), b)))
    }

    @inline(__always)
    @_spi(Training) public mutating func add(_ a: UInt64, _ b: UInt64, _ c: UInt64) {
        template &+= 1
        keys.append(
            UInt32(truncatingIfNeeded: FeatureHash.mix(FeatureHash.mix(FeatureHash.mix(template, a), b), c)))
    }

    @inline(__always)
    @_spi(Training) public mutating func add(_ a: UInt64, _ b: UInt64, _ c: UInt64, _ d: UInt64) {
        template &+= 1
        keys.append(
            UInt32(
                truncatingIfNeeded: FeatureHash.mix(
                    FeatureHash.mix(FeatureHash.mix(FeatureHash.mix(template, a), b), c), d)))
    }
}
