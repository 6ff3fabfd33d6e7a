import Torch

// The forward process in training. Timesteps are int64 `[B]`, 0..<trainSteps; samples `[B, ...]`.
// Reference: `DDPMScheduler.add_noise` and `.get_velocity` of diffusers.

extension NoiseSchedule {
    /// `√ᾱ · original + √(1 - ᾱ) · noise`, each row at its own timestep.
    public func addNoise(to original: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor {
        let (signal, sigma) = scales(timesteps, like: original)
        return signal * original + sigma * noise
    }

    /// What a model of this prediction type should predict for the sample from ``addNoise(to:noise:timesteps:)``.
    public func target(
        _ prediction: PredictionType, original: Tensor, noise: Tensor, timesteps: Tensor
    ) -> Tensor {
        switch prediction {
        case .epsilon: return noise
        case .sample: return original
        case .velocity:
            let (signal, sigma) = scales(timesteps, like: original)
            return signal * noise - sigma * original
        }
    }

    /// `√ᾱ` and `√(1 - ᾱ)`, shaped to multiply rows of `sample`.
    private func scales(_ timesteps: Tensor, like sample: Tensor) -> (signal: Tensor, sigma: Tensor) {
        let alpha = Tensor(alphasCumulative).to(sample.device).indexSelect(0, timesteps.to(sample.device))
        let shape = [-1] + Array(repeating: 1, count: sample.rank - 1)  // [B, 1, …]
        return (
            alpha.sqrt().reshaped(shape).to(sample.dtype), (1 - alpha).sqrt().reshaped(shape).to(sample.dtype)
        )
    }
}
