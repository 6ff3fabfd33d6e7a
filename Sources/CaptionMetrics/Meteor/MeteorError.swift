import Foundation

/// What can go wrong with METEOR's data or with the captions to score.
public enum MeteorError: Error, Equatable, Sendable {
    /// No compiled data file at `path`.
    case dataMissing(path: String)
    /// The file at `path` could not be opened or mapped.
    case dataUnreadable(path: String, reason: String)
    /// The file at `path` is not a data file of this version, or is damaged.
    case dataFormat(path: String, problem: String)
    /// Modules that read the data file were requested without one.
    case modulesNeedData([MeteorModule])
    case unknownModule(String)
    case repeatedModule(String)
    case noModules

    /// `path` holds none of the things from which METEOR's tables can be taken.
    case sourceNotFound(path: String, expected: [String])
    /// A program needed at set-up is not installed.
    case toolMissing(tool: String, purpose: String)
    /// A program needed at set-up failed.
    case toolFailed(command: String, status: Int32, message: String)
    /// A table is not written as expected.
    case malformedTable(table: String, line: Int, expected: String, got: String)
    /// The compiled file could not be written.
    case writeFailed(path: String, reason: String)

    /// An image without references.
    case noReferences(image: Int)
    /// Lists of candidates and of references of different lengths.
    case countMismatch(candidates: Int, references: Int)
    /// A list of statistics that does not have 23 numbers.
    case statisticsCount(Int)
    /// A caption longer than the aligner accepts.
    case captionTooLong(image: Int, words: Int, limit: Int)
    /// A pair of long, repetitive captions with more possible matches than the aligner accepts.
    case tooManyMatches(image: Int, testWords: Int, referenceWords: Int, limit: Int)
}

extension MeteorError: CustomStringConvertible, LocalizedError {
    public var description: String {
        switch self {
        case .dataMissing(let path):
            "METEOR's data file '\(path)' does not exist; make it once with: \(MeteorData.howToMake) "
                + "(without it only --meteor exact,stem can be computed)"
        case .dataUnreadable(let path, let reason):
            "METEOR's data file '\(path)' cannot be read: \(reason)."
        case .dataFormat(let path, let problem):
            "METEOR's data file '\(path)' is not usable: \(problem). Make it again with: gmail data meteor --from PATH"
        case .modulesNeedData(let modules):
            "METEOR's \(modules.map(\.rawValue).joined(separator: " and ")) matching needs the data file, and none was "
                + "given. Make it with: gmail data meteor --from PATH, or ask for the variant exact,stem."
        case .unknownModule(let name):
            "unknown METEOR module '\(name)'. Expected some of: "
                + MeteorModule.allCases.map(\.rawValue).joined(separator: ", ")
        case .repeatedModule(let name):
            "METEOR module '\(name)' is named twice."
        case .noModules:
            "an empty list of METEOR modules. Expected some of: "
                + MeteorModule.allCases.map(\.rawValue).joined(separator: ", ")
        case .sourceNotFound(let path, let expected):
            "'\(path)' holds no METEOR tables. Expected one of: \(expected.joined(separator: "; ")). "
                + "pip download --no-deps pycocoevalcap==1.2 gives a .whl that does."
        case .toolMissing(let tool, let purpose):
            "the program '\(tool)' was not found on PATH; it is needed once, to \(purpose). "
                + "Install it (Debian: apt install \(tool))."
        case .toolFailed(let command, let status, let message):
            "'\(command)' ended with status \(status)" + (message.isEmpty ? "." : ": \(message)")
        case .malformedTable(let table, let line, let expected, let got):
            "METEOR table \(table), line \(line): expected \(expected), got \(got)."
        case .writeFailed(let path, let reason):
            "METEOR's data file '\(path)' cannot be written: \(reason)."
        case .noReferences(let image):
            "image \(image) (counted from 0) has no references; METEOR needs at least one, which may be empty."
        case .countMismatch(let candidates, let references):
            "\(candidates) candidates but references for \(references) images; METEOR expects one candidate an image."
        case .statisticsCount(let count):
            "METEOR has 23 statistics a pair, got \(count)."
        case .captionTooLong(let image, let words, let limit):
            "image \(image) (counted from 0) has a caption of \(words) words; METEOR's aligner takes at most \(limit)."
        case .tooManyMatches(let image, let testWords, let referenceWords, let limit):
            "image \(image) (counted from 0) has captions of \(testWords) and \(referenceWords) words with more than \(limit) possible word matches; "
                + "METEOR's aligner takes no more."
        }
    }

    public var errorDescription: String? { description }
}
