import Foundation

/// The content of the file that `gmail evaluate gap` writes: the numbers, and the protocol that made them.
public struct GapReport: Sendable, Encodable {
    /// The paper's numbers, for orientation: they come from other images and other weights.
    public struct Reference: Sendable, Encodable {
        public let source = "GMAIL (Mo & Yun, ICML 2025), Table 14: 1000 COCO pairs"
        public let before = 0.52
        public let after = 0.89

        public init() {}

        enum CodingKeys: String, CodingKey {
            case source
            case before = "real_generated_before"
            case after = "real_generated_after"
        }
    }

    public struct ProtocolTag: Sendable, Encodable {
        public var model: String
        /// The model's fingerprint.
        public var modelSHA256: String
        public var preprocessingSHA256: String
        public var pairsSHA256: String
        public var dtype: String
        public var device: String
        /// The run's folder; nil if only the base model was measured.
        public var run: String?
        public var runStep: Int?
        /// Which encoder read real images after alignment: the original or the tuned one.
        public var clipFlow: String?
        public var pairs: Int
        public var text = "base text encoder, before and after"
        public var cosine = "float32 embeddings, float64 sums; std and quartiles of the population"

        public init(
            model: String, modelSHA256: String, preprocessingSHA256: String, pairsSHA256: String, dtype: String,
            device: String, run: String?, runStep: Int?, clipFlow: String?, pairs: Int
        ) {
            self.model = model
            self.modelSHA256 = modelSHA256
            self.preprocessingSHA256 = preprocessingSHA256
            self.pairsSHA256 = pairsSHA256
            self.dtype = dtype
            self.device = device
            self.run = run
            self.runStep = runStep
            self.clipFlow = clipFlow
            self.pairs = pairs
        }

        enum CodingKeys: String, CodingKey {
            case model, dtype, device, run, pairs, text, cosine
            case modelSHA256 = "model_sha256"
            case preprocessingSHA256 = "preprocessing_sha256"
            case pairsSHA256 = "pairs_sha256"
            case runStep = "run_step"
            case clipFlow = "clip_flow"
        }
    }

    public struct Counts: Sendable, Encodable {
        /// The pairs of the manifest, or as many as --limit allows.
        public var requested: Int
        /// Pairs with both images.
        public var pairs: Int
        public var realImages: Int
        public var generatedImages: Int
        public var truncatedCaptions: Int

        public init(requested: Int, pairs: Int, realImages: Int, generatedImages: Int, truncatedCaptions: Int) {
            self.requested = requested
            self.pairs = pairs
            self.realImages = realImages
            self.generatedImages = generatedImages
            self.truncatedCaptions = truncatedCaptions
        }

        enum CodingKeys: String, CodingKey {
            case requested, pairs
            case realImages = "real_images"
            case generatedImages = "generated_images"
            case truncatedCaptions = "truncated_captions"
        }
    }

    public struct Skipped: Sendable, Encodable {
        public let path: String
        public let kind: String
        public let reason: String

        public init(path: String, kind: String, reason: String) {
            self.path = path
            self.kind = kind
            self.reason = reason
        }
    }

    /// What kind of gap it is, before alignment and, with a run, after it.
    public struct Diagnoses: Sendable, Equatable, Codable {
        public let before: GapDiagnosis
        public let after: GapDiagnosis?

        public init(before: GapDiagnosis, after: GapDiagnosis?) {
            self.before = before
            self.after = after
        }
    }

    public var version = 2
    public let protocolTag: ProtocolTag
    public let counts: Counts
    public let before: GapStatistics
    public let after: GapStatistics?
    public let gap: Diagnoses
    public let paper = Reference()
    public let skipped: [Skipped]
    /// Files of the map, beside this one.
    public let mapFiles: [String]?

    enum CodingKeys: String, CodingKey {
        case version, counts, before, after, gap, paper, skipped
        case protocolTag = "protocol"
        case mapFiles = "map_files"
    }

    public init(
        protocolTag: ProtocolTag, counts: Counts, before: GapStatistics, after: GapStatistics?, gap: Diagnoses,
        skipped: [Skipped], mapFiles: [String]?
    ) {
        self.protocolTag = protocolTag
        self.counts = counts
        self.before = before
        self.after = after
        self.gap = gap
        self.skipped = skipped
        self.mapFiles = mapFiles
    }

    public func json() throws -> String { try Self.encode(self) }

    /// Keys in order, so that equal content gives equal bytes.
    public static func encode(_ value: some Encodable, pretty: Bool = true) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }
}
