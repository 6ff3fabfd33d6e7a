import Foundation

/// Student's distribution, for intervals over few seeds.
enum StudentT {
    /// The value below which a share of the distribution lies.
    /// - Parameters:
    ///   - share: above 0 and below 1; `degrees`: of freedom, at least 1.
    static func quantile(_ share: Double, degrees: Int) -> Double {
        if share < 0.5 { return -quantile(1 - share, degrees: degrees) }
        var (low, high) = (0.0, 1.0)
        while cumulative(high, degrees: degrees) < share { high *= 2 }
        for _ in 0..<100 {
            let middle = (low + high) / 2
            if cumulative(middle, degrees: degrees) < share { low = middle } else { high = middle }
        }
        return (low + high) / 2
    }

    /// The share of the distribution below `t`, at least 0.
    private static func cumulative(_ t: Double, degrees: Int) -> Double {
        let n = Double(degrees)
        return 1 - incompleteBeta(n / (n + t * t), n / 2, 0.5) / 2
    }

    /// The regularised incomplete beta function, by Lentz's continued fraction.
    private static func incompleteBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
        if x <= 0 { return 0 }
        if x >= 1 { return 1 }
        // The fraction converges fast on one side of the mean; the other follows by symmetry.
        if x > (a + 1) / (a + b + 2) { return 1 - incompleteBeta(1 - x, b, a) }
        let scale: Double = lgamma(a + b) - lgamma(a) - lgamma(b)
        let power: Double = a * log(x) + b * log(1 - x)
        let front = exp(scale + power) / a
        var c = 1.0
        var d = 1 / nonZero(1 - (a + b) * x / (a + 1))
        var fraction = d
        for m in 1...300 {
            let m = Double(m)
            let twice: Double = a + 2 * m
            let even: Double = m * (b - m) * x / ((twice - 1) * twice)
            d = 1 / nonZero(1 + even * d)
            c = nonZero(1 + even / c)
            fraction *= d * c
            let odd: Double = -(a + m) * (a + b + m) * x / (twice * (twice + 1))
            d = 1 / nonZero(1 + odd * d)
            c = nonZero(1 + odd / c)
            fraction *= d * c
            if abs(d * c - 1) < 1e-15 { break }
        }
        return front * fraction
    }

    private static func nonZero(_ value: Double) -> Double { abs(value) < 1e-300 ? 1e-300 : value }

    /// The fewest seeds with which a paired test at 5 % finds a mean difference in four of five cases.
    /// - Parameters:
    ///   - difference: the mean to be found, not 0; `deviation`: of the seeds' differences.
    /// - Returns: nil above a thousand.
    static func seedsNeeded(difference: Double, deviation: Double) -> Int? {
        (2...1000).first { count in
            let sum = quantile(0.975, degrees: count - 1) + quantile(0.8, degrees: count - 1)
            return Double(count).squareRoot() * abs(difference) >= sum * deviation
        }
    }
}
