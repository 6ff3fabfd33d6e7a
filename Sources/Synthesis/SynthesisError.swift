import Foundation

/// Why a set of images cannot be generated or continued; the text says what, where, expected, got, and the next step.
public enum SynthesisError: Error, Equatable, Sendable {
    // Captions
    case unknownCaptionFile(path: String)
    case badLine(path: String, line: Int, expected: String, got: String)
    case duplicateID(path: String, line: Int, id: String, firstLine: Int)
    case noCaptions(path: String)
    case missingRealImages(folder: String, count: Int, total: Int, first: String)

    // Settings
    case badSetting(name: String, expected: String, got: String)
    /// The folder holds images that were made with other settings.
    case otherSettings(path: String, differences: [Difference])
    case brokenSettings(reason: String)
    case foreignFolder(path: String, found: String)

    // The run
    case brokenJournal(path: String, line: Int, reason: String)
    case nothingGenerated(count: Int, reason: String)

    /// A setting that changed between two runs.
    public struct Difference: Equatable, Sendable {
        public let key: String
        public let before: String
        public let now: String
    }
}

extension SynthesisError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .unknownCaptionFile(let path):
            "'\(path)' is no caption file: expected the ending .json (COCO or Karpathy), .jsonl (one object with id and "
                + "caption per line) or .txt (one caption per line)"
        case .badLine(let path, let line, let expected, let got):
            "'\(path)' line \(line): expected \(expected), got \(got)"
        case .duplicateID(let path, let line, let id, let firstLine):
            "'\(path)' line \(line): id '\(id)' already stands in line \(firstLine); ids must be unique"
        case .noCaptions(let path):
            "'\(path)' holds no captions"
        case .missingRealImages(let folder, let count, let total, let first):
            "\(count) of \(total) real images of the captions file are not in '\(folder)', the first is '\(first)'; "
                + "name their folder with --real-images"
        case .badSetting(let name, let expected, let got):
            "\(name) is \(got), expected \(expected)"
        case .otherSettings(let path, let differences):
            "'\(path)' was begun with other settings: "
                + differences.map { "\($0.key) was \($0.before), is \($0.now)" }.joined(separator: "; ")
                + ". Give the same again, or another --out"
        case .brokenSettings(let reason):
            "\(reason); it says how the images beside it were made, so put it back, or choose another --out"
        case .foreignFolder(let path, let found):
            "'\(path)' has no settings.json but holds '\(found)'; give --out a new folder, or one that this command made"
        case .brokenJournal(let path, let line, let reason):
            "'\(path)' line \(line) \(reason); remove the file to have every batch checked and its missing images made "
                + "again"
        case .nothingGenerated(let count, let reason):
            "none of \(count) images could be generated; the first: \(reason)"
        }
    }
}
