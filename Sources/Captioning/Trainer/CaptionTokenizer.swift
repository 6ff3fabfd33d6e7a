import Tokenizers

/// Turns captions into token ids according to a recipe.
struct CaptionTokenizer {
    private let tokenizer: any TextTokenizer
    private let settings: CaptionerRecipe.CaptionSettings
    /// The most tokens of a caption without the end token; longer captions are cut and have no end.
    let limit: Int
    let statistics: CaptionLengths

    /// Reads all training captions once to measure them.
    /// - Parameter room: positions that the language model has for a caption with its end token, at least 1.
    init(
        _ tokenizer: any TextTokenizer, _ settings: CaptionerRecipe.CaptionSettings, room: Int, count: Int,
        caption: (_ index: Int) throws -> String
    ) throws {
        self.tokenizer = tokenizer
        self.settings = settings
        var counts: [Int32] = []
        counts.reserveCapacity(count)
        for index in 0..<count {
            counts.append(Int32(tokenizer.encode(Self.text(try caption(index), settings)).count))
        }
        let lengths = CaptionLengths(counts)
        let end = settings.ending == .endOfText ? 1 : 0
        limit = max(1, min(settings.maximumTokens ?? lengths.authorsLimit, room - end))
        statistics = lengths
    }

    /// Number of training captions that are cut.
    func cutCount() -> Int { statistics.count(above: limit) }

    private static func text(_ caption: String, _ settings: CaptionerRecipe.CaptionSettings) -> String {
        guard settings.trim else { return caption }
        let bytes = caption.utf8.drop { $0 <= 0x20 }
        guard let last = bytes.lastIndex(where: { $0 > 0x20 }) else { return "" }
        return String(bytes[...last]) ?? caption
    }

    /// The ids of captions, ready for the loss.
    func callAsFunction(_ captions: [String]) -> CaptionTokens {
        let rows = captions.map { caption -> [Int] in
            let ids = tokenizer.encode(Self.text(caption, settings)).map(Int.init)
            if ids.count > limit { return Array(ids.prefix(limit)) }
            return settings.ending == .endOfText ? ids + [tokenizer.endID] : ids
        }
        return CaptionTokens(rows, ignoring: settings.ignoreTokenZero ? 0 : nil)
    }
}

/// Lengths of captions, in tokens without an end token.
struct CaptionLengths: Equatable {
    let mean: Double
    let longest: Int
    /// The authors' limit (`max_seq_len`): mean + 10 standard deviations, rounded down, at most the longest.
    let authorsLimit: Int
    /// How many captions have each length.
    private let histogram: [Int: Int]

    init(_ counts: [Int32]) {
        let total = Double(counts.count)
        let mean = counts.reduce(0.0) { $0 + Double($1) } / max(1, total)
        let squares = counts.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
        // torch's std is the unbiased one.
        let deviation = counts.count > 1 ? (squares / (total - 1)).squareRoot() : 0
        self.mean = mean
        longest = counts.max().map(Int.init) ?? 0
        authorsLimit = min(Int(mean + 10 * deviation), longest)
        histogram = counts.reduce(into: [:]) { $0[Int($1), default: 0] += 1 }
    }

    func count(above limit: Int) -> Int { histogram.reduce(0) { $1.key > limit ? $0 + $1.value : $0 } }
}
