import ArgumentParser

/// The ranges of the numbers that `gmail generate` takes, checked before anything is read or made.
enum GenerateLimits {
    /// Far beyond what any scheduler has; each names its own limit.
    static let steps = 1...100_000
    static let guidance = 0.0...1000
    /// Sides in pixels. What is larger takes days on any machine; the model says which multiples it makes.
    static let side = 1...8192
    static let batch = 1...1024
    static let tar = 1...1_000_000
    /// Of captions or images.
    static let count = 1...1_000_000_000

    static func seed(_ text: String) throws -> UInt64 {
        guard let seed = UInt64(text) else {
            throw ValidationError("'\(text)' is no seed, expected 0 to \(UInt64.max)")
        }
        return seed
    }
}

/// `512` or `640x384`.
struct PictureSize: ExpressibleByArgument, CustomStringConvertible {
    let width: Int
    let height: Int

    init?(argument: String) {
        let parts = argument.lowercased().split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard (1...2).contains(parts.count), let first = parts[0], let last = parts[parts.count - 1] else { return nil }
        (width, height) = (first, last)
    }

    var description: String { "\(width)x\(height)" }

    func check(_ name: String) throws {
        let range = GenerateLimits.side
        guard !range.contains(width) || !range.contains(height) else { return }
        throw ValidationError(
            "\(name) is \(self), expected sides of \(range.lowerBound) to \(range.upperBound) pixels")
    }
}
