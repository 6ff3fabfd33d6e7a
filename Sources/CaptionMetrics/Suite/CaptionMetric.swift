/// One metric of a suite: BLEU, ROUGE-L, CIDEr, METEOR, SPICE, WMD …
///
/// A metric is a value with its settings; `evaluate` reads tokenised captions and returns one score per number the
/// metric reports (BLEU reports four). Scores keep the image order of the captions.
public protocol CaptionMetric: Sendable {
    /// The name for users: `bleu`, `cider`.
    var name: String { get }

    /// - Throws: if something is missing that the metric needs, such as a data file.
    func evaluate(_ captions: TokenizedCaptions) throws -> [CaptionScore]
}

/// A number for the whole set, the same for each image, and the protocol by which both were computed.
public struct CaptionScore: Sendable {
    /// coco-caption's name of the number: `Bleu_4`, `ROUGE_L`, `CIDEr`.
    public let name: String
    public let corpus: Double
    /// In the order of `TokenizedCaptions.imageIDs`; NaN where the metric is undefined.
    public let perImage: [Double]
    public let protocolTag: CaptionProtocol
    /// The parts of the number, for metrics that have some: SPICE's categories.
    public let parts: [Part]
    /// What to know before the number is believed, where there is something.
    public let note: String?

    /// The same score over a part of what is compared.
    public struct Part: Sendable, Equatable {
        /// `Object`, `Color` …
        public let name: String
        /// NaN if no image has the part.
        public let corpus: Double
        /// In the order of the images; NaN where an image does not have the part.
        public let perImage: [Double]

        public init(name: String, corpus: Double, perImage: [Double]) {
            self.name = name
            self.corpus = corpus
            self.perImage = perImage
        }
    }

    public init(
        name: String, corpus: Double, perImage: [Double], protocolTag: CaptionProtocol, parts: [Part] = [],
        note: String? = nil
    ) {
        self.name = name
        self.corpus = corpus
        self.perImage = perImage
        self.protocolTag = protocolTag
        self.parts = parts
        self.note = note
    }
}

/// How a number was made: enough to tell whether two numbers may be compared.
public struct CaptionProtocol: Sendable, Hashable {
    /// `bleu`, `rouge-l`, `cider-d` …
    public let metric: String
    /// The choices within the metric, in words: `closest reference length`.
    public let variant: String
    public let tokenizer: String
    /// SHA-256 by role: `references`, `candidates`, and what the metric itself read (`wordVectors`).
    public let dataHashes: [String: String]

    public init(metric: String, variant: String, tokenizer: String, dataHashes: [String: String]) {
        self.metric = metric
        self.variant = variant
        self.tokenizer = tokenizer
        self.dataHashes = dataHashes
    }

    /// The tag of a metric over `captions`, with what else the metric read.
    public init(
        metric: String, variant: String, captions: TokenizedCaptions, additionalHashes: [String: String] = [:]
    ) {
        self.init(
            metric: metric, variant: variant, tokenizer: captions.tokenizer,
            dataHashes: captions.dataHashes.merging(additionalHashes) { $1 })
    }
}
