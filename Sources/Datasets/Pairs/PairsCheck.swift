// What `gmail data check` finds out about a pairs manifest and the images it names.

import Files
import Foundation
import Images
import Safetensors

/// The findings of one check.
public struct PairsCheck: Sendable {
    /// How closely images are looked at.
    public enum Depth: Sendable {
        /// The header must be readable.
        case header
        /// Every pixel must decode.
        case full
    }

    public struct Problem: Sendable, Hashable, Codable {
        public enum Kind: String, Sendable, Codable, CaseIterable {
            case brokenLine = "broken line"
            case duplicateID = "duplicate id"
            case missingFile = "missing file"
            case brokenImage = "broken image"
            case duplicateImage = "duplicate image"
        }
        public let kind: Kind
        /// Names line and file.
        public let text: String
    }

    /// Lengths and what they are spread over.
    public struct Distribution: Sendable, Hashable, Codable {
        public var minimum = 0
        public var maximum = 0
        public var mean = 0.0
        public var median = 0

        init(_ values: [Int]) {
            guard !values.isEmpty else { return }
            let sorted = values.sorted()
            minimum = sorted[0]
            maximum = sorted[sorted.count - 1]
            mean = Double(sorted.reduce(0, +)) / Double(sorted.count)
            median = sorted[sorted.count / 2]
        }
    }

    public struct SizeCount: Sendable, Hashable, Codable {
        /// Upper limit of the shorter side in pixels, exclusive; nil for the last class.
        public let below: Int?
        public var images: Int
    }

    public private(set) var pairs = 0
    public private(set) var realImages = 0
    public private(set) var generatedImages = 0
    public private(set) var pairsWithoutReal = 0
    public private(set) var pairsWithoutGenerator = 0
    public private(set) var captionWords = Distribution([])
    public private(set) var captionCharacters = Distribution([])
    /// Of the images' shorter sides.
    public private(set) var sizes: [SizeCount] = []
    /// How often each kind of problem occurs.
    public private(set) var problemCounts: [Problem.Kind: Int] = [:]
    /// The first ones: lines before images, each in the order of the manifest.
    public private(set) var firstProblems: [Problem] = []

    public var problemCount: Int { problemCounts.values.reduce(0, +) }

    static let sizeLimits = [64, 128, 224, 256, 336, 512, 768, 1024, 2048]

    /// Checks a manifest.
    /// - Parameters:
    ///   - kept: how many problems are kept with their text.
    ///   - progress: called from time to time with the images done and their number.
    /// - Throws: `FileError` for the manifest itself; everything else is a finding.
    public init(
        manifest path: String, depth: Depth = .header, real: Pair.RealImages = .required, kept: Int = 10,
        progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
    ) throws {
        var problems = ProblemList(kept: kept)
        let manifest = try PairsManifest(path: path, real: real) { error in
            if case .duplicateID = error {
                problems.add(.duplicateID, error.description)
            } else {
                problems.add(.brokenLine, error.description)
            }
        }
        if manifest.count == 0, problems.counts.isEmpty {
            problems.add(.brokenLine, DatasetError.noPairs(path: path).description)
        }
        pairs = manifest.count
        var words: [Int] = []
        var characters: [Int] = []
        var files = FileList()
        for index in 0..<manifest.count {
            let pair = try manifest.pair(at: index)
            words.append(pair.caption.utf8.split(whereSeparator: { $0 <= 0x20 }).count)
            characters.append(pair.caption.unicodeScalars.count)
            if pair.generator == nil { pairsWithoutGenerator += 1 }
            let line = manifest.line(of: index)
            files.add(manifest.resolve(pair.generated), isReal: false, line: line)
            if let real = pair.real {
                files.add(manifest.resolve(real), isReal: true, line: line)
            } else {
                pairsWithoutReal += 1
            }
        }
        captionWords = Distribution(words)
        captionCharacters = Distribution(characters)
        realImages = files.entries.count(where: \.isReal)
        generatedImages = files.entries.count - realImages

        let looked = Self.look(at: files.entries, depth: depth, progress: progress)
        var firstWithHash: [String: Int] = [:]
        var histogram = Self.sizeLimits.map { SizeCount(below: $0, images: 0) } + [SizeCount(below: nil, images: 0)]
        for (index, (entry, look)) in zip(files.entries, looked).enumerated() {
            switch look {
            case .missing(let reason):
                problems.add(.missingFile, "'\(path)' line \(entry.line): image '\(entry.path)' \(reason)")
            case .broken(let reason): problems.add(.brokenImage, "'\(path)' line \(entry.line): \(reason)")
            case .fine(let shorterSide, let hash):
                histogram[Self.sizeLimits.firstIndex { shorterSide < $0 } ?? Self.sizeLimits.count].images += 1
                guard let first = firstWithHash[hash] else {
                    firstWithHash[hash] = index
                    continue
                }
                let other = files.entries[first]
                problems.add(
                    .duplicateImage,
                    "'\(path)' line \(entry.line): image '\(entry.path)' is the same as '\(other.path)' of line \(other.line)"
                )
            }
        }
        sizes = histogram
        problemCounts = problems.counts
        firstProblems = problems.first
    }

