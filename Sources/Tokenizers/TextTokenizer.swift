/// Text to token ids and back, whatever the family.
///
/// ```swift
/// let tokenizer = try TokenizerFolder.open("gpt2")
/// let ids = tokenizer.encode("A man on a moped.")     // the text's own tokens; nothing is added
/// let text = tokenizer.decode(ids.map(Int.init))
/// ```
public protocol TextTokenizer: Sendable {
    /// All ids are below this, so a table of embeddings needs as many rows. Tables often have more; ids beyond the
    /// tokenizer's decode to nothing.
    var vocabularySize: Int { get }
    /// The token that starts a text; nil for families without one.
    var startID: Int? { get }
    /// The token that ends a text.
    var endID: Int { get }
    /// The token that fills up rows; nil if the folder names none.
    var paddingID: Int? { get }
    /// Tokens per row unless the caller says otherwise; nil if the folder sets no limit.
    var contextLength: Int? { get }

    /// Ids of a text, without anything before or after it. Added tokens in the text are found.
    func encode(_ text: String) -> [Int32]

    /// Texts as rows of equal length, as the encoders of the family expect them: with the family's tokens before and
    /// after each text, and filled up.
    /// - Parameters:
    ///   - contextLength: tokens per row, including those before and after the text. If nil, ``contextLength``; without
    ///     that, the length of the longest row. A text is cut to the tokenizer's own limit where that is smaller.
    ///   - truncation: what happens to longer texts.
    /// - Throws: ``TokenizerError/textTooLong(row:tokens:contextLength:text:)``,
    ///   ``TokenizerError/contextTooShort(contextLength:minimum:)``.
    func encode(_ texts: [String], contextLength: Int?, truncation: Truncation) throws(TokenizerError) -> TokenBatch

    /// The text of ids; bytes that are no UTF-8 become U+FFFD. Ids without a token are skipped.
    /// - Parameter skippingSpecial: leave special tokens out.
    func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool) -> String

    /// The bytes that a token stands for, which are no valid UTF-8 by themselves if the token ends within a character.
    /// Empty for an id without a token.
    func bytes(of id: Int) -> [UInt8]
}

extension TextTokenizer {
    public func encode(_ texts: [String], truncation: Truncation) throws(TokenizerError) -> TokenBatch {
        try encode(texts, contextLength: nil, truncation: truncation)
    }

    /// The text of ids, special tokens included.
    public func decode(_ ids: some Sequence<Int>) -> String { decode(ids, skippingSpecial: false) }
}
