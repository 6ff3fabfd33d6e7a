import Foundation
import Images
import StrictJSON
import Tokenizers
import Torch

/// What stands before a CLIP model: image preprocessing and tokenizer, read from the files beside its weights.
public struct CLIPProcessor: Sendable {
    public let preprocessing: ImagePreprocessing
    /// nil when the folder has no tokenizer files; images can still be embedded.
    public let tokenizer: CLIPTokenizer?
    /// Tokens per text, start and end included.
    public let contextLength: Int

    /// Reads `processor_config.json` or `preprocessor_config.json` (Hugging Face), or `preprocess_cfg` of
    /// `open_clip_config.json`, and the tokenizer.
    ///
    /// - Parameters:
    ///   - cleaning: how text is cleaned; nil is what the folder's own library does (transformers for a Hugging Face
    ///     folder, open_clip for one of open_clip's).
    /// - Throws: `ModelFileError` when the image size of preprocessing and model differ, `ImageError`, `TokenizerError`.
    public init(folder: String, configuration: CLIPConfiguration, cleaning: CLIPCleaning? = nil) throws {
        let manager = FileManager.default
        let side = configuration.vision.imageSize
        let isOpenCLIP = !manager.fileExists(atPath: "\(folder)/config.json")
        var file = "\(folder)/preprocessor_config.json"
        if let own = try ImagePreprocessing.inFolder(folder) {
            (preprocessing, file) = own
        } else if isOpenCLIP {
            preprocessing = try Self.openCLIP("\(folder)/open_clip_config.json", side: side)
        } else {
            throw ModelFileError.notAModelFolder(path: folder, expected: "preprocessor_config.json")
        }
        guard preprocessing.outputSize == ImageSize(width: side, height: side) else {
            throw ModelFileError.invalidValue(
                file: file, key: "crop_size", expected: "\(side)x\(side), the image_size of the model",
                got: preprocessing.outputSize.map { "\($0)" } ?? "no fixed size")
        }
        let hasTokenizer = ["tokenizer.json", "vocab.json"].contains { manager.fileExists(atPath: "\(folder)/\($0)") }
        let wanted = cleaning ?? (isOpenCLIP ? .openAI : .huggingFace)
        tokenizer =
            hasTokenizer
            ? try CLIPTokenizer(folder: folder, cleaning: wanted, padding: isOpenCLIP ? .zero : .model) : nil
        contextLength = configuration.text.contextLength
    }

    /// open_clip's transform for inference, but images are turned upright: open_clip leaves that to its caller, and a photo
    /// that lies on its side is nobody's wish. `orientation: .ignore` gives open_clip's own pixels.
    private static func openCLIP(_ path: String, side: Int) throws -> ImagePreprocessing {
        let file = try JSONFile(path)
        let settings = try file.object("preprocess_cfg")
        let filters: [String: ResampleFilter] = ["bicubic": .bicubic, "bilinear": .bilinear]
        let name = try settings?.string("interpolation") ?? "bicubic"
        guard let filter = filters[name] else {
            throw ModelFileError.invalidValue(
                file: path, key: "preprocess_cfg.interpolation", expected: "\"bicubic\" or \"bilinear\"",
                got: "\"\(name)\"")
        }
        let mode = try settings?.string("resize_mode") ?? "shortest"
        guard mode == "shortest" else {
            throw ModelFileError.invalidValue(
                file: path, key: "preprocess_cfg.resize_mode", expected: "\"shortest\"", got: "\"\(mode)\"")
        }
        let standard = try ImagePreprocessing.clip(side: side)
        return try ImagePreprocessing(
            resize: .shortestEdge(side), filter: filter, crop: ImageSize(width: side, height: side),
            cropRounding: .torchvision, mean: settings?.numbers("mean") ?? standard.mean,
            std: settings?.numbers("std") ?? standard.std, transparency: .openCLIP)
    }

    /// Texts as token ids int64 `[N, T]`, cut to the context when they are longer.
    /// - Returns: the ids and the rows that were cut.
    /// - Throws: `ModelFileError.notAModelFolder` when the folder has no tokenizer.
    public func tokens(_ texts: [String], folder: String) throws -> (ids: Tensor, truncatedRows: [Int]) {
        guard let tokenizer else {
            throw ModelFileError.notAModelFolder(
                path: folder, expected: "tokenizer.json, or vocab.json and merges.txt,")
        }
        let batch = try tokenizer.encode(texts, contextLength: contextLength, truncation: .truncate)
        return (Tensor(batch.ids, shape: [batch.rowCount, batch.contextLength]), batch.truncatedRows)
    }
}
