import Diffusion
import Encoders
import Foundation
import Safetensors
import Torch
import TorchNN

/// Writes the parts of a diffusers folder that no training makes: index, scheduler, text encoder, tokenizer.
enum DiffusersFolder {
    static let weights = "diffusion_pytorch_model.safetensors"

    /// `model_index.json`
    static let index = """
        {
          "_class_name": "StableDiffusionPipeline",
          "_diffusers_version": "0.42.1",
          "feature_extractor": [null, null],
          "image_encoder": [null, null],
          "requires_safety_checker": false,
          "safety_checker": [null, null],
          "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
          "text_encoder": ["transformers", "CLIPTextModel"],
          "tokenizer": ["transformers", "CLIPTokenizer"],
          "unet": ["diffusers", "UNet2DConditionModel"],
          "vae": ["diffusers", "AutoencoderKL"]
        }

        """

    /// The noise schedule that the UNet is trained on: Stable Diffusion's.
    static func schedule(_ prediction: PredictionType) -> SchedulerConfiguration {
        .stableDiffusion(.dpmSolver, prediction: prediction)
    }

    /// `scheduler_config.json` of `schedule`.
    static func scheduler(_ prediction: PredictionType) -> String {
        let schedule = schedule(prediction)
        return """
            {
              "_class_name": "\(SchedulerKind.dpmSolver.className)",
              "_diffusers_version": "0.42.1",
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

    /// `text_encoder/config.json`.
    static func textEncoder(_ text: CLIPConfiguration.Text, startID: Int, dtype: DType) -> String {
        """
        {
          "architectures": ["CLIPTextModel"],
          "attention_dropout": 0.0,
          "bos_token_id": \(startID),
          "eos_token_id": \(text.endOfTextID),
          "hidden_act": "\(text.activation.rawValue)",
          "hidden_size": \(text.hiddenSize),
          "initializer_factor": 1.0,
          "initializer_range": 0.02,
          "intermediate_size": \(text.intermediateSize),
          "layer_norm_eps": \(text.layerNormEps),
          "max_position_embeddings": \(text.contextLength),
          "model_type": "clip_text_model",
          "num_attention_heads": \(text.headCount),
          "num_hidden_layers": \(text.layerCount),
          "pad_token_id": \(text.padID),
          "projection_dim": \(text.hiddenSize),
          "torch_dtype": "\(dtype)",
          "vocab_size": \(text.vocabularySize)
        }

        """
    }

    /// The text tower of a CLIP without its last layer, as Stable Diffusion 2 stores the text encoder: what the last layer
    /// would read, through the final norm.
    static func textEncoder(of clip: String) throws -> CLIPTextTower {
        let full = try CLIPConfiguration(folder: clip).text
        var configuration = full
        configuration.layerCount -= 1
        let tower = CLIPTextTower(configuration)
        let prefix = "text_model."
        let last = "\(prefix)encoder.layers.\(configuration.layerCount)."
        try tower.load(
            Weights(path: "\(clip)/model.safetensors"), prefix: "text_model", dtype: .float32, memory: .owned,
            ignoring: { !$0.hasPrefix(prefix) || $0.hasPrefix(last) })
        tower.setRequiresGrad(false)
        return tower
    }

    /// An autoencoder's folder.
    static func autoencoder(_ folder: String) throws -> AutoencoderKL {
        let model = AutoencoderKL(try AutoencoderConfiguration(file: "\(folder)/config.json"))
        try model.load(Weights(path: "\(folder)/\(weights)"), dtype: .float32, memory: .owned)
        model.setRequiresGrad(false)
        return model
    }

    /// Files of a tokenizer, copied.
    static func copyTokenizer(from folder: String, to target: String) throws {
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        for name in ["vocab.json", "merges.txt", "tokenizer_config.json"] {
            try copy("\(folder)/\(name)", to: "\(target)/\(name)")
        }
    }

    static func copy(_ path: String, to target: String) throws {
        try AtomicFile.write([UInt8](Data(contentsOf: URL(fileURLWithPath: path))), to: target)
    }
}
