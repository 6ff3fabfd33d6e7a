import Encoders
import Foundation
import Safetensors
import Torch
import TorchNN

/// The small CLIP of the miniature: the class and files of the big ones at a size that two cores train in a minute.
public enum MiniatureCLIP {
    /// Side of its pictures.
    public static let imageSize = 64
    /// Tokens of a text, start and end included; the longest caption of the world needs fewer.
    public static let contextLength = 48

    /// - Parameter vocabulary: of the tokenizer made from the captions; its last token ends a text.
    public static func configuration(vocabulary: BPETraining) -> CLIPConfiguration {
        var configuration = CLIPConfiguration()
        configuration.projectionDimension = 128
        configuration.vision.imageSize = imageSize
        configuration.vision.patchSize = 16
        configuration.vision.hiddenSize = 128
        configuration.vision.intermediateSize = 512
        configuration.vision.layerCount = 4
        configuration.vision.headCount = 4
        configuration.text.vocabularySize = vocabulary.vocabulary.count
        configuration.text.hiddenSize = 96
        configuration.text.intermediateSize = 384
        configuration.text.layerCount = 2
        configuration.text.headCount = 4
        configuration.text.contextLength = contextLength
        configuration.text.endOfTextID = vocabulary.endID
        configuration.text.padID = vocabulary.endID
        return configuration
    }

    /// Writes what stands beside the weights of a Hugging Face folder: configuration, preprocessing, tokenizer.
    public static func writeFiles(_ configuration: CLIPConfiguration, vocabulary: BPETraining, to folder: String) throws
    {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(folder)/config.json")
        try AtomicFile.write(vocabulary.vocabularyJSON, to: "\(folder)/vocab.json")
        try AtomicFile.write(vocabulary.mergesText, to: "\(folder)/merges.txt")
        try AtomicFile.write(
            """
            {
              "tokenizer_class": "CLIPTokenizer",
              "model_max_length": \(configuration.text.contextLength),
              "bos_token": "<|startoftext|>",
              "eos_token": "<|endoftext|>",
              "pad_token": "<|endoftext|>",
              "unk_token": "<|endoftext|>"
            }

            """, to: "\(folder)/tokenizer_config.json")
        let side = configuration.vision.imageSize
        try AtomicFile.write(
            """
            {
              "image_processor_type": "CLIPImageProcessor",
              "do_resize": true,
              "size": {"shortest_edge": \(side)},
              "resample": 3,
              "do_center_crop": true,
              "crop_size": {"height": \(side), "width": \(side)},
              "do_rescale": true,
              "rescale_factor": \(1.0 / 255),
              "do_normalize": true,
              "image_mean": [0.48145466, 0.4578275, 0.40821073],
              "image_std": [0.26862954, 0.26130258, 0.27577711],
              "do_convert_rgb": true
            }

            """, to: "\(folder)/preprocessor_config.json")
    }
}
