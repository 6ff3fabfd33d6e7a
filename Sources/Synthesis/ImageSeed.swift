/// The seed of one image's noise: a function only of the run's seed, the caption's row and the image's number, and not
/// of batch size, shard, device, or what was generated before.
///
/// The seed goes to a CPU generator (`torch.Generator().manual_seed(seed)` in Python draws the same noise), whose
/// Mersenne twister takes the low 32 bits and ignores the rest. Those bits are a permutation of (row, image) chosen by
/// the run's seed, so no two images of a run have the same noise as long as there are at most 2²⁴ rows and 256 images
/// of each. The 21 bits above are hashed from all three numbers. With 53 bits in all, the seed survives every JSON
/// reader.
public enum ImageSeed {
    /// - Parameters:
    ///   - seed: the run's seed.
    ///   - row: number of the caption in its file, from 0.
    ///   - image: number of the image among those of the caption, from 0.
    /// - Returns: below 2⁵³.
    public static func derive(seed: UInt64, row: Int, image: Int) -> UInt64 {
        let key = mix64(seed &+ 0x9E37_79B9_7F4A_7C15)
        let place = UInt32(truncatingIfNeeded: row) ^ UInt32(truncatingIfNeeded: image) &<< 24
        let low = mix32(mix32(place ^ UInt32(truncatingIfNeeded: key)) ^ UInt32(truncatingIfNeeded: key &>> 32))
        let high = mix64(mix64(key ^ UInt64(row)) ^ UInt64(image)) &>> 43
        return high &<< 32 | UInt64(low)
    }

    /// The finaliser of SplitMix64 (Steele et al. 2014).
    private static func mix64(_ value: UInt64) -> UInt64 {
        var x = value
        x = (x ^ x &>> 30) &* 0xBF58_476D_1CE4_E5B9
        x = (x ^ x &>> 27) &* 0x94D0_49BB_1331_11EB
        return x ^ x &>> 31
    }

    /// A bijection of 32 bits with little bias (Wellons 2018, "lowbias32").
    private static func mix32(_ value: UInt32) -> UInt32 {
        var x = value
        x = (x ^ x &>> 16) &* 0x7FEB_352D
        x = (x ^ x &>> 15) &* 0x846C_A68B
        return x ^ x &>> 16
    }
}
