import Randomness

/// The generator behind every scene, caption and batch of the miniature.
public typealias SplitMix = SplitMix64

extension SplitMix64 {
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
