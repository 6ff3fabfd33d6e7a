import Foundation

/// What is wrong with the files of a tokenizer, or with a text that does not fit.
public enum TokenizerError: Error, Equatable, Sendable {
    case noTokenizer(folder: String)
    case missing(path: String, field: String)
    case badField(path: String, field: String, expected: String, got: String)
    case unsupported(path: String, field: String, supported: String, got: String)
    case badMerge(path: String, line: Int, text: String)
    case mergeOutOfVocabulary(path: String, merge: String, token: String)
    case duplicateID(path: String, id: Int, first: String, second: String)
    case missingByte(path: String, byte: UInt8, token: String)
    case unknownToken(path: String, role: String, token: String)
    case contextTooShort(contextLength: Int, minimum: Int)
    case textTooLong(row: Int, tokens: Int, contextLength: Int, text: String)
    /// The files are of a family that is not read here.
    case unknownFamily(folder: String, got: String, known: [String])
    /// Two added tokens that are equal when normalised.
    case ambiguousTokens(path: String, first: String, second: String)
}

extension TokenizerError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .noTokenizer(let folder):
            "'\(folder)' holds neither tokenizer.json nor vocab.json with merges.txt; copy them from the model's page"
        case .missing(let path, let field):
            "'\(path)' has no '\(field)'"
        case .badField(let path, let field, let expected, let got):
            "'\(path)': '\(field)' should be \(expected), got \(got)"
        case .unsupported(let path, let field, let supported, let got):
            "'\(path)': \(field) is \(got), which this tokenizer does not implement; supported: \(supported)"
        case .badMerge(let path, let line, let text):
            "'\(path)': merge \(line) should be two tokens with a space between, got '\(text)'"
        case .mergeOutOfVocabulary(let path, let merge, let token):
            "'\(path)': merge '\(merge)' needs the token '\(token)', which the vocabulary does not have;"
                + " are vocabulary and merges of the same model?"
        case .duplicateID(let path, let id, let first, let second):
            "'\(path)': tokens '\(first)' and '\(second)' both have id \(id)"
        case .missingByte(let path, let byte, let token):
            "'\(path)': the vocabulary lacks '\(token)', the token of byte \(byte); it is no byte-level vocabulary"
        case .unknownToken(let path, let role, let token):
            "'\(path)': \(role) is '\(token)', which is not in the vocabulary"
        case .contextTooShort(let contextLength, let minimum):
            "context length is \(contextLength), at least \(minimum) is needed"
        case .textTooLong(let row, let tokens, let contextLength, let text):
            "text \(row) has \(tokens) tokens, the context holds \(contextLength): '\(text)'; shorten it or ask for truncation"
        case .unknownFamily(let folder, let got, let known):
            "'\(folder)' holds \(got), which is no tokenizer that is read here; known are \(known.joined(separator: ", "))"
        case .ambiguousTokens(let path, let first, let second):
            "'\(path)': the added tokens '\(first)' and '\(second)' are one text once it is normalised, and nothing says"
                + " which of them counts; remove one"
        }
    }
}
