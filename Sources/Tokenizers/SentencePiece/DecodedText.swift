import Foundation

/// What transformers does to decoded text where `clean_up_tokenization_spaces` is on. Reference: transformers
/// `PreTrainedTokenizerBase.clean_up_tokenization`.
enum DecodedText {
    private static let marks = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
        (" 've", "'ve"), (" 're", "'re"),
    ]

    static func withoutSpacesBeforePunctuation(_ text: String) -> String {
        marks.reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1, options: .literal) }
    }
}

extension TokenizerFiles {
    /// - Throws: `JSONFileError`.
    func cleansSpaces() throws -> Bool { try configuration?.bool("clean_up_tokenization_spaces") ?? false }
}
