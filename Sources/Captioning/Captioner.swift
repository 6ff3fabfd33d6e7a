import Alignment
import LanguageModels
import Tokenizers
import Torch
import Training

/// A captioner, ready to read images.
public final class Captioner {
    public let model: any CaptionModel
    public let reader: ImageReader
    public let tokenizer: any TextTokenizer
    public let source: CaptionSource
    /// The settings of its recipe; commands may choose others.
    public let decoding: CaptionDecoding

    /// - Throws: `CaptioningError.anotherFeatureSize`, `LanguageModelError.vocabularyMismatch`.
    public init(
        model: any CaptionModel, reader: ImageReader, tokenizer: any TextTokenizer, source: CaptionSource,
        decoding: CaptionDecoding, name: String
    ) throws {
        let architecture = model.architecture
        let size = reader.featureSize(of: architecture.input)
        guard size == architecture.featureSize else {
            throw CaptioningError.anotherFeatureSize(expected: architecture.featureSize, got: size, source: name)
        }
        guard tokenizer.vocabularySize <= architecture.vocabularySize else {
            throw LanguageModelError.vocabularyMismatch(
                tokenizer: tokenizer.vocabularySize, model: architecture.vocabularySize)
        }
        self.model = model
        self.reader = reader
        self.tokenizer = tokenizer
        self.source = source
        self.decoding = decoding
    }

    /// The encoder that reads images of `modality`.
    /// - Throws: `CaptioningError.noGeneratedEncoder`.
    public func route(of modality: Modality) throws -> ImageRoute {
        try source.route(of: modality, isAligned: reader.aligned != nil)
    }

    /// Captions of preprocessed images `[B, 3, S, S]`.
    /// - Parameter firstIndex: place of the first image in the list over which sampling is reproducible.
    public func captions(
        _ pixels: Tensor, modality: Modality, _ decoding: CaptionDecoding, firstIndex: Int = 0
    ) throws -> [Caption] {
        let features = try reader.read(pixels, route(of: modality), model.architecture.input)
        return try model.captions(features, decoding, tokenizer: tokenizer, firstIndex: firstIndex)
    }
}
