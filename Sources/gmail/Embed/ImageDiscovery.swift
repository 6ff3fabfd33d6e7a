import Files
import Foundation

/// Finds the image files that arguments name.
enum ImageFiles {
    static let suffixes: Set<String> = ["jpg", "jpeg", "png", "webp"]

    static func list(_ paths: [String]) throws -> FileList {
        try FileList(paths) { suffixes.contains($0) ? .wanted : .other }
    }

    static func nothing(in paths: [String], _ found: FileList) -> CommandError {
        CommandError(
            "no image in \(paths.map { "'\($0)'" }.joined(separator: ", "))"
                + (found.skipped.first.map { "; \(found.skipped.count) cannot be read, the first: \($0.reason)" } ?? "")
        )
    }
}
