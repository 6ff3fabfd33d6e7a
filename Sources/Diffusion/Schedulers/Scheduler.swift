// Schedulers as in diffusers (0.42), split in two: a `Scheduler` is the configuration and its tables, shared and
// unchanging; a `Trajectory` is one walk from noise to image and holds what the multistep solvers remember.
//
//     let scheduler = try Schedulers.load(folder: "model/scheduler")
//     let trajectory = try scheduler.trajectory(steps: 50)
//     var sample = noise * trajectory.initialNoiseScale
//     for (index, timestep) in trajectory.timesteps.enumerated() {
//         let output = unet(trajectory.scaleInput(sample, at: index), timestep, text)
//         sample = trajectory.step(modelOutput: output, at: index, sample: sample)
//     }

import Torch

/// What a diffusion model learnt to predict from a noisy sample.
public enum PredictionType: String, Sendable, Hashable, CaseIterable {
    /// The noise.
    case epsilon
    /// `√ᾱ · noise - √(1 - ᾱ) · original` (Salimans & Ho 2022).
    case velocity = "v_prediction"
    /// The original itself.
    case sample
}

/// The schedulers that exist; raw values are the words of `gmail generate --scheduler`.
public enum SchedulerKind: String, Sendable, Hashable, CaseIterable {
    case ddim
    case pndm
    case euler
    case dpmSolver = "dpm++"

    /// `_class_name` in `scheduler_config.json`.
    public var className: String {
        switch self {
        case .ddim: "DDIMScheduler"
        case .pndm: "PNDMScheduler"
        case .euler: "EulerDiscreteScheduler"
        case .dpmSolver: "DPMSolverMultistepScheduler"
        }
    }
}

/// A sampling method. Each decides along what it walks: a noise schedule with training steps for diffusion models, a
/// straight line for flow matching.
public protocol Scheduler: Sendable {
    /// The name in the record of a run, such as `ddim`.
    var name: String { get }

    /// A new walk from noise to sample.
    /// - Parameter steps: as `num_inference_steps`; PNDM calls the model more often than that.
    /// - Throws: ``SchedulerError/badStepCount(scheduler:expected:got:)``.
    func trajectory(steps: Int) throws -> any Trajectory
}

/// A sampling method for a model that was trained to remove noise: it knows how much noise there is at each training
/// step.
public protocol NoiseScheduler: Scheduler {
    static var kind: SchedulerKind { get }

    var configuration: SchedulerConfiguration { get }

    /// The forward process: how much noise there is at each training step.
    var noise: NoiseSchedule { get }

    /// - Throws: `JSONFileError` for an impossible noise schedule.
    init(_ configuration: SchedulerConfiguration) throws
}

extension NoiseScheduler {
    public var name: String { Self.kind.rawValue }
}

/// One walk from noise to sample; used once, in order, by one thread.
public protocol Trajectory: AnyObject {
    /// The timestep that the model gets at each call, the noisiest first; fractional for some methods.
    var timesteps: [Double] { get }

    /// The factor that turns standard normal noise into the first sample.
    var initialNoiseScale: Double { get }

    /// What the model gets in place of `sample` at call `index`.
    func scaleInput(_ sample: Tensor, at index: Int) -> Tensor

    /// The next sample.
    /// - Parameters:
    ///   - modelOutput: of the sample's shape, any floating dtype, after guidance.
    ///   - index: the number of the model call: 0, 1, 2, … without gaps.
    ///   - sample: the current one, not scaled.
    /// - Returns: computed in float32 and converted to the dtype of `sample`, which should therefore be float32 even
    ///   where the model is not.
    func step(modelOutput: Tensor, at index: Int, sample: Tensor) -> Tensor
}

extension Trajectory {
    public func scaleInput(_ sample: Tensor, at index: Int) -> Tensor { sample }
}

/// Makes schedulers from files.
public enum Schedulers {
    /// The scheduler of a `scheduler_config.json`, exactly as it stands there. ``StableDiffusionConfiguration`` makes
    /// the corrections that `StableDiffusionPipeline` makes in old files.
    /// - Parameters:
    ///   - folder: holds the file.
    ///   - kind: another method on the same noise schedule, as in diffusers' `from_config`: settings in the file are
    ///     kept, and those that it leaves out get the other method's defaults. nil takes the file's own method.
    /// - Throws: ``SchedulerError``, `JSONFileError`, `FileError`.
    public static func load(folder: String, as kind: SchedulerKind? = nil) throws -> any NoiseScheduler {
        try make(SchedulerConfiguration(file: "\(folder)/scheduler_config.json", as: kind))
    }

    public static func make(_ configuration: SchedulerConfiguration) throws -> any NoiseScheduler {
        switch configuration.kind {
        case .ddim: try DDIMScheduler(configuration)
        case .pndm: try PNDMScheduler(configuration)
        case .euler: try EulerDiscreteScheduler(configuration)
        case .dpmSolver: try DPMSolverMultistepScheduler(configuration)
        }
    }
}
