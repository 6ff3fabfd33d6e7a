import Adapters
import Files
import Foundation
import Safetensors
import Torch
import TorchNN

// What a run must keep to continue as if it had never stopped:
//
//   adapter_model.safetensors, adapter_config.json   LoRA, in PEFT's layout
//   encoder.safetensors                              full fine-tuning: the tuned image encoder
//   projections.safetensors                          heads and their running statistics (absent without any)
//   loss.safetensors                                 the scale of the sigmoid loss (absent for others)
//   text_positions.safetensors                       trained text positions (absent without any)
//   optimizer.safetensors                            AdamW's moments and counts
//
// and `progress`, which the trainer writes into its own state file.

extension AlignmentTask {
    public enum Files {
        public static let encoder = "encoder.safetensors"
        public static let projections = "projections.safetensors"
        public static let loss = "loss.safetensors"
        public static let textPositions = "text_positions.safetensors"
        public static let optimizer = "optimizer.safetensors"
    }

    /// The content of a state file beside the tensors.
    public struct Progress: Sendable, Equatable, Codable {
        /// Steps done.
        public var step: Int
        /// State of the generator of dropout masks.
        public var dropoutGenerator: Data
    }

    public var progress: Progress {
        get { Progress(step: step, dropoutGenerator: Data(dropoutGenerator.state)) }
        set {
            step = newValue.step
            dropoutGenerator.state = [UInt8](newValue.dropoutGenerator)
        }
    }

    /// Writes the tensors of the state into `folder`. Each file is atomic; the caller publishes the set.
    /// - Parameter baseModel: `base_model_name_or_path` of the adapter's configuration.
    public func save(to folder: String, baseModel: String? = nil) throws {
        try FileSystem.createFolder(folder)
        if let adapter = towers.adapter {
            try adapter.save(to: folder, baseModel: baseModel)
        } else if towers.tuning == .full {
            try Weights.save(
                towers.trainedParameters.map { ($0.key, $0.tensor) }, metadata: ["format": "pt"],
                to: "\(folder)/\(Files.encoder)")
        }
        if hasProjections { try projection.save(to: "\(folder)/\(Files.projections)", metadata: ["format": "pt"]) }
        try scale?.save(to: "\(folder)/\(Files.loss)", metadata: ["format": "pt"])
        try text?.save(to: "\(folder)/\(Files.textPositions)", metadata: ["format": "pt"])
        try Weights.save(optimizer.stateTensors, to: "\(folder)/\(Files.optimizer)")
    }

    /// Takes over the tensors that `save(to:)` wrote, strictly; `progress` must be set too.
    /// - Throws: `AlignmentError.missingFile`, `AdapterError`, `StateMismatch`, `SafetensorsError`
    public func load(from folder: String) throws {
        var names = [Files.optimizer]
        if hasProjections { names.append(Files.projections) }
        if scale != nil { names.append(Files.loss) }
        if text != nil { names.append(Files.textPositions) }
        switch towers.tuning {
        case .lora: names.append(PEFTFiles.weights)
        case .full: names.append(Files.encoder)
        case .frozen: break
        }
        for name in names where !FileSystem.exists("\(folder)/\(name)") {
            throw AlignmentError.missingFile(folder: folder, name: name)
        }
        if let adapter = towers.adapter {
            try adapter.loadTensors(from: "\(folder)/\(PEFTFiles.weights)")
        } else if towers.tuning == .full {
            try towers.trainedParameters.overwrite(
                from: Weights(path: "\(folder)/\(Files.encoder)"), model: "encoder")
        }
        if hasProjections {
            // Copied into place: the optimizer holds these tensors.
            try projection.overwrite(from: Weights(path: "\(folder)/\(Files.projections)"))
        }
        try scale?.overwrite(from: Weights(path: "\(folder)/\(Files.loss)"))
        try text?.overwrite(from: Weights(path: "\(folder)/\(Files.textPositions)"))
        try optimizer.loadState(Weights(path: "\(folder)/\(Files.optimizer)"))
    }

    private var hasProjections: Bool { !projection.namedTensors().isEmpty }
}
