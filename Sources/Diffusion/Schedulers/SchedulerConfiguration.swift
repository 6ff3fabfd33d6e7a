/// The content of `scheduler_config.json`, with the scheduler class's defaults for keys that it leaves out.
///
/// Reference: the `__init__` of each scheduler in diffusers 0.42. Comments give the key of the file.
public struct SchedulerConfiguration: Sendable, Hashable {
    public enum BetaSchedule: String, Sendable, Hashable, CaseIterable {
        case linear
        /// Linear in √β: latent diffusion's.
        case scaledLinear = "scaled_linear"
        case squaredCosine = "squaredcos_cap_v2"
    }

    /// How the inference steps are chosen among the training steps (Lin et al. 2023, table 2).
    public enum Spacing: String, Sendable, Hashable, CaseIterable {
        case leading, trailing, linspace
    }

    /// How noise levels are spread over the steps.
    public enum SigmaSpacing: Sendable, Hashable {
        /// As the timesteps fall.
        case timesteps
        /// Karras et al. 2022, eq. 5, ρ = 7.
        case karras
        /// Even steps of the logarithm.
        case exponential
    }

    public enum FinalSigma: String, Sendable, Hashable, CaseIterable {
        case zero
        case smallest = "sigma_min"
    }

    public enum SolverType: String, Sendable, Hashable, CaseIterable {
        case midpoint, heun
    }

    /// _class_name
    public let kind: SchedulerKind
    /// The name in messages of where the values come from.
    public let source: String

    // The noise schedule
    public var trainSteps = 1000  // num_train_timesteps
    public var betaStart = 0.0001  // beta_start
    public var betaEnd = 0.02  // beta_end
    public var betaSchedule = BetaSchedule.linear  // beta_schedule
    public var trainedBetas: [Float]?  // trained_betas: in place of the three above
    public var rescalesToZeroSNR = false  // rescale_betas_zero_snr
    public var prediction = PredictionType.epsilon  // prediction_type

    // The inference steps
    public var spacing: Spacing  // timestep_spacing
    public var stepsOffset = 0  // steps_offset, for leading spacing

    // DDIM and PNDM
    public var setsAlphaToOne: Bool  // set_alpha_to_one: ᾱ after the last step is 1, else that of training step 0
    /// DDIM: the predicted original is clipped to ± this; nil for no clipping.
    public var clipRange: Double?  // clip_sample, clip_sample_range
    public var skipsRungeKutta = false  // skip_prk_steps

    // Euler and DPM-Solver++
    public var sigmaSpacing = SigmaSpacing.timesteps  // use_karras_sigmas, use_exponential_sigmas
    public var sigmaMin: Double?  // sigma_min, for Karras and exponential spacing
    public var sigmaMax: Double?  // sigma_max
    public var finalSigma = FinalSigma.zero  // final_sigmas_type

    // DPM-Solver++
    public var solverOrder = 2  // solver_order
    public var solverType = SolverType.midpoint  // solver_type
    public var lowerOrderFinal = true  // lower_order_final
    public var eulerAtFinal = false  // euler_at_final
    public var lambdaMinClipped = -Double.infinity  // lambda_min_clipped

    /// The class's defaults.
    public init(_ kind: SchedulerKind, source: String? = nil) {
        self.kind = kind
        self.source = source ?? kind.className
        spacing = kind == .ddim || kind == .pndm ? .leading : .linspace
        setsAlphaToOne = kind == .ddim
        clipRange = kind == .ddim ? 1 : nil
    }

    /// The noise schedule of Stable Diffusion, and the settings its releases share.
    public static func stableDiffusion(_ kind: SchedulerKind, prediction: PredictionType) -> SchedulerConfiguration {
        var configuration = SchedulerConfiguration(kind)
        configuration.betaStart = 0.00085
        configuration.betaEnd = 0.012
        configuration.betaSchedule = .scaledLinear
        configuration.prediction = prediction
        configuration.stepsOffset = 1
        configuration.setsAlphaToOne = false
        configuration.clipRange = nil
        configuration.skipsRungeKutta = true
        return configuration
    }
}
