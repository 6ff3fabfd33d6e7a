/// Byte-pair encoding over characters, as SentencePiece's vocabularies are used by the `tokenizers` library: a character
/// without a token is its bytes (`<0x41>`), and where these are missing the unknown token.
struct CharacterPairs: Sendable {
    private let tokens: [[UInt8]?]
    private let ids: PieceTrie
    private let merges: MergeTable
    private let byteIDs: [Int32?]
    private let unknownID: Int32?
    private let fusesUnknown: Bool
    /// Entries of the vocabulary.
    let count: Int

    /// - Parameters:
    ///   - unknown: the token for what has none; nil drops it.
    ///   - fusesUnknown: neighbouring unknown characters are one token.
    ///   - fallsBackToBytes: characters without a token are their bytes.
    /// - Throws: ``TokenizerError``.
    init(
        _ files: BytePairFiles, unknown: String?, fusesUnknown: Bool, fallsBackToBytes: Bool
    ) throws(TokenizerError) {
        var tokens: [[UInt8]?] = []
        let limit = max(1 << 20, 4 * files.vocabulary.count)
        for (token, id) in files.vocabulary {
            guard 0 <= id, id < limit else {
                throw .badField(
                    path: files.path, field: "id of '\(Self.words(token))'",
                    expected: "an integer from 0 to \(limit - 1)", got: "\(id)")
            }
            if id >= tokens.count { tokens.append(contentsOf: repeatElement(nil, count: id + 1 - tokens.count)) }
            if let first = tokens[id] {
                throw .duplicateID(path: files.path, id: id, first: Self.words(first), second: Self.words(token))
            }
            tokens[id] = token
        }
        self.tokens = tokens
        let ids = PieceTrie(files.vocabulary.map { ($0.token, Int32($0.id)) })
        self.ids = ids
        count = files.vocabulary.count
        self.fusesUnknown = fusesUnknown
        byteIDs =
            fallsBackToBytes
            ? (0...255).map { ids.value(of: ByteToken.text(UInt8($0))) } : Array(repeating: nil, count: 256)
        if let unknown {
            guard let id = ids.value(of: unknown.utf8) else {
                throw .unknownToken(path: files.path, role: "unk_token", token: unknown)
            }
            unknownID = id
        } else {
            unknownID = nil
        }
        var table = MergeTable(capacity: files.merges.count)
        for (rank, merge) in files.merges.enumerated() {
            func id(_ token: [UInt8]) throws(TokenizerError) -> Int32 {
                guard let id = ids.value(of: token) else {
                    throw .mergeOutOfVocabulary(
                        path: files.path, merge: "\(Self.words(merge.left)) \(Self.words(merge.right))",
                        token: Self.words(token))
                }
                return id
            }
            table.insert(
                left: try id(merge.left), right: try id(merge.right), rank: UInt32(rank),
                result: try id(merge.left + merge.right))
        }
        merges = table
    }

    /// Ids lie below this.
    var limit: Int { tokens.count }

    func id(of token: some Collection<UInt8>) -> Int32? { ids.value(of: token) }

    func token(of id: Int) -> [UInt8]? { tokens.indices.contains(id) ? tokens[id] : nil }

    func encode(_ text: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
        let start = output.count
        var pendingUnknown = false
        var i = 0
        while i < text.count {
            let lead = text[i]
            let end = i + (lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4)
            let character = UnsafeBufferPointer(rebasing: text[i..<end])
            i = end
            if let id = ids.value(of: character) {
                if pendingUnknown { output.append(unknownID!) }
                pendingUnknown = false
                output.append(id)
                continue
            }
            let bytes = character.compactMap { byteIDs[Int($0)] }
            if bytes.count == character.count {
                // What is unknown before them comes after them, as in the reference.
                output += bytes
            } else if let unknownID {
                if pendingUnknown, !fusesUnknown { output.append(unknownID) }
                pendingUnknown = true
            }
        }
        if pendingUnknown { output.append(unknownID!) }
        merges.merge(&output, from: start)
    }

    private static func words(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
