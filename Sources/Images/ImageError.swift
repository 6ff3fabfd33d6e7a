import Foundation

/// Why an image could not be read, transformed or written.
///
/// `image` names the image in the caller's terms: a path, an archive member, or a row id.
public enum ImageError: Error, Equatable, Sendable {
    /// The file cannot be opened or read.
    case unreadable(image: String, reason: String)
    /// There are no bytes at all.
    case empty(image: String)
    /// The bytes end before the image is complete.
    case truncated(image: String, detail: String)
    /// The bytes contradict their format.
    case corrupt(image: String, detail: String)
    /// A format other than those of `ImageFormat`, or a variant that is not decoded.
    case unsupported(image: String, detail: String)
    /// The library that decodes this format is missing; `detail` names the package.
    case noDecoder(image: String, detail: String)
    /// The file stands in place of another one: a git-lfs pointer, or a web page that a download saved.
    case placeholder(image: String, what: String, advice: String)
    /// The header declares more pixels than the limit; nothing was allocated.
    case tooLarge(image: String, detail: String, maximumPixels: Int)
    /// The header declares no rows or no columns.
    case zeroDimension(image: String, detail: String)
    /// There is no memory for the pixels.
    case outOfMemory(image: String, detail: String)
    /// A size, quality or buffer from the caller that is not possible.
    case invalidRequest(what: String, expected: String, got: String)
    /// Preprocessing, from a file or from code, that cannot be reproduced exactly.
    case invalidConfiguration(file: String, key: String, expected: String, got: String)
}

extension ImageError: CustomStringConvertible, LocalizedError {
    public var description: String {
        switch self {
        case .unreadable(let image, let reason):
            "image '\(image)' cannot be read: \(reason)"
        case .empty(let image):
            "image '\(image)' is empty: expected a file of \(ImageFormat.list), got 0 bytes"
        case .truncated(let image, let detail):
            "image '\(image)' is truncated: \(detail). Fetch or copy the file again"
        case .corrupt(let image, let detail):
            "image '\(image)' is corrupt: \(detail). Fetch or copy the file again"
        case .unsupported(let image, let detail):
            "image '\(image)' is not supported: \(detail); expected \(ImageFormat.list). Convert it first"
        case .noDecoder(let image, let detail):
            "image '\(image)' cannot be decoded: \(detail)"
        case .placeholder(let image, let what, let advice):
            "image '\(image)' is \(what), not the image itself; \(advice)"
        case .tooLarge(let image, let detail, let maximumPixels):
            "image '\(image)' is too large: \(detail), the limit is \(maximumPixels) pixels; raise it "
                + "with --max-pixels if you trust the file"
        case .zeroDimension(let image, let detail):
            "image '\(image)' has no pixels: \(detail)"
        case .outOfMemory(let image, let detail):
            "image '\(image)': out of memory: \(detail)"
        case .invalidRequest(let what, let expected, let got):
            "\(what): expected \(expected), got \(got)"
        case .invalidConfiguration(let file, let key, let expected, let got):
            "\(file): '\(key)' is \(got), expected \(expected)"
        }
    }

    public var errorDescription: String? { description }
}
