import Torch

// Training's side of the forward process. Timesteps are int64 `[B]`, 0..<trainSteps; samples `[B, ...]`.
// Reference: `DDPMScheduler.add_noise`, `.get_velocity` and `compute_snr` of diffusers.

extension NoiseSchedule {
    /// `√ᾱ · original + √(1 - ᾱ) · noise`, each row at its own timestep.
    public func addNoise(to original: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor {
        let (signal, sigma) = scales(timesteps, like: original)
        return signal * original + sigma * noise
    }

    /// What a model of this prediction type should answer for the sample that ``addNoise(to:noise:timesteps:)`` gives.
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

    /// The original that a model's answer stands for.
    public func original(
        from output: Tensor, _ prediction: PredictionType, sample: Tensor, timesteps: Tensor
    ) -> Tensor {
        let (signal, sigma) = scales(timesteps, like: sample)
        switch prediction {
        case .epsilon: return (sample - sigma * output) / signal
        case .sample: return output
        case .velocity: return signal * sample - sigma * output
        }
    }

    /// The noise that a model's answer stands for.
    public func noise(
        from output: Tensor, _ prediction: PredictionType, sample: Tensor, timesteps: Tensor
    ) -> Tensor {
        let (signal, sigma) = scales(timesteps, like: sample)
        switch prediction {
        case .epsilon: return output
        case .sample: return (sample - signal * output) / sigma
        case .velocity: return signal * output + sigma * sample
        }
    }

    /// Signal-to-noise ratio `ᾱ / (1 - ᾱ)` of each timestep: `[B]`, float32.
    public func signalToNoise(_ timesteps: Tensor) -> Tensor {
        let alpha = alphas(timesteps)
        return alpha / (1 - alpha)
    }

    /// Min-SNR-γ weights of the squared error (Hang et al. 2023): `min(SNR, γ)` as a weight on the original, expressed for
    /// what the model predicts: divided by SNR for the noise, by SNR + 1 for the velocity.
    /// - Returns: `[B]`, float32, to be multiplied with each row's mean squared error.
    public func minimumSNRWeights(
        _ timesteps: Tensor, gamma: Double = 5, prediction: PredictionType
    ) -> Tensor {
        let ratio = signalToNoise(timesteps)
        let least = -(-ratio).maximum(Tensor.full([], -gamma, device: ratio.device))
        switch prediction {
        case .epsilon: return least / ratio
        case .velocity: return least / (ratio + 1)
        case .sample: return least
        }
    }

    private func alphas(_ timesteps: Tensor) -> Tensor {
        Tensor(alphasCumulative).to(timesteps.device).indexSelect(0, timesteps)
    }

    /// `√ᾱ` and `√(1 - ᾱ)`, shaped to multiply rows of `sample`.
    private func scales(_ timesteps: Tensor, like sample: Tensor) -> (signal: Tensor, sigma: Tensor) {
        let alpha = alphas(timesteps.to(sample.device))
        let shape = [-1] + Array(repeating: 1, count: sample.rank - 1)  // [B, 1, …]
        return (
            alpha.sqrt().reshaped(shape).to(sample.dtype), (1 - alpha).sqrt().reshaped(shape).to(sample.dtype)
        )
    }
}
