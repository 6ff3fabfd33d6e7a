import Torch

/// Pseudo numerical methods for diffusion models (Liu et al. 2022): a linear multistep method of order four, started by
/// Runge-Kutta steps (algorithm 2) or, in Stable Diffusion, by one repeated step (`skip_prk_steps`).
public struct PNDMScheduler: NoiseScheduler {
    public static let kind = SchedulerKind.pndm

    public let configuration: SchedulerConfiguration
    public let noise: NoiseSchedule

    public init(_ configuration: SchedulerConfiguration) throws {
        self.configuration = configuration
        noise = try NoiseSchedule(configuration)
    }

    /// - Throws: ``SchedulerError/badStepCount(scheduler:expected:got:)``; the Runge-Kutta start needs four steps.
    public func trajectory(steps: Int) throws -> any Trajectory {
        try check(steps: steps)
        if !configuration.skipsRungeKutta, steps < 4 {
            throw SchedulerError.badStepCount(
                scheduler: Self.kind.className, expected: "4 or more with skip_prk_steps false", got: steps)
        }
        let ascending = configuration.spacing.timesteps(
            steps, of: configuration.trainSteps, offset: configuration.stepsOffset)
        try check(timesteps: ascending, steps: steps)
        let stride = configuration.trainSteps / steps
        var rungeKutta: [Int] = []
        var multistep: [Int]
        if configuration.skipsRungeKutta {
            // The second step is done twice: first from a first-order guess, then from the mean of both slopes.
            multistep = Array(ascending.dropLast() + ascending.dropLast().suffix(1) + ascending.suffix(1)).reversed()
        } else {
            // Every Runge-Kutta step evaluates its start, twice its middle, and its end, which is the start of the
            // next.
            let halves = ascending.suffix(4).flatMap { [$0, $0 + stride / 2] }.dropLast()
            rungeKutta = halves.flatMap { [$0, $0] }.dropFirst().dropLast().reversed()
            multistep = ascending.dropLast(3).reversed()
        }
        try check(timesteps: rungeKutta, steps: steps)
        return Walk(self, rungeKutta: rungeKutta, multistep: multistep, stride: stride)
    }

    private final class Walk: Trajectory {
        let timesteps: [Double]
        let initialNoiseScale = 1.0
        private let scheduler: PNDMScheduler
        private let training: [Int]
        private let rungeKuttaCount: Int
        private let stride: Int
        private let finalAlpha: Double
        private var callCount = 0
        /// Slopes of the last steps, the newest last; at most four.
        private var slopes: [Tensor] = []
        /// Where the current Runge-Kutta step, or the repeated first step, began.
        private var start: Tensor?
        /// Weighted sum of the slopes seen in the current Runge-Kutta step.
        private var mean: Tensor?

        init(_ scheduler: PNDMScheduler, rungeKutta: [Int], multistep: [Int], stride: Int) {
            self.scheduler = scheduler
            training = rungeKutta + multistep
            rungeKuttaCount = rungeKutta.count
            self.stride = stride
            timesteps = training.map(Double.init)
            finalAlpha = scheduler.configuration.setsAlphaToOne ? 1 : Double(scheduler.noise.alphasCumulative[0])
        }

        func step(modelOutput: Tensor, at index: Int, sample: Tensor) -> Tensor {
            precondition(index == callCount, "step \(index) of a trajectory that is at step \(callCount)")
            callCount += 1
            let (output, x) = (modelOutput.to(.float32), sample.to(.float32))
            let next = index < rungeKuttaCount ? rungeKutta(output, index, x) : multistep(output, index, x)
            return next.to(sample.dtype)
        }

        private func rungeKutta(_ output: Tensor, _ index: Int, _ x: Tensor) -> Tensor {
            let target = training[index] - (index.isMultiple(of: 2) ? stride / 2 : 0)
            var slope = output
            switch index % 4 {
            case 0:
                mean = output / 6
                slopes.append(output)
                start = x
            case 3:
                if let mean { slope = mean + output / 6 }
                mean = nil
            default:
                mean = mean.map { $0 + output / 3 }
            }
            return transfer(start ?? x, slope, from: training[index / 4 * 4], to: target)
        }

        private func multistep(_ output: Tensor, _ index: Int, _ x: Tensor) -> Tensor {
            let t = training[index]
            // The repeated step goes back to its beginning and follows the mean of the slopes at both ends.
            if rungeKuttaCount == 0, index == 1, let begin = start, let first = slopes.last {
                start = nil
                return transfer(begin, (output + first) / 2, from: t + stride, to: t)
            }
            slopes = slopes.suffix(3) + [output]
            let e = Array(slopes.reversed())
            let slope: Tensor
            switch e.count {
            case 1:
                slope = output
                start = x
            case 2: slope = (3 * e[0] - e[1]) / 2
            case 3: slope = (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12
            default: slope = (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24
            }
            return transfer(x, slope, from: t, to: t - stride)
        }

        /// The paper's φ (eq. 11): along `slope` from training step `t` to `next`.
        private func transfer(_ x: Tensor, _ slope: Tensor, from t: Int, to next: Int) -> Tensor {
            let alpha = scheduler.noise.alpha(at: t, final: finalAlpha)
            let nextAlpha = scheduler.noise.alpha(at: next, final: finalAlpha)
            let epsilon =
                scheduler.configuration.prediction == .velocity
                ? alpha.squareRoot() * slope + (1 - alpha).squareRoot() * x : slope
            let denominator =
                alpha * (1 - nextAlpha).squareRoot() + (alpha * (1 - alpha) * nextAlpha).squareRoot()
            return (nextAlpha / alpha).squareRoot() * x - ((nextAlpha - alpha) / denominator) * epsilon
        }
    }
}
