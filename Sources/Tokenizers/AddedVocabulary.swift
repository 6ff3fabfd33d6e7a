import Files

/// The tokens of a folder outside its base vocabulary: those that training added, and the special ones.
///
/// Ids are assigned as `transformers` 5 and its `tokenizers` library do it. A token of the base vocabulary keeps its
/// id; every other one gets the next free id, in the order of ``TokenDeclarations``. The ids in the files decide only
/// the order.
struct AddedVocabulary: Sendable {
    private(set) var tokens: [Int32: AddedToken] = [:]
    /// What each token stands for in a text: its content, or its normalised content if any declaration wants it
    /// normalised.
    private var texts: [Int32: [UInt8]] = [:]
    private var special: Set<ExactString> = []
    private let rawMatcher: AddedTokenMatcher
    private let normalizedMatcher: AddedTokenMatcher
    private var ids: [ExactString: Int32] = [:]

    /// - Parameters:
    ///   - count: entries of the base vocabulary.
    ///   - path: its file, for messages.
    ///   - normalize: what is done to a text before the tokens that are searched in the normalised text.
    ///   - id: the id of a token of the base vocabulary; nil for other tokens.
    /// - Throws: ``TokenizerError/ambiguousTokens(path:first:second:)`` for two tokens that are equal when normalised.
    init(
        _ declarations: TokenDeclarations, count: Int, path: String, normalize: ([UInt8]) -> [UInt8],
        id: (ExactString) -> Int32?
    ) throws(TokenizerError) {
        var everNormalized: Set<Int32> = []
        for declared in declarations.added where !declared.content.string.isEmpty {
            let new = ids[declared.content] ?? id(declared.content) ?? Self.next(after: count, ids.values.max())
            ids[declared.content] = new
            // The last declaration of a token counts, but a token that was special once remains special.
            tokens[new] = AddedToken(
                content: Array(declared.content.string.utf8), takesSpaceBefore: declared.takesSpaceBefore,
                takesSpaceAfter: declared.takesSpaceAfter, isSingleWord: declared.isSingleWord,
                isNormalized: declared.isFoundNormalized)
            if declared.isSpecial { special.insert(declared.content) }
            if declared.isFoundNormalized { everNormalized.insert(new) }
        }
        for (id, token) in tokens { texts[id] = everNormalized.contains(id) ? normalize(token.content) : token.content }
        var seen: [[UInt8]: AddedToken] = [:]
        for (id, token) in tokens.sorted(by: { $0.key < $1.key }) where token.isNormalized {
            guard let other = seen.updateValue(token, forKey: texts[id]!) else { continue }
            throw .ambiguousTokens(
                path: path, first: String(decoding: other.content, as: UTF8.self),
                second: String(decoding: token.content, as: UTF8.self))
        }
        let all = tokens.map { [texts] id, token in
            (pattern: token.isNormalized ? texts[id]! : token.content, token: token, id: id)
        }
        rawMatcher = AddedTokenMatcher(all.filter { !$0.token.isNormalized })
        normalizedMatcher = AddedTokenMatcher(all.filter { $0.token.isNormalized })
    }

    private static func next(after count: Int, _ highest: Int32?) -> Int32 {
        highest.map { $0 >= Int32(count) ? $0 + 1 : Int32(count) } ?? Int32(count)
    }

    func id(of content: ExactString) -> Int32? { ids[content] }

    /// The highest id of an added token; -1 without any.
    var highestID: Int { Int(tokens.keys.max() ?? -1) }

    /// The text of an added token; nil for other ids.
    func text(of id: Int) -> [UInt8]? { texts[Int32(clamping: id)] }

    /// Whether decoding may leave a token out.
    func isSpecial(_ text: [UInt8]) -> Bool { special.contains(ExactString(String(decoding: text, as: UTF8.self))) }

    /// Calls `piece` for the stretches of a text between tokens and `token` for the tokens, in order.
    /// - Parameter clean: normalises the stretches between the tokens that are searched in the text as given; nil
    ///   changes nothing.
    func split(
        _ text: UnsafeBufferPointer<UInt8>, clean: ((UnsafeBufferPointer<UInt8>) -> [UInt8])?,
        piece: (UnsafeBufferPointer<UInt8>) -> Void, token: (Int32) -> Void
    ) {
        rawMatcher.split(
            text,
            piece: { part in
                if let clean {
                    clean(part).withUnsafeBufferPointer { normalizedMatcher.split($0, piece: piece, token: token) }
                } else {
                    normalizedMatcher.split(part, piece: piece, token: token)
                }
            }, token: token)
    }
}
