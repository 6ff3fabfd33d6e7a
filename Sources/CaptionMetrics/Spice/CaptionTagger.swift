/// What the tagger and the parser use of a word: hashes of the form and of its beginnings and ends.
@_spi(Training) public struct TokenShape: Sendable {
    @_spi(Training) public let word: UInt64
    @_spi(Training) public let suffix1: UInt64
    @_spi(Training) public let suffix2: UInt64
    @_spi(Training) public let suffix3: UInt64
    @_spi(Training) public let suffix4: UInt64
    @_spi(Training) public let prefix3: UInt64
    /// Digits, hyphens and length, folded into a small number.
    @_spi(Training) public let shape: UInt64

    /// Reads a lower-case word.
    @_spi(Training) public init(_ form: String) {
        word = FeatureHash.word(form)
        let bytes = Array(form.utf8)
        func end(_ n: Int) -> UInt64 {
            var hash: UInt64 = 0xcbf2_9ce4_8422_2325
            for byte in bytes.suffix(n) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
            return hash ^ UInt64(n)
        }
        suffix1 = end(1)
        suffix2 = end(2)
        suffix3 = end(3)
        suffix4 = end(4)
        prefix3 = FeatureHash.mix(FeatureHash.word(form.prefix(3)), 7)
        let hasDigit = bytes.contains { $0 >= 48 && $0 <= 57 }
        let hasHyphen = bytes.contains(45)
        let hasLetter = bytes.contains { $0 >= 97 && $0 <= 122 }
        shape = (hasDigit ? 1 : 0) | (hasHyphen ? 2 : 0) | (hasLetter ? 4 : 0) | UInt64(min(bytes.count, 4)) << 3
    }

    /// The edge of the sentence.
    @_spi(Training) public static let boundary = TokenShape("\u{1}")
}

/// Tags words with Penn Treebank tags from left to right; each decision sees the two tags before it.
@_spi(Training) public struct CaptionTagger: Sendable {
    @_spi(Training) public static let tags = [
        "NN", "NNS", "JJ", "JJR", "JJS", "RB", "RBR", "RBS", "RP", "IN", "TO", "DT", "PDT", "CC", "CD", "PRP", "PRP$",
        "VB", "VBD", "VBG", "VBN", "VBP", "VBZ", "MD", "EX", "WDT", "WP", "WP$", "WRB", "POS", "UH", "FW", "SYM", "LS",
        ".", ",", ":", "-LRB-", "-RRB-", "``", "''", "$", "#", "HYPH", "NFP", "ADD", "AFX", "GW", "XX",
    ]
    static let tagIndex = Dictionary(uniqueKeysWithValues: tags.enumerated().map { ($1, UInt8($0)) })
    /// The tag before the first word.
    @_spi(Training) public static let boundaryTag = UInt8(tags.count)

    @_spi(Training) public let model: SparseLinearModel

    @_spi(Training) public init(model: SparseLinearModel) {
        self.model = model
    }

    @_spi(Training) public func tag(_ shapes: [TokenShape]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: shapes.count)
        var features = FeatureBuffer()
        var scores = [Int32](repeating: 0, count: model.classCount)
        for i in shapes.indices {
            Self.features(at: i, of: shapes, tags: result, into: &features)
            for c in scores.indices { scores[c] = 0 }
            model.addScores(of: features, to: &scores)
            result[i] = UInt8(scores.indexOfLargest())
        }
        return result
    }

    /// The features of one decision; `tags` is filled up to `i`.
    @_spi(Training) public static func features(
        at i: Int, of shapes: [TokenShape], tags: [UInt8], into buffer: inout FeatureBuffer
    ) {
        let at = shapes[i]
        let before = i > 0 ? shapes[i - 1] : .boundary
        let before2 = i > 1 ? shapes[i - 2] : .boundary
        let after = i + 1 < shapes.count ? shapes[i + 1] : .boundary
        let after2 = i + 2 < shapes.count ? shapes[i + 2] : .boundary
        let tag1 = UInt64(i > 0 ? tags[i - 1] : boundaryTag)
        let tag2 = UInt64(i > 1 ? tags[i - 2] : boundaryTag)
        buffer.reset()
        buffer.add(1)
        buffer.add(at.word)
        buffer.add(at.suffix1)
        buffer.add(at.suffix2)
        buffer.add(at.suffix3)
        buffer.add(at.suffix4)
        buffer.add(at.prefix3)
        buffer.add(at.shape)
        buffer.add(tag1)
        buffer.add(tag2)
        buffer.add(tag1, tag2)
        buffer.add(tag1, at.word)
        buffer.add(tag1, tag2, at.word)
        buffer.add(tag1, at.suffix2)
        buffer.add(tag1, at.suffix3)
        buffer.add(tag1, tag2, at.suffix3)
        buffer.add(before.word)
        buffer.add(before.word, at.word)
        buffer.add(before.word, at.suffix3)
        buffer.add(before.suffix3)
        buffer.add(before2.word)
        buffer.add(before2.word, before.word)
        buffer.add(after.word)
        buffer.add(after.word, at.word)
        buffer.add(after.word, at.suffix3)
        buffer.add(after.suffix2)
        buffer.add(after.suffix3)
        buffer.add(after.suffix3, at.suffix3)
        buffer.add(after2.word)
        buffer.add(after2.suffix2)
        buffer.add(after.word, after2.word)
        buffer.add(before.word, after.word)
        buffer.add(tag1, after.word)
        buffer.add(tag1, after.suffix3)
        buffer.add(tag1, at.suffix3, after.suffix2)
    }
}
