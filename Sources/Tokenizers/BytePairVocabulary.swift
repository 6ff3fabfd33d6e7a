import Files
import ModelFolders

/// Byte-pair encoding over bytes, with added tokens: what the tokenizers of CLIP and GPT-2 have in common.
struct BytePairVocabulary: Sendable {
    let encoder: BytePairEncoder
    /// All ids are below this.
    let size: Int
    private let added: AddedVocabulary
    private let declarations: TokenDeclarations
    private let path: String

    /// - Parameters:
    ///   - endOfWord: what marks the end of words in the vocabulary; empty for nothing.
    ///   - normalize: what is done to a text before it is split; it is done to added tokens too.
    /// - Throws: ``TokenizerError``.
    init(
        _ files: BytePairFiles, _ declarations: TokenDeclarations, endOfWord: String,
        normalize: ([UInt8]) -> [UInt8]
    ) throws(TokenizerError) {
        let encoder = try BytePairEncoder(
            path: files.path, vocabulary: files.vocabulary, merges: files.merges, endOfWord: Array(endOfWord.utf8))
        let added = try AddedVocabulary(
            declarations, count: encoder.count, path: files.path, normalize: normalize, id: encoder.id(of:))
        for (id, token) in added.tokens {
            // A vocabulary with gaps may already use the next number.
            guard let other = encoder.token(of: Int(id)), other != token.content else { continue }
            throw .duplicateID(
                path: files.path, id: Int(id), first: String(decoding: other, as: UTF8.self),
                second: String(decoding: token.content, as: UTF8.self))
        }
        self.encoder = encoder
        self.added = added
        self.declarations = declarations
        path = files.path
        size = max(encoder.limit, added.highestID + 1)
    }

    /// The id of a special token.
    /// - Parameters:
    ///   - key: of the special token, such as `eos_token`.
    ///   - content: the token when the folder names none.
    /// - Throws: ``TokenizerError/unknownToken(path:role:token:)``.
    func id(_ key: String, default content: String) throws(TokenizerError) -> Int {
        try id(of: declarations.content(of: ExactString(key)) ?? ExactString(content), key)
    }

    /// The id of a special token; nil where the folder names none.
    func id(_ key: String) throws(TokenizerError) -> Int? {
        guard let content = declarations.content(of: ExactString(key)) else { return nil }
        return try id(of: content, key)
    }

    func id(of content: ExactString, _ key: String) throws(TokenizerError) -> Int {
        guard let id = added.id(of: content) ?? encoder.id(of: content) else {
            throw .unknownToken(path: path, role: key, token: content.string)
        }
        return Int(id)
    }

    /// The bytes that a token stands for; empty for an id without a token.
    func bytes(of id: Int) -> [UInt8] { text(of: id).map(ByteAlphabet.bytes(ofToken:)) ?? [] }

    func bytes(of ids: some Sequence<Int>, skippingSpecial: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        for id in ids {
            guard let text = text(of: id), !(skippingSpecial && added.isSpecial(text)) else { continue }
            bytes.append(contentsOf: ByteAlphabet.bytes(ofToken: text))
        }
        return bytes
    }

    /// A token as the vocabulary spells it.
    private func text(of id: Int) -> [UInt8]? { added.text(of: id) ?? encoder.token(of: id) }

    /// The ids of a text: added tokens where they are found, words for the stretches between.
    /// - Parameters:
    ///   - clean: normalises the stretches between the tokens that are searched in the text as given; nil changes
    ///     nothing.
    ///   - words: appends the ids of a text without added tokens.
    func encode(
        _ text: String, _ cache: inout WordCache, clean: ((UnsafeBufferPointer<UInt8>) -> [UInt8])?,
        words: (UnsafeBufferPointer<UInt8>, inout WordCache, inout [Int32]) -> Void
    ) -> [Int32] {
        var ids: [Int32] = []
        var text = text
        text.withUTF8 { utf8 in
            added.split(utf8, clean: clean, piece: { words($0, &cache, &ids) }, token: { ids.append($0) })
        }
        return ids
    }
}
