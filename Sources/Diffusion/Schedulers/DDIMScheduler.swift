import Torch

/// Denoising diffusion implicit models (Song et al. 2021, eq. 12) with η = 0: deterministic.
public struct DDIMScheduler: NoiseScheduler {
    public static let kind = SchedulerKind.ddim

    public let configuration: SchedulerConfiguration
    public let noise: NoiseSchedule

    public init(_ configuration: SchedulerConfiguration) throws {
        self.configuration = configuration
        noise = try NoiseSchedule(configuration)
    }

    public func trajectory(steps: Int) throws -> any Trajectory {
        try check(steps: steps)
        let timesteps = configuration.spacing.timesteps(
            steps, of: configuration.trainSteps, offset: configuration.stepsOffset)
        try check(timesteps: timesteps, steps: steps)
        return Walk(self, timesteps.reversed(), stride: configuration.trainSteps / steps)
    }

    private final class Walk: Trajectory {
        let timesteps: [Double]
        let initialNoiseScale = 1.0
        private let scheduler: DDIMScheduler
        private let training: [Int]
        private let stride: Int
        private let finalAlpha: Double

        init(_ scheduler: DDIMScheduler, _ timesteps: [Int], stride: Int) {
            self.scheduler = scheduler
            training = timesteps
            self.stride = stride
            self.timesteps = timesteps.map(Double.init)
            finalAlpha = scheduler.configuration.setsAlphaToOne ? 1 : Double(scheduler.noise.alphasCumulative[0])
        }

        func step(modelOutput: Tensor, at index: Int, sample: Tensor) -> Tensor {
            let (output, x) = (modelOutput.to(.float32), sample.to(.float32))
            let t = training[index]
            let alpha = scheduler.noise.alpha(at: t, final: finalAlpha)
            let next = scheduler.noise.alpha(at: t - stride, final: finalAlpha)
            let (signal, sigma) = (alpha.squareRoot(), (1 - alpha).squareRoot())
            var original: Tensor
            let noise: Tensor
            switch scheduler.configuration.prediction {
            case .epsilon:
                original = (x - sigma * output) / signal
                noise = output
            case .sample:
                original = output
                noise = (x - signal * output) / sigma
            case .velocity:
                original = signal * x - sigma * output
                noise = signal * output + sigma * x
            }
            if let range = scheduler.configuration.clipRange { original = original.clamped(-range, range) }
            return (next.squareRoot() * original + (1 - next).squareRoot() * noise).to(sample.dtype)
        }
    }
}
