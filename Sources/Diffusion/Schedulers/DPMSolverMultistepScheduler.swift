import Foundation
import Torch

/// DPM-Solver++ (Lu et al. 2022b, algorithm 2): exponential integrator of the predicted original, first or second order.
///
/// Of the reference's algorithm types, only `dpmsolver++` is offered, with `solver_order` 1 and 2; the latter is called
/// 2M.
public struct DPMSolverMultistepScheduler: NoiseScheduler {
    public static let kind = SchedulerKind.dpmSolver

    public let configuration: SchedulerConfiguration
    public let noise: NoiseSchedule

    public init(_ configuration: SchedulerConfiguration) throws {
        self.configuration = configuration
        noise = try NoiseSchedule(configuration)
    }

    public func trajectory(steps: Int) throws -> any Trajectory {
        try check(steps: steps)
        let table = SigmaTable(noise, configuration)
        let timesteps: [Int]
        var sigmas: [Double]
        let largest = configuration.sigmaMax ?? Double(table.sigmas[table.sigmas.count - 1])
        let smallest = configuration.sigmaMin ?? Double(table.sigmas[0])
        switch configuration.sigmaSpacing {
        case .timesteps:
            timesteps = try spaced(steps, table)
            sigmas = timesteps.map { table.sigma(at: Double($0)) }
        case .karras:
            sigmas = SigmaTable.karras(steps, largest: largest, smallest: smallest)
            timesteps = sigmas.map {
                let timestep = table.timestep(of: $0)
                return configuration.betaSchedule == .squaredCosine ? Int(timestep) : halfEven(timestep)
            }
        case .exponential:
            sigmas = SigmaTable.exponential(steps, largest: largest, smallest: smallest)
            timesteps = sigmas.map { Int(table.timestep(of: $0)) }
        }
        sigmas.append(table.final(configuration.finalSigma))
        return Walk(configuration, timesteps, sigmas.map { Double(Float($0)) })
    }

    /// Descending timesteps. Unlike those of the other schedulers, they leave out the end: `steps` of `steps + 1`
    /// points.
    private func spaced(_ steps: Int, _ table: SigmaTable) throws -> [Int] {
        // Training steps noisier than the clipping allows; the λ of the paper is minus the logarithm of σ.
        let clipped = table.logarithms.reversed().prefix { Double(-$0) < configuration.lambdaMinClipped }.count
        let last = configuration.trainSteps - clipped
        let timesteps: [Int]
        switch configuration.spacing {
        case .linspace:
            timesteps = evenlySpaced(0, Double(last - 1), steps + 1).dropFirst().reversed().map(halfEven)
        case .leading:
            let ratio = last / (steps + 1)
            timesteps = (1...steps).reversed().map { $0 * ratio + configuration.stepsOffset }
        case .trailing:
            let ratio = Double(configuration.trainSteps) / Double(steps)
            timesteps = descending(from: Double(last), by: ratio, steps).filter { $0 > 0 }.map { halfEven($0) - 1 }
        }
        try check(timesteps: timesteps, steps: steps)
        return timesteps
    }

    private final class Walk: Trajectory {
        let timesteps: [Double]
        let initialNoiseScale = 1.0
        private let configuration: SchedulerConfiguration
        /// One more than there are timesteps.
        private let levels: [Level]
        private var callCount = 0
        /// The original that the previous step predicted.
        private var previous: Tensor?

        /// A noise level in the solver's terms.
        private struct Level {
            let alpha: Double
            let sigma: Double
            /// `log(alpha / sigma)`
            let lambda: Double

            init(_ sigma: Double) {
                alpha = 1 / (sigma * sigma + 1).squareRoot()
                self.sigma = sigma * alpha
                lambda = log(alpha) - log(self.sigma)
            }
        }

        init(_ configuration: SchedulerConfiguration, _ timesteps: [Int], _ sigmas: [Double]) {
            self.configuration = configuration
            self.timesteps = timesteps.map(Double.init)
            levels = sigmas.map(Level.init)
        }

        func step(modelOutput: Tensor, at index: Int, sample: Tensor) -> Tensor {
            precondition(index == callCount, "step \(index) of a trajectory that is at step \(callCount)")
            callCount += 1
            let (output, x) = (modelOutput.to(.float32), sample.to(.float32))
            let (now, next) = (levels[index], levels[index + 1])
            let original: Tensor =
                switch configuration.prediction {
                case .epsilon: (x - now.sigma * output) / now.alpha
                case .sample: output
                case .velocity: now.alpha * x - now.sigma * output
                }
            defer { previous = original }
            let isLast = index == timesteps.count - 1
            let endsInFirstOrder =
                configuration.eulerAtFinal || configuration.finalSigma == .zero
                || (configuration.lowerOrderFinal && timesteps.count < 15)
            let h = next.lambda - now.lambda
            let decay = next.alpha * (exp(-h) - 1)
            let first = (next.sigma / now.sigma) * x - decay * original
            guard configuration.solverOrder == 2, let previous, !(isLast && endsInFirstOrder) else {
                return first.to(sample.dtype)
            }
            let ratio = (now.lambda - levels[index - 1].lambda) / h
            let slope = (original - previous) / ratio
            let correction =
                switch configuration.solverType {
                case .midpoint: -0.5 * decay
                case .heun: next.alpha * ((exp(-h) - 1) / h + 1)
                }
            return (first + correction * slope).to(sample.dtype)
        }
    }
}
