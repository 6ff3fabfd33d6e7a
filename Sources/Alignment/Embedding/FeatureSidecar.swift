import Files
import Foundation
import ModelFolders

/// The JSON beside a feature file: what each row is, and what made the features.
public struct FeatureSidecar: Codable {
    public struct Model: Codable {
        public var path = ""
        /// The fingerprint: a hash over all files that decide what the model computes.
        public var sha256 = ""
        /// Those files, each with its hash.
        public var files: [ModelFingerprint.File] = []

        public init() {}

        public init(path: String, fingerprint: ModelFingerprint) {
            self.path = path
            sha256 = fingerprint.sha256
            files = fingerprint.files
        }
    }
    public struct Run: Codable {
        public var path: String
        public var step: Int
        public var modality: String
        /// The identity of the alignment's weights.
        public var sha256: String

        public init(path: String, step: Int, modality: String, sha256: String) {
            self.path = path
            self.step = step
            self.modality = modality
            self.sha256 = sha256
        }
    }
    public struct Preprocessing: Codable {
        public var sha256 = ""
        public var settings = ""

        public init() {}

        public init(sha256: String, settings: String) {
            self.sha256 = sha256
            self.settings = settings
        }
    }
    public struct Skipped: Codable {
        public var path: String
        public var reason: String

        public init(path: String, reason: String) {
            self.path = path
            self.reason = reason
        }
    }

    public var version = 2
    public var model = Model()
    /// The alignment run through which the images were read, and as which modality.
    public var run: Run?
    public var preprocessing = Preprocessing()
    public var dtype = ""
    /// How linear layers were multiplied, and why; nil for plain products.
    public var kernel: String?
    public var device = ""
    /// Paths in row order.
    public var images: [String]?
    /// Texts in row order.
    public var texts: [String]?
    public var skipped: [Skipped] = []
    /// Rows (from 0) of `texts` that were longer than the context.
    public var truncatedTexts: [Int] = []

    public init() {}

    enum CodingKeys: String, CodingKey {
        case version, model, run, preprocessing, dtype, kernel, device, images, texts, skipped
        case truncatedTexts = "truncated_texts"
    }

    /// `features.json` stands beside `features.safetensors`.
    public static func path(for features: String) -> String {
        let suffix = ".safetensors"
        return (features.hasSuffix(suffix) ? String(features.dropLast(suffix.count)) : features) + ".json"
    }

    public func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}
