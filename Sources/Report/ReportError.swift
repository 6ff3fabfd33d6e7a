import Foundation

/// Why a report cannot be made; the text says what, where, expected, got, and the next step if there is one.
public enum ReportError: Error, Equatable, Sendable {
    case noRuns
    case notARun(path: String, reason: String)
    case repeatedRun(path: String)
    case brokenRecipe(path: String, line: Int?, reason: String)
    /// `line` counts from 1.
    case brokenJSON(path: String, line: Int, reason: String)
    case unexpectedContent(path: String, line: Int?, expected: String, got: String)
    case unreadable(path: String, reason: String)
    case noImageFolder(path: String)
    case nothingToCompare(reason: String)
}

extension ReportError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .noRuns:
            "no run given: expected one or more run folders, as gmail align and gmail train captioner write them"
        case .notARun(let path, let reason):
            "'\(path)' is not a run folder: \(reason). Expected the --out folder of gmail align or gmail train captioner"
        case .repeatedRun(let path):
            "run '\(path)' is given twice; name each run once"
        case .brokenRecipe(let path, let line, let reason):
            "'\(path)'\(line.map { ", line \($0)" } ?? "") is not a recipe: \(reason)"
        case .brokenJSON(let path, let line, let reason):
            "'\(path)', line \(line) is not valid JSON: \(reason). Write the file again with the command that made it"
        case .unexpectedContent(let path, let line, let expected, let got):
            "'\(path)'\(line.map { ", line \($0)" } ?? ""): expected \(expected), got \(got)"
        case .unreadable(let path, let reason):
            "'\(path)' cannot be read: \(reason)"
        case .nothingToCompare(let reason): "the runs cannot be compared: \(reason)"
        case .noImageFolder(let path):
            "--images '\(path)' is not a folder; give the one that the file names in predictions.jsonl are below"
        }
    }
}
