import Diffusion
import Files
import Foundation
import Safetensors

/// The parts of a diffusers folder that need no training: noise schedule, scheduler, tokenizer.
enum DiffusionFiles {
    static let weights = "diffusion_pytorch_model.safetensors"

    /// The noise schedule with which the UNet is trained, Stable Diffusion's.
    static func schedule(_ prediction: PredictionType) -> SchedulerConfiguration {
        .stableDiffusion(.dpmSolver, prediction: prediction)
    }

    /// `scheduler_config.json` of `schedule`.
    static func scheduler(_ prediction: PredictionType) -> String {
        let schedule = schedule(prediction)
        return """
            {
              "_class_name": "\(schedule.kind.className)",
              "algorithm_type": "dpmsolver++",
              "beta_end": \(schedule.betaEnd),
              "beta_schedule": "\(schedule.betaSchedule.rawValue)",
              "beta_start": \(schedule.betaStart),
              "lower_order_final": true,
              "num_train_timesteps": \(schedule.trainSteps),
              "prediction_type": "\(prediction.rawValue)",
              "solver_order": \(schedule.solverOrder),
              "solver_type": "\(schedule.solverType.rawValue)",
              "steps_offset": \(schedule.stepsOffset),
              "timestep_spacing": "\(schedule.spacing.rawValue)"
            }

            """
    }

    /// Copies a tokenizer's files.
    static func copyTokenizer(from folder: String, to target: String) throws {
        try FileSystem.createFolder(target)
        for name in ["vocab.json", "merges.txt", "tokenizer_config.json"] {
            try FileSystem.copy("\(folder)/\(name)", to: "\(target)/\(name)")
        }
    }
}
