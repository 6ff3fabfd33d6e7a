import Encoders
import Files
import Foundation
import Safetensors
import Torch
import TorchNN

/// The small CLIP of the miniature: the class and the files of full-size ones, in a size that two cores train in a
/// minute.
public enum MiniatureCLIP {
    /// Side of its pictures.
    public static let imageSize = 64
    /// The most tokens of a text, start and end included; the longest caption of the world needs fewer.
    public static let contextLength = 48

    /// Widths and depths.
    public struct Sizes: Sendable, Equatable {
        public var projection = 128
        public var patchSize = 16
        public var imageWidth = 128
        public var imageLayers = 4
        public var imageHeads = 4
        public var textWidth = 96
        public var textLayers = 2
        public var textHeads = 4

        public init() {}
    }

    /// - Parameter vocabulary: of the tokenizer learned from the captions; its last token ends a text.
    public static func configuration(vocabulary: BPETraining, sizes: Sizes = Sizes()) -> CLIPConfiguration {
        var configuration = CLIPConfiguration()
        configuration.projectionDimension = sizes.projection
        configuration.vision.imageSize = imageSize
        configuration.vision.patchSize = sizes.patchSize
        configuration.vision.hiddenSize = sizes.imageWidth
        configuration.vision.intermediateSize = 4 * sizes.imageWidth
        configuration.vision.layerCount = sizes.imageLayers
        configuration.vision.headCount = sizes.imageHeads
        configuration.text.vocabularySize = vocabulary.vocabulary.count
        configuration.text.hiddenSize = sizes.textWidth
        configuration.text.intermediateSize = 4 * sizes.textWidth
        configuration.text.layerCount = sizes.textLayers
        configuration.text.headCount = sizes.textHeads
        configuration.text.contextLength = contextLength
        configuration.text.endOfTextID = vocabulary.endID
        configuration.text.padID = vocabulary.endID
        return configuration
    }

    /// Writes the files beside the weights of a Hugging Face folder: configuration, preprocessing, tokenizer.
    public static func writeFiles(_ configuration: CLIPConfiguration, vocabulary: BPETraining, to folder: String) throws
    {
        try FileSystem.createFolder(folder)
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(folder)/config.json")
        try writeTokenizer(vocabulary, contextLength: configuration.text.contextLength, to: folder)
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

    /// Writes the tokenizer's files: `vocab.json`, `merges.txt`, `tokenizer_config.json`.
    static func writeTokenizer(_ vocabulary: BPETraining, contextLength: Int, to folder: String) throws {
        try FileSystem.createFolder(folder)
        try AtomicFile.write(vocabulary.vocabularyJSON, to: "\(folder)/vocab.json")
        try AtomicFile.write(vocabulary.mergesText, to: "\(folder)/merges.txt")
        try AtomicFile.write(
            """
            {
              "tokenizer_class": "CLIPTokenizer",
              "model_max_length": \(contextLength),
              "bos_token": "<|startoftext|>",
              "eos_token": "<|endoftext|>",
              "pad_token": "<|endoftext|>",
              "unk_token": "<|endoftext|>"
            }

            """, to: "\(folder)/tokenizer_config.json")
    }
}
