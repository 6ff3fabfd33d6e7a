/// The Unigram model of a SentencePiece file with the normaliser that belongs to it: what `SentencePieceProcessor.encode`
/// does. Reference: google/sentencepiece 0.2, `normalizer.cc`, `unigram_model.cc`, `sentencepiece_processor.cc`.
struct SentencePieceUnigram: Sendable {
    static let space = Array("\u{2581}".utf8)

    private let model: Unigram<Float>
    private let map: CharacterMap
    /// Found in the text before it is normalised.
    private let userDefined: PieceTrie
    private let pieces: [[UInt8]]
    private let ids: [[UInt8]: Int32]
    private let byteIDs: [Int32]?
    private let addsDummyPrefix: Bool
    let removesExtraSpaces: Bool

    /// - Throws: ``TokenizerError``: a file of another kind, or with a setting that is not implemented.
    init(_ file: SentencePieceFile) throws(TokenizerError) {
        func refuse(_ field: String, _ supported: String, _ got: String) -> TokenizerError {
            .unsupported(path: file.path, field: field, supported: supported, got: got)
        }
        guard file.kind == .unigram else {
            throw refuse("model_type", "1 (Unigram)", "\(file.kind.rawValue)")
        }
        guard !file.putsSpaceBehind else { throw refuse("treat_whitespace_as_suffix", "false", "true") }
        guard file.escapesSpaces else { throw refuse("escape_whitespaces", "true", "false") }
        let normal = file.pieces.filter { $0.kind == .normal }.map(\.score)
        let unknown = file.pieces.indices.filter { file.pieces[$0].kind == .unknown }
        guard unknown.count == 1 else {
            throw .badField(
                path: file.path, field: "pieces", expected: "one of the type unknown", got: "\(unknown.count)")
        }
        guard let lowest = normal.min(), let highest = normal.max() else {
            throw .badField(path: file.path, field: "pieces", expected: "some of the type normal", got: "none")
        }
        pieces = file.pieces.map(\.text)
        var ids: [[UInt8]: Int32] = [:]
        for (id, piece) in file.pieces.enumerated() {
            guard ids.updateValue(Int32(id), forKey: piece.text) == nil else {
                throw .badField(
                    path: file.path, field: "piece \(id)", expected: "a text that no other piece has",
                    got: "'\(String(decoding: piece.text, as: UTF8.self))'")
            }
        }
        self.ids = ids
        let found = file.pieces.enumerated().filter { $0.element.kind == .normal || $0.element.kind == .userDefined }
        model = Unigram(
            pieces: found.map { ($0.element.text, Int32($0.offset)) },
            scores: file.pieces.map { piece in
                // One that a user defined is worth more than any path of others.
                piece.kind == .userDefined ? Float(Double(Float(piece.text.count) * highest) - 0.1) : piece.score
            }, lowest: lowest, unknownID: Int32(unknown[0]))
        userDefined = PieceTrie(found.filter { $0.element.kind == .userDefined }.map { ($0.element.text, 1) })
        map = try CharacterMap(file.characterMap, path: file.path)
        addsDummyPrefix = file.addsDummyPrefix
        removesExtraSpaces = file.removesExtraSpaces
        guard file.hasByteFallback else {
            byteIDs = nil
            return
        }
        var bytes: [Int32] = []
        for byte in UInt8.min...UInt8.max {
            let text = ByteToken.text(byte)
            guard let id = ids[text] else {
                throw .missingByte(path: file.path, byte: byte, token: String(decoding: text, as: UTF8.self))
            }
            bytes.append(id)
        }
        byteIDs = bytes
    }

    var count: Int { pieces.count }
    var unknownID: Int32 { model.unknownID }

    func id(of text: [UInt8]) -> Int32? { ids[text] }

    /// The text of a piece; nil for ids beyond the vocabulary.
    func piece(_ id: Int) -> [UInt8]? { pieces.indices.contains(id) ? pieces[id] : nil }

    /// Normalises a text and splits it. Neighbouring unknown characters are one unknown piece.
    func encode(_ text: [UInt8]) -> [Int32] {
        text.withUnsafeBufferPointer { normalized($0) }.withUnsafeBufferPointer { normalized in
            var ids: [Int32] = []
            var start = 0
            var previous: Int32?
            for (id, end) in model.split(normalized) {
                if id == unknownID, let byteIDs {
                    for byte in normalized[start..<end] { ids.append(byteIDs[Int(byte)]) }
                } else if id != unknownID || previous != unknownID {
                    ids.append(id)
                }
                previous = id
                start = end
            }
            return ids
        }
    }

    func normalized(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(text.count + text.count / 4 + 8)
        var i = 0
        if removesExtraSpaces {
            while i < text.count {
                let (length, becomes) = rule(text, at: i)
                guard becomes.elementsEqual([0x20]) else { break }
                i += length
            }
        }
        guard i < text.count else { return [] }
        if addsDummyPrefix { output += Self.space }
        var isAfterSpace = removesExtraSpaces
        while i < text.count {
            let (length, whole) = rule(text, at: i)
            let becomes = isAfterSpace ? whole.drop { $0 == 0x20 } : whole
            if !becomes.isEmpty {
                for byte in becomes { if byte == 0x20 { output += Self.space } else { output.append(byte) } }
                isAfterSpace = removesExtraSpaces && becomes.last == 0x20
            }
            i += length
        }
        if removesExtraSpaces {
            while output.suffix(Self.space.count).elementsEqual(Self.space) { output.removeLast(Self.space.count) }
        }
        return output
    }

    /// What begins at `i`: its length and what it becomes. The longest rule counts.
    private func rule(_ text: UnsafeBufferPointer<UInt8>, at i: Int) -> (length: Int, becomes: ArraySlice<UInt8>) {
        var own = 0
        userDefined.pieces(in: text, from: i) { length, _ in own = length }
        if own > 0 { return (own, Array(text[i..<i + own])[...]) }
        var found: (length: Int, becomes: ArraySlice<UInt8>) = (0, [])
        map.prefixes(of: text, from: i) { found = ($0, $1) }
        if found.length > 0 { return found }
        let lead = text[i]
        let length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
        return (length, Array(text[i..<i + length])[...])
    }
}

/// Pieces that stand for one byte: `<0x41>`.
enum ByteToken {
    static func text(_ byte: UInt8) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
    }

    /// The byte of a piece; nil for pieces of text.
    static func byte(_ text: [UInt8]) -> UInt8? {
        guard text.count == 6, text.starts(with: "<0x".utf8), text[5] == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: text[3..<5], as: UTF8.self), radix: 16)
    }
}
