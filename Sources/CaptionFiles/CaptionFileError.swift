import Foundation

/// What can be wrong with a file of captions; the text names the place.
public enum CaptionFileError: Error, Equatable, Sendable {
    case malformed(path: String, line: Int, column: Int, expected: String, got: String)
    case unknownLayout(path: String, got: String)
    /// - place: `annotations[3]`, `images[0].id`, `line 2`: indices from 0, lines from 1.
    case badEntry(path: String, place: String, expected: String, got: String)

    /// The layouts that are read, for messages and documents.
    static let layouts = """
        COCO captions {"annotations": [{"image_id", "caption"}]}, COCO results [{"image_id", "caption"}] or \
        {"results": […]}, Karpathy's {"images": [{"filename", "sentences": [{"raw"}]}]}, BLIP's and LAVIS's \
        [{"image", "caption"}], {"image id": ["caption", …]}, or JSON Lines of {"image_id" or "image", "caption"}
        """
}

extension CaptionFileError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .malformed(let path, let line, let column, let expected, let got):
            "'\(path)' is not valid JSON: line \(line), column \(column): expected \(expected), got \(got)"
        case .unknownLayout(let path, let got):
            "'\(path)' holds captions in no layout that is read here: got \(got), expected \(Self.layouts)"
        case .badEntry(let path, let place, let expected, let got):
            "'\(path)', \(place): expected \(expected), got \(got)"
        }
    }
}
