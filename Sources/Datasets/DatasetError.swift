import Files
import Foundation

/// What is wrong with a data set's files; the text says what, where, expected, got, and the next step when there is one.
public enum DatasetError: Error, Equatable, Sendable {
    // Pairs manifest
    case brokenLine(path: String, line: Int, reason: String)
    case lineNotObject(path: String, line: Int, got: String)
    case missingKey(path: String, line: Int, key: String)
    case unknownKey(path: String, line: Int, key: String, known: [String])
    case wrongType(path: String, line: Int, key: String, expected: String, got: String)
    case emptyValue(path: String, line: Int, key: String)
    case duplicateID(path: String, line: Int, id: String, firstLine: Int)
    case noPairs(path: String)
    case emptyHalf(path: String, half: String, pairs: Int)
    /// A line that was checked when the manifest was opened reads differently now.
    case changedWhileOpen(path: String, line: Int)
    case unrelatedPath(path: String, line: Int, value: String)
    /// A NUL ends a name for the system.
    case nulInPath(path: String, line: Int, value: String)

    // Caption files
    case unknownSplit(path: String, split: String, known: [String])
    case noImages(path: String, split: String?)
    case missingImages(path: String, folder: String, first: [String], missing: Int, total: Int)
    /// Images of different folders, looked for in one folder that has a single file of their name.
    case oneFileForTwo(path: String, first: String, second: String, file: String)
    case noFileNames(path: String)

    // Loading
    case tooManySkipped(skipped: Int, total: Int, maximumShare: Double, first: [SkippedSample])
    case badSetting(name: String, expected: String, got: String)
    case badSamplerPosition(expected: String, got: String)
    case cancelled

    // Tar
    case badTar(path: String, offset: Int, reason: String)
    case incompleteSample(path: String, key: String, missing: String)
    case repeatedSample(id: String, first: String, second: String)
    /// A tar where a manifest is expected.
    case tarOfPairs(path: String)
}

extension DatasetError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .brokenLine(let path, let line, let reason):
            "'\(path)' line \(line) is not valid JSON: \(reason)"
        case .lineNotObject(let path, let line, let got):
            "'\(path)' line \(line): expected a JSON object with id, caption, real and generated, got \(got)"
        case .missingKey(let path, let line, let key):
            "'\(path)' line \(line): key '\(key)' is missing"
        case .unknownKey(let path, let line, let key, let known):
            "'\(path)' line \(line): unknown key '\(key)'; known are \(known.joined(separator: ", "))"
        case .wrongType(let path, let line, let key, let expected, let got):
            "'\(path)' line \(line): key '\(key)' should be \(expected), got \(got)"
        case .emptyValue(let path, let line, let key):
            "'\(path)' line \(line): key '\(key)' is empty; every pair needs one"
        case .duplicateID(let path, let line, let id, let firstLine):
            "'\(path)' line \(line): id '\(id)' already stands in line \(firstLine); ids must be unique"
        case .noPairs(let path):
            "'\(path)' holds no pairs; expected one JSON object per line"
        case .emptyHalf(let path, let half, let pairs):
            "'\(path)': none of its \(pairs) pairs is in the \(half) half, which the path of the real image decides; "
                + "take more pairs, or data.half all"
        case .changedWhileOpen(let path, let line):
            "'\(path)' line \(line) has changed since the file was opened; run again and leave the file alone meanwhile"
        case .unrelatedPath(let path, let line, let value):
            "'\(path)' line \(line): '\(value)' is an absolute path; paths are relative to the manifest's folder"
        case .nulInPath(let path, let line, let value):
            "'\(path)' line \(line): '\(printable(value))' has a NUL character in it, which no file's name can have"
        case .unknownSplit(let path, let split, let known):
            known.isEmpty
                ? "'\(path)': split '\(split)' asked for, but the file names no splits; leave the split out"
                : "'\(path)': no split '\(split)'; the file has \(known.joined(separator: ", "))"
        case .noImages(let path, let split):
            "'\(path)' holds no captioned image" + (split.map { " in split '\($0)'" } ?? "")
        case .missingImages(let path, let folder, let first, let missing, let total):
            "\(missing) of \(total) images of '\(path)' are not in '\(folder)': \(first.joined(separator: ", "))"
                + (missing > first.count ? ", …" : "")
                + "; every image must be there, or results would be of another set"
        case .oneFileForTwo(let path, let first, let second, let file):
            "'\(first)' and '\(second)' of '\(path)' would both be read from '\(file)'; keep the folders that the names "
                + "begin with"
        case .noFileNames(let path):
            "'\(path)' names no image files; expected COCO captions with 'images', Karpathy's file, or a list or JSON Lines "
                + "whose entries have 'image'"
        case .tooManySkipped(let skipped, let total, let maximumShare, let first):
            "\(skipped) of \(total) samples cannot be read, more than the allowed share of \(maximumShare) "
                + "(maximumSkippedShare); the first: "
                + first.map { "'\($0.id)' (\($0.reason))" }.joined(separator: "; ")
        case .badSetting(let name, let expected, let got):
            "\(name): expected \(expected), got \(got)"
        case .badSamplerPosition(let expected, let got):
            "sampler position: expected \(expected), got \(got); was the data changed since the checkpoint?"
        case .cancelled:
            "loading was cancelled"
        case .badTar(let path, let offset, let reason):
            "'\(path)': not a readable tar at byte \(offset): \(reason)"
        case .incompleteSample(let path, let key, let missing):
            "'\(path)': sample '\(key)' has no '\(missing)' member"
        case .repeatedSample(let id, let first, let second):
            "id '\(id)' is that of sample \(first) and of sample \(second); ids must be unique"
        case .tarOfPairs(let path):
            "'\(path)' is a tar of pairs, expected a manifest (JSON Lines) with images as files beside it; unpack with "
                + "`gmail data unpack '\(path)' --out FOLDER` and give FOLDER/pairs.jsonl"
        }
    }
}
