import Foundation
import StrictJSON

/// The forward process: `x_t = √ᾱ_t · x_0 + √(1 - ᾱ_t) · noise` at training steps `t` = 0, 1, … (Ho et al. 2020, eq. 4).
///
/// The tables are float32 and rounded where diffusers rounds, so timesteps and noise levels agree to the last digits.
public struct NoiseSchedule: Sendable, Hashable {
    /// Variance added by each training step.
    public let betas: [Float]
    /// ᾱ: the share of the original's variance that remains after each step, falling from nearly 1.
    public let alphasCumulative: [Float]

    public var trainSteps: Int { betas.count }

    /// - Throws: `JSONFileError.invalidValue` for a variance outside of 0...1.
    public init(_ configuration: SchedulerConfiguration) throws {
        var betas = configuration.trainedBetas ?? Self.betas(configuration)
        if configuration.rescalesToZeroSNR { betas = Self.rescaledToZeroSNR(betas) }
        self.betas = betas
        alphasCumulative = Self.cumulativeProducts(betas.map { 1 - $0 })
        guard betas.allSatisfy({ (0...1).contains($0) }) else {
            throw JSONFileError.invalidValue(
                file: configuration.source, key: "beta_schedule", expected: "betas between 0 and 1",
                got: "\(betas.first { !(0...1).contains($0) } ?? .nan)")
        }
    }

    private static func betas(_ configuration: SchedulerConfiguration) -> [Float] {
        let count = configuration.trainSteps
        switch configuration.betaSchedule {
        case .linear:
            return spaced(Float(configuration.betaStart), Float(configuration.betaEnd), count)
        case .scaledLinear:
            return spaced(
                Float(configuration.betaStart.squareRoot()), Float(configuration.betaEnd.squareRoot()), count
            ).map { $0 * $0 }
        case .squaredCosine:
            // Nichol & Dhariwal 2021, with β capped at 0.999.
            func alpha(_ t: Double) -> Double {
                let cosine = cos((t + 0.008) / 1.008 * .pi / 2)
                return cosine * cosine
            }
            return (0..<count).map { step in
                let ratio = alpha(Double(step + 1) / Double(count)) / alpha(Double(step) / Double(count))
                return Float(min(1 - ratio, 0.999))
            }
        }
    }

    /// `torch.linspace` in float32, which counts from both ends towards the middle.
    private static func spaced(_ first: Float, _ last: Float, _ count: Int) -> [Float] {
        guard count > 1 else { return [first] }
        let step = (last - first) / Float(count - 1)
        return (0..<count).map {
            $0 < count / 2 ? first + step * Float($0) : last - step * Float(count - 1 - $0)
        }
    }

    /// `torch.cumprod`: multiplied in double, each product rounded to float32.
    private static func cumulativeProducts(_ values: [Float]) -> [Float] {
        var product = 1.0
        return values.map {
            product *= Double($0)
            return Float(product)
        }
    }

    /// Betas with which the last step leaves nothing of the original (Lin et al. 2023, algorithm 1).
    private static func rescaledToZeroSNR(_ betas: [Float]) -> [Float] {
        var roots = cumulativeProducts(betas.map { 1 - $0 }).map { $0.squareRoot() }
        guard let first = roots.first, let last = roots.last, first > last else { return betas }
        let scale = first / (first - last)
        for index in roots.indices { roots[index] = (roots[index] - last) * scale }
        let products = roots.map { $0 * $0 }
        return products.indices.map { 1 - (($0 == 0) ? products[0] : products[$0] / products[$0 - 1]) }
    }

    /// `√((1 - ᾱ) / ᾱ)` of every training step: the noise level for methods that keep the sample unscaled.
    /// - Parameter lastIsFinite: use ᾱ = 2⁻²⁴ for the last step, which is 0 in a schedule rescaled to zero SNR.
    func sigmas(lastIsFinite: Bool) -> [Float] {
        var alphas = alphasCumulative
        if lastIsFinite { alphas[alphas.count - 1] = 0x1p-24 }
        return alphas.map { ((1 - $0) / $0).squareRoot() }
    }

    /// ᾱ of training step `t`, in double; `final` before step 0.
    func alpha(at t: Int, final: Double) -> Double { t >= 0 ? Double(alphasCumulative[t]) : final }
}