    // MARK: Files

    private struct FileList {
        struct Entry: Sendable {
            let path: String
            let isReal: Bool
            /// The first line that names it.
            let line: Int
        }
        var entries: [Entry] = []
        private var seen: Set<ExactString> = []

        mutating func add(_ path: String, isReal: Bool, line: Int) {
            if seen.insert(ExactString(path)).inserted { entries.append(Entry(path: path, isReal: isReal, line: line)) }
        }
    }

    private enum Look: Sendable {
        case fine(shorterSide: Int, hash: String)
        case missing(String)
        case broken(String)
    }

    private static func look(
        at files: [FileList.Entry], depth: Depth, progress: @escaping @Sendable (Int, Int) -> Void
    ) -> [Look] {
        let results = LookResults(count: files.count)
        DispatchQueue.concurrentPerform(iterations: files.count) { index in
            let path = files[index].path
            let look: Look
            do {
                let bytes = try readImageFile(path)
                let header = try bytes.withUnsafeBytes { try ImageHeader($0, name: path) }
                if depth == .full { _ = try RGBImage(decoding: bytes, name: path) }
                let size = header.storedSize
                look = .fine(shorterSide: min(size.width, size.height), hash: ContentHash.sha256(of: bytes))
            } catch ImageError.unreadable(_, let reason) {
                look = .missing("cannot be read: \(reason)")
            } catch {
                look = .broken("\(error)")
            }
            let done = results.set(look, at: index)
            if done % 256 == 0 || done == files.count { progress(done, files.count) }
        }
        return results.all
    }

    /// Where the threads put what they found.
    private final class LookResults: @unchecked Sendable {
        private let lock = NSLock()
        private var looks: [Look?]
        private var done = 0

        init(count: Int) { looks = Array(repeating: nil, count: count) }

        func set(_ look: Look, at index: Int) -> Int {
            lock.withLock {
                looks[index] = look
                done += 1
                return done
            }
        }

        var all: [Look] { lock.withLock { looks.map { $0! } } }
    }

    private struct ProblemList {
        let kept: Int
        var counts: [Problem.Kind: Int] = [:]
        var first: [Problem] = []

        mutating func add(_ kind: Problem.Kind, _ text: String) {
            counts[kind, default: 0] += 1
            if first.count < kept { first.append(Problem(kind: kind, text: text)) }
        }
    }
}

extension PairsCheck {
    /// The findings for people, several lines.
    public var text: String {
        func line(_ distribution: Distribution) -> String {
            "\(distribution.minimum) to \(distribution.maximum), mean \((distribution.mean * 10).rounded() / 10), "
                + "median \(distribution.median)"
        }
        var lines = [
            "pairs              \(pairs)" + (pairsWithoutReal > 0 ? " (\(pairsWithoutReal) without a real image)" : ""),
            "real images        \(realImages)",
            "generated images   \(generatedImages)"
                + (pairsWithoutGenerator > 0 ? " (\(pairsWithoutGenerator) pairs do not say by what)" : ""),
            "caption words      \(line(captionWords))",
            "caption characters \(line(captionCharacters))",
            "shorter side",
        ]
        var lower = 1
        for size in sizes {
            if size.images > 0 {
                lines.append("  \(size.below.map { "\(lower)...\($0 - 1)" } ?? "\(lower) and more") px: \(size.images)")
            }
            lower = size.below ?? lower
        }
        guard problemCount > 0 else { return (lines + ["no problems"]).joined(separator: "\n") }
        let counts = Problem.Kind.allCases.compactMap { kind in problemCounts[kind].map { "\($0) \(kind.rawValue)" } }
        lines.append("\(problemCount) problems: \(counts.joined(separator: ", "))")
        lines += firstProblems.map { "  \($0.text)" }
        if problemCount > firstProblems.count { lines.append("  and \(problemCount - firstProblems.count) more") }
        return lines.joined(separator: "\n")
    }
}
