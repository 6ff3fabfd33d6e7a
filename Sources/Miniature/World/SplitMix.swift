/// SplitMix64 (Steele, Lea & Flood 2014): a small generator whose numbers are the same on every machine and in every version.
///
/// The standard library's generators and shuffles may change between releases; a scene must not.
public struct SplitMix: Sendable, Hashable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// A stream of its own for each combination of numbers.
    public init(seed: UInt64, stream: UInt64) {
        var mixer = SplitMix(seed: seed)
        let base = mixer.next()
        self.init(seed: base ^ (stream &* 0xD1B5_4A32_D192_ED03))
        state = next()
    }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Uniform in [low, high).
    public mutating func uniform(_ low: Double, _ high: Double) -> Double { low + (high - low) * uniform() }

    /// Uniform in `0..<bound`; the bias of the multiplication, below 2⁻³² for bounds used here, is accepted.
    public mutating func integer(below bound: Int) -> Int {
        precondition(bound > 0)
        return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    public mutating func chance(_ probability: Double) -> Bool { uniform() < probability }

    public mutating func pick<Element>(_ elements: [Element]) -> Element { elements[integer(below: elements.count)] }

    /// Fisher–Yates.
    public mutating func shuffle<Element>(_ elements: inout [Element]) {
        guard elements.count > 1 else { return }
        for last in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(last, integer(below: last + 1))
        }
    }
}
