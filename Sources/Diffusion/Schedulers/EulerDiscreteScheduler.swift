import Torch

/// Euler's method on the probability-flow equation in noise levels (Karras et al. 2022, algorithm 2 with no churn).
///
/// The sample is kept unscaled, `x_0 + σ · noise`; the model reads it divided by `√(σ² + 1)`. Timesteps may be fractional.
public struct EulerDiscreteScheduler: NoiseScheduler {
    public static let kind = SchedulerKind.euler

    public let configuration: SchedulerConfiguration
    public let noise: NoiseSchedule

    public init(_ configuration: SchedulerConfiguration) throws {
        self.configuration = configuration
        noise = try NoiseSchedule(configuration)
    }

    public func trajectory(steps: Int) throws -> any Trajectory {
        try check(steps: steps)
        let table = SigmaTable(noise, configuration)
        var timesteps: [Double]
        if configuration.spacing == .linspace {
            // Not rounded to whole steps, only to float32.
            timesteps = evenlySpaced(0, Double(configuration.trainSteps - 1), steps).reversed()
                .map { Double(Float($0)) }
        } else {
            let whole = configuration.spacing.timesteps(
                steps, of: configuration.trainSteps, offset: configuration.stepsOffset)
            try check(timesteps: whole, steps: steps)
            timesteps = whole.reversed().map(Double.init)
        }
        var sigmas = timesteps.map(table.sigma(at:))
        let largest = configuration.sigmaMax ?? sigmas[0]
        let smallest = configuration.sigmaMin ?? sigmas[sigmas.count - 1]
        switch configuration.sigmaSpacing {
        case .timesteps: break
        case .karras: sigmas = SigmaTable.karras(steps, largest: largest, smallest: smallest)
        case .exponential: sigmas = SigmaTable.exponential(steps, largest: largest, smallest: smallest)
        }
        if configuration.sigmaSpacing != .timesteps {
            timesteps = sigmas.map { Double(Float(table.timestep(of: $0))) }
        }
        sigmas.append(table.final(configuration.finalSigma))
        return Walk(configuration, timesteps, sigmas.map { Double(Float($0)) })
    }

    private final class Walk: Trajectory {
        let timesteps: [Double]
        let initialNoiseScale: Double
        private let prediction: PredictionType
        /// One more than there are timesteps.
        private let sigmas: [Double]

        init(_ configuration: SchedulerConfiguration, _ timesteps: [Double], _ sigmas: [Double]) {
            self.timesteps = timesteps
            self.sigmas = sigmas
            prediction = configuration.prediction
            let largest = sigmas.max() ?? 1
            initialNoiseScale =
                configuration.spacing == .leading ? (largest * largest + 1).squareRoot() : largest
        }

        func scaleInput(_ sample: Tensor, at index: Int) -> Tensor {
            sample / (sigmas[index] * sigmas[index] + 1).squareRoot()
        }

        func step(modelOutput: Tensor, at index: Int, sample: Tensor) -> Tensor {
            let (output, x) = (modelOutput.to(.float32), sample.to(.float32))
            let sigma = sigmas[index]
            let total = sigma * sigma + 1
            let original: Tensor =
                switch prediction {
                case .sample: output
                case .epsilon: x - sigma * output
                case .velocity: output * (-sigma / total.squareRoot()) + x / total
                }
            let derivative = (x - original) / sigma
            return (x + derivative * (sigmas[index + 1] - sigma)).to(sample.dtype)
        }
    }
}
