import Files

/// A model file of SentencePiece (`spiece.model`, `tokenizer.model`): pieces with scores, and how a text is normalised.
/// Reference: google/sentencepiece, `sentencepiece_model.proto`, whose defaults hold for fields that a file leaves out.
struct SentencePieceFile {
    enum Kind: Int {
        case unigram = 1
        case bytePairs = 2
        case words = 3
        case characters = 4
    }

    enum PieceKind: Int {
        case normal = 1
        case unknown = 2
        /// Stands for no text: `</s>`.
        case control = 3
        /// Found in the text before anything else.
        case userDefined = 4
        case unused = 5
        /// One byte, for characters without a piece.
        case byte = 6
    }

    struct Piece {
        var text: [UInt8] = []
        var score: Float = 0
        var kind = PieceKind.normal
    }

    let path: String
    private(set) var kind = Kind.unigram
    /// The id of a piece is its place.
    private(set) var pieces: [Piece] = []
    private(set) var hasByteFallback = false
    private(set) var putsSpaceBehind = false

    // The normaliser.
    private(set) var characterMap: [UInt8] = []
    private(set) var addsDummyPrefix = true
    private(set) var removesExtraSpaces = true
    private(set) var escapesSpaces = true

    /// - Throws: `FileError`, ``TokenizerError/badField(path:field:expected:got:)``.
    init(_ path: String) throws {
        self.path = path
        let bytes = try RegularFile.bytes(path)
        try PlaceholderFile.refuse(bytes, path: path)
        do {
            try read(bytes[...])
        } catch let error as ProtocolBuffer.Malformed {
            throw TokenizerError.badField(
                path: path, field: "byte \(error.offset)", expected: "a model file of SentencePiece", got: error.reason)
        }
        guard !pieces.isEmpty else {
            throw TokenizerError.badField(
                path: path, field: "pieces", expected: "a model file of SentencePiece", got: "none")
        }
    }

    private mutating func read(_ bytes: ArraySlice<UInt8>) throws {
        var file = ProtocolBuffer(bytes)
        while let (field, value) = try file.next() {
            guard case .bytes(let message) = value else { continue }
            switch field {
            case 1: pieces.append(try piece(message))
            case 2: try readTraining(message)
            case 3: try readNormalizer(message)
            default: break  // samples for self-tests, the normaliser of decoded texts
            }
        }
    }

    private func piece(_ bytes: ArraySlice<UInt8>) throws -> Piece {
        var message = ProtocolBuffer(bytes)
        var piece = Piece()
        while let (field, value) = try message.next() {
            switch (field, value) {
            case (1, .bytes(let text)): piece.text = Array(text)
            case (2, .float(let score)): piece.score = score
            case (3, .number(let number)):
                guard let kind = PieceKind(rawValue: Int(truncatingIfNeeded: number)) else {
                    throw TokenizerError.badField(
                        path: path, field: "type of piece \(pieces.count)", expected: "a number from 1 to 6",
                        got: "\(number)")
                }
                piece.kind = kind
            default: break
            }
        }
        guard !piece.text.isEmpty, piece.score.isFinite else {
            throw TokenizerError.badField(
                path: path, field: "piece \(pieces.count)", expected: "a text and a finite score",
                got: "'\(String(decoding: piece.text, as: UTF8.self))' with \(piece.score)")
        }
        return piece
    }

    private mutating func readTraining(_ bytes: ArraySlice<UInt8>) throws {
        var message = ProtocolBuffer(bytes)
        while let (field, value) = try message.next() {
            guard case .number(let number) = value else { continue }
            switch field {
            case 3:
                guard let kind = Kind(rawValue: Int(truncatingIfNeeded: number)) else {
                    throw TokenizerError.badField(
                        path: path, field: "model_type", expected: "a number from 1 to 4", got: "\(number)")
                }
                self.kind = kind
            case 24: putsSpaceBehind = number != 0
            case 35: hasByteFallback = number != 0
            default: break  // how it was trained
            }
        }
    }

    private mutating func readNormalizer(_ bytes: ArraySlice<UInt8>) throws {
        var message = ProtocolBuffer(bytes)
        while let (field, value) = try message.next() {
            switch (field, value) {
            case (2, .bytes(let map)): characterMap = Array(map)
            case (3, .number(let number)): addsDummyPrefix = number != 0
            case (4, .number(let number)): removesExtraSpaces = number != 0
            case (5, .number(let number)): escapesSpaces = number != 0
            default: break  // the name, and the rules in words
            }
        }
    }
}
