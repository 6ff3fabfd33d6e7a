import Foundation

/// Why a captioner could not be evaluated.
public enum CaptioningEvaluationError: Error, Equatable, Sendable, CustomStringConvertible, LocalizedError {
    /// - first: what is wrong with the first of them, at most ten.
    case unreadableImages(count: Int, total: Int, first: [String])
    case brokenRecord(path: String, line: Int)

    public var description: String {
        switch self {
        case .unreadableImages(let count, let total, let first):
            "\(count) of \(total) images could not be read, and scores without them would be over another set: "
                + first.joined(separator: "; ") + (count > first.count ? "; …" : "")
        case .brokenRecord(let path, let line):
            "'\(path)' line \(line) is no record of a captioned image; remove the file to begin anew"
        }
    }

    public var errorDescription: String? { description }
}
