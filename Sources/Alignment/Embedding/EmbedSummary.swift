import Foundation

/// What `gmail embed` measured.
public struct EmbedSummary {
    public var device: String
    public var dtype: String
    public var kernel: String?
    public var images: Int?
    public var texts: Int?
    public var skipped = 0
    public var truncatedTexts = 0
    public var imageSeconds = 0.0
    /// Summed over the decoding threads, which run beside the model.
    public var decodeSeconds = 0.0
    public var preprocessingSeconds = 0.0
    public var modelSeconds = 0.0
    public var waitingSeconds = 0.0
    public var totalSeconds = 0.0

    public init(device: String, dtype: String, kernel: String?) {
        self.device = device
        self.dtype = dtype
        self.kernel = kernel
    }

    public var imagesPerSecond: Double { Double(images ?? 0) / max(imageSeconds, 1e-9) }

    public func json(out: String) throws -> String {
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
package func peakMemory() -> Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
}
