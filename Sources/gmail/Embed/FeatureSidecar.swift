import Foundation

/// The JSON beside a feature file: what each row is, and what made it.
struct FeatureSidecar: Codable {
    struct Model: Codable {
        var path = ""
        var weightsSHA256 = ""
        var configurationSHA256 = ""

        enum CodingKeys: String, CodingKey {
            case path
            case weightsSHA256 = "weights_sha256"
            case configurationSHA256 = "configuration_sha256"
        }
    }
    struct Run: Codable {
        var path: String
        var step: Int
        var modality: String
    }
    struct Preprocessing: Codable {
        var sha256 = ""
        var settings = ""
    }
    struct Skipped: Codable {
        var path: String
        var reason: String
    }

    var version = 1
    var model = Model()
    /// The alignment run that the images went through, and as what.
    var run: Run?
    var preprocessing = Preprocessing()
    var dtype = ""
    var device = ""
    /// Paths in row order.
    var images: [String]?
    /// Texts in row order.
    var texts: [String]?
    var skipped: [Skipped] = []
    /// Rows (from 0) of `texts` that were longer than the context.
    var truncatedTexts: [Int] = []

    enum CodingKeys: String, CodingKey {
        case version, model, run, preprocessing, dtype, device, images, texts, skipped
        case truncatedTexts = "truncated_texts"
    }

    /// `features.safetensors` has `features.json` beside it.
    static func path(for features: String) -> String {
        let suffix = ".safetensors"
        return (features.hasSuffix(suffix) ? String(features.dropLast(suffix.count)) : features) + ".json"
    }

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
    }
}

/// What `gmail embed` measured.
struct EmbedSummary {
    var device: String
    var dtype: String
    var kernel: String?
    var images: Int?
    var texts: Int?
    var skipped = 0
    var truncatedTexts = 0
    var imageSeconds = 0.0
    /// Summed over the decoding threads, which run beside the model.
    var decodeSeconds = 0.0
    var preprocessingSeconds = 0.0
    var modelSeconds = 0.0
    var waitingSeconds = 0.0
    var totalSeconds = 0.0

    var imagesPerSecond: Double { Double(images ?? 0) / max(imageSeconds, 1e-9) }

    func json(out: String) throws -> String {
        var fields: [(String, String)] = [
            ("out", try quoted(out)), ("device", try quoted(device)), ("dtype", try quoted(dtype)),
            ("total_seconds", number(totalSeconds)), ("peak_memory_mib", number(Double(peakMemory()) / 1048576)),
        ]
        if let kernel { fields.append(("kernel", try quoted(kernel))) }
        if let images {
            fields += [
                ("images", "\(images)"), ("skipped", "\(skipped)"), ("images_per_second", number(imagesPerSecond)),
                ("image_seconds", number(imageSeconds)), ("decode_seconds", number(decodeSeconds)),
                ("preprocessing_seconds", number(preprocessingSeconds)), ("model_seconds", number(modelSeconds)),
                ("waiting_seconds", number(waitingSeconds)),
            ]
        }
        if let texts { fields += [("texts", "\(texts)"), ("truncated_texts", "\(truncatedTexts)")] }
        return "{" + fields.map { "\"\($0.0)\": \($0.1)" }.joined(separator: ", ") + "}"
    }

    private func number(_ value: Double) -> String { String(format: "%.4f", value) }

    private func quoted(_ text: String) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        return String(decoding: try encoder.encode(text), as: UTF8.self)
    }
}

/// Largest resident size of this process so far, in bytes.
func peakMemory() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
}
