import Foundation

/// A scale with ticks at round numbers.
struct Axis: Equatable {
    let lower: Double
    let upper: Double
    /// Ascending, within `lower...upper`.
    let ticks: [Double]
    let isLogarithmic: Bool

    /// An axis over the values, a little wider on both sides so that nothing lies on the frame.
    /// - Parameters:
    ///   - values: finite; without any the axis is 0...1.
    ///   - ticks: the approximate number of ticks.
    ///   - logarithmic: if nil, values over more than two decades, all above 0, get a logarithmic axis.
    init(_ values: some Sequence<Double>, ticks count: Int = 5, padding: Double = 0.04, logarithmic: Bool? = nil) {
        let values = Array(values)
        var low = values.min() ?? 0
        var high = values.max() ?? 1
        isLogarithmic = low > 0 && (logarithmic ?? (high / low > 100))
        if isLogarithmic {
            if high <= low { (low, high) = (low / 2, high * 2) }
            let margin = padding * log10(high / low)
            lower = low / pow(10, margin)
            upper = high * pow(10, margin)
            ticks = Self.logarithmicTicks(lower, upper, count)
        } else {
            if high <= low {
                let margin = low == 0 ? 1 : abs(low) * 0.1
                (low, high) = (low - margin, high + margin)
            }
            let margin = padding * (high - low)
            lower = low - margin
            upper = high + margin
            ticks = Self.linearTicks(lower, upper, count)
        }
    }

    /// An axis exactly from `lower` to `upper`.
    init(from lower: Double, to upper: Double, ticks count: Int = 5) {
        self.lower = lower
        self.upper = upper
        isLogarithmic = false
        ticks = Self.linearTicks(lower, upper, count)
    }

    /// 0 at the lower end, 1 at the upper end; values outside give numbers outside.
    func position(_ value: Double) -> Double {
        isLogarithmic ? log(value / lower) / log(upper / lower) : (value - lower) / (upper - lower)
    }

    /// Multiples of 1, 2 or 5 times a power of ten.
    static func linearTicks(_ lower: Double, _ upper: Double, _ count: Int) -> [Double] {
        // Steps are rounded up, so a short axis may get only one tick; then a finer step is used.
        for finer in max(1, count)..<(max(1, count) * 4) {
            let ticks = multiples(lower, upper, finer)
            if ticks.count > 2 { return ticks }
        }
        return multiples(lower, upper, count)
    }

    private static func multiples(_ lower: Double, _ upper: Double, _ count: Int) -> [Double] {
        let step = roundStep((upper - lower) / Double(max(1, count)))
        guard step > 0, step.isFinite else { return [lower] }
        // An end that is itself a tick must not be lost to the rounding of the quotient.
        let first = Int((lower / step - 1e-9).rounded(.up))
        let last = Int((upper / step + 1e-9).rounded(.down))
        guard first <= last else { return [] }
        // Computed as a quotient of whole numbers: 3 * 0.1 would print as 0.30000000000000004.
        return (first...last).map { step < 1 ? Double($0) / (1 / step).rounded(toPlaces: 6) : Double($0) * step }
    }

    static func roundStep(_ raw: Double) -> Double {
        guard raw > 0, raw.isFinite else { return 0 }
        let power = pow(10, floor(log10(raw)))
        let lead = raw / power
        return (lead <= 1.0001 ? 1 : lead <= 2.0001 ? 2 : lead <= 5.0001 ? 5 : 10) * power
    }

    private static func logarithmicTicks(_ lower: Double, _ upper: Double, _ count: Int) -> [Double] {
        let decades = Int(floor(log10(lower)))...Int(ceil(log10(upper)))
        func ticks(_ leads: [Double]) -> [Double] {
            decades.flatMap { decade in leads.map { $0 * pow(10, Double(decade)) } }
                .filter { $0 >= lower && $0 <= upper }
        }
        let powers = ticks([1])
        if powers.count >= 3 {
            let stride = (powers.count + count) / (count + 1)
            return powers.enumerated().filter { $0.offset % max(1, stride) == 0 }.map(\.element)
        }
        let some = ticks([1, 2, 5])
        return some.count >= 2 ? some : linearTicks(lower, upper, count)
    }

    /// Texts for the ticks: the same number of decimals for all, `k` and `M` for large ones, powers of ten for tiny
    /// ones.
    var labels: [String] { ticks.map(label) }

    private func label(_ value: Double) -> String {
        if value == 0 { return "0" }
        let size = max(abs(ticks.first ?? 0), abs(ticks.last ?? 0))
        if isLogarithmic {
            return abs(value) < 1e-3 || abs(value) >= 1e6 ? Self.scientific(value) : Self.plain(value)
        }
        if size >= 1e15 || size < 1e-3 { return Self.scientific(value) }
        if size >= 10_000_000 { return Self.plain(value / 1e6) + "M" }
        if size >= 10_000 { return Self.plain(value / 1000) + "k" }
        let step = ticks.count > 1 ? ticks[1] - ticks[0] : size
        return Number.fixed(value, max(0, min(6, Int(ceil(-log10(step) - 1e-6)))))
    }

    static func plain(_ value: Double) -> String {
        let text = Number.fixed(value, 6)
        guard text.contains(".") else { return text }
        return String(text.reversed().drop { $0 == "0" }.drop { $0 == "." }.reversed())
    }

    /// `3×10⁻⁴`.
    static func scientific(_ value: Double) -> String {
        var power = Int(floor(log10(abs(value)) + 1e-9))
        var lead = value / pow(10, Double(power))
        if abs(lead) >= 9.9995 {
            lead /= 10
            power += 1
        }
        let digits: [Character: String] = [
            "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸",
            "9": "⁹",
        ]
        let exponent = "\(power)".map { digits[$0] ?? "" }.joined()
        let number = plain((lead * 1000).rounded() / 1000)
        return number == "1" ? "10\(exponent)" : "\(number)×10\(exponent)"
    }
}

extension Double {
    /// Removes the rounding error from the reciprocal of a round step.
    fileprivate func rounded(toPlaces places: Int) -> Double {
        let unit = pow(10, Double(places))
        return (self * unit).rounded() / unit
    }
}
