import Foundation

/// Noise levels `√((1 - ᾱ) / ᾱ)` of the training steps, and the ways to choose inference steps among them.
struct SigmaTable {
    /// Ascending with the training step.
    let sigmas: [Float]
    let logarithms: [Float]

    init(_ noise: NoiseSchedule, _ configuration: SchedulerConfiguration) {
        sigmas = noise.sigmas(lastIsFinite: configuration.rescalesToZeroSNR)
        logarithms = sigmas.map { log($0) }
    }

    /// The level at a training step that may lie between two, as in `numpy.interp`.
    func sigma(at timestep: Double) -> Double {
        let low = min(max(Int(timestep.rounded(.down)), 0), sigmas.count - 1)
        guard low + 1 < sigmas.count, timestep > Double(low) else { return Double(sigmas[low]) }
        let (a, b) = (Double(sigmas[low]), Double(sigmas[low + 1]))
        return (b - a) * (timestep - Double(low)) + a
    }

    /// The fractional training step whose level is `sigma`: linear in the logarithm.
    func timestep(of sigma: Double) -> Double {
        let value = log(max(sigma, 1e-10))
        let below = logarithms.lastIndex { value >= Double($0) } ?? 0
        let low = min(below, logarithms.count - 2)
        let weight = (Double(logarithms[low]) - value) / Double(logarithms[low] - logarithms[low + 1])
        let clipped = min(max(weight, 0), 1)
        return (1 - clipped) * Double(low) + clipped * Double(low + 1)
    }

    /// `count` levels from `largest` down to `smallest`, even in σ^(1/7) (Karras et al. 2022, eq. 5).
    static func karras(_ count: Int, largest: Double, smallest: Double) -> [Double] {
        let rho = 7.0
        let (high, low) = (pow(largest, 1 / rho), pow(smallest, 1 / rho))
        return evenlySpaced(0, 1, count).map { pow(high + $0 * (low - high), rho) }
    }

    /// `count` levels from `largest` down to `smallest`, even in their logarithm.
    static func exponential(_ count: Int, largest: Double, smallest: Double) -> [Double] {
        evenlySpaced(log(largest), log(smallest), count).map { exp($0) }
    }

    /// The level after the last step.
    func final(_ choice: SchedulerConfiguration.FinalSigma) -> Double {
        choice == .zero ? 0 : Double(sigmas[0])
    }
}
