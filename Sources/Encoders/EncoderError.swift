import Foundation

/// An encoder that cannot be used as requested.
public enum EncoderError: Error, Equatable, Sendable {
    /// Preprocessing makes images of another size than the model reads.
    case anotherImageSize(folder: String, expected: Int, got: String)
    /// Text positions that cannot be stretched as Long-CLIP's are.
    case cannotStretch(folder: String, expected: String, got: String)
    /// The model reads images alone.
    case noText(folder: String)
    /// The tokenizer gives an id that the model has no embedding for.
    case noSuchToken(text: String, id: Int, vocabularySize: Int)
    /// Embeddings came out as NaN or infinity.
    case notFinite(source: String, reason: String)
}

extension EncoderError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .anotherImageSize(let folder, let expected, let got):
            "'\(folder)': preprocessing makes images of \(got), the model reads \(expected)x\(expected); are "
                + "preprocessor_config.json and config.json of one model?"
        case .cannotStretch(let folder, let expected, let got):
            "'\(folder)' cannot be stretched: expected \(expected), got \(got)"
        case .noText(let folder):
            "'\(folder)' holds an encoder of images alone; texts need a model with a text encoder, such as CLIP"
        case .noSuchToken(let text, let id, let size):
            "the tokenizer makes token id \(id) of '\(text)', the model's text encoder has \(size) tokens; are tokenizer and "
                + "config.json of one model?"
        case .notFinite(let source, let reason):
            "the embeddings of \(source) are not finite: \(reason)"
        }
    }
}
