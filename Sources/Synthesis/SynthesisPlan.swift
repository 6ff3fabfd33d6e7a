import Datasets
import Foundation

/// Which part of the rows a process handles: those whose number leaves the remainder `index` when divided by `count`.
public struct Shard: Sendable, Hashable, CustomStringConvertible {
    public let index: Int
    public let count: Int

    public static let whole = Shard(checkedIndex: 0, count: 1)

    private init(checkedIndex: Int, count: Int) {
        index = checkedIndex
        self.count = count
    }

    /// Reads `i/n`, i from 0.
    /// - Throws: ``SynthesisError/badSetting(name:expected:got:)``.
    public init(parsing text: String) throws {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let index = parts[0], let count = parts[1], count >= 1, count <= 100_000,
            (0..<count).contains(index)
        else {
            throw SynthesisError.badSetting(
                name: "shard", expected: "i/n with 0 <= i < n (0/4 to 3/4 are the shards of 4)", got: "'\(text)'")
        }
        self.init(checkedIndex: index, count: count)
    }

    public var description: String { "\(index)/\(count)" }

    /// The shard's part in file names; empty if there is only one shard.
    var suffix: String { count == 1 ? "" : "-\(padded(index, 5))-of-\(padded(count, 5))" }
}

/// One image of the plan.
public struct PlannedImage: Sendable, Hashable {
    /// Number of the caption, from 0.
    public let row: Int
    /// Number among the caption's images, from 0.
    public let number: Int
}

/// What a shard generates, in which order and in which batches.
///
/// Batches are fixed blocks of the shard's images: block b holds images `b · batchSize ..< (b + 1) · batchSize`. A
/// resumed run computes an unfinished block again in its full shape and keeps the images that were missing, so every
/// image comes from the same computation as in a run that was never interrupted.
public struct SynthesisPlan: Sendable {
    public let rows: [CaptionRow]
    /// Rows that are used, counted from the first.
    public let rowCount: Int
    public let imagesPerCaption: Int
    public let shard: Shard
    public let batchSize: Int

    /// How many different noises a caption can have.
    public static let imagesPerCaptionRange = 1...256

    public init(
        rows: [CaptionRow], limit: Int? = nil, imagesPerCaption: Int = 1, shard: Shard = .whole, batchSize: Int
    ) throws {
        // ImageSeed would draw the same noise for image 256 of a caption as for image 0.
        for (name, value, range) in [
            ("limit", limit ?? 1, 1...Int.max), ("images per caption", imagesPerCaption, Self.imagesPerCaptionRange),
            ("batch size", batchSize, 1...Int.max),
        ] where !range.contains(value) {
            throw SynthesisError.badSetting(
                name: name, expected: range.upperBound == .max ? "1 or more" : "1 to \(range.upperBound)",
                got: "\(value)")
        }
        self.rows = rows
        rowCount = min(limit ?? rows.count, rows.count)
        self.imagesPerCaption = imagesPerCaption
        self.shard = shard
        self.batchSize = batchSize
    }

    /// Images of all shards together.
    public var totalCount: Int { rowCount * imagesPerCaption }

    /// Images of this shard.
    public var count: Int { (rowCount - shard.index + shard.count - 1) / shard.count * imagesPerCaption }

    /// Image `position` of the shard, `0..<count`.
    public func image(at position: Int) -> PlannedImage {
        PlannedImage(
            row: shard.index + position / imagesPerCaption * shard.count, number: position % imagesPerCaption)
    }

    public var blockCount: Int { (count + batchSize - 1) / batchSize }

    /// Positions of a block.
    public func block(_ index: Int) -> Range<Int> {
        index * batchSize..<min(count, (index + 1) * batchSize)
    }

    /// The caption's id, with the image's number if there are several images per caption.
    public func id(of image: PlannedImage) -> String {
        imagesPerCaption == 1 ? rows[image.row].id : "\(rows[image.row].id)-\(image.number)"
    }

    /// The name of an image's members in a tar: its number in the whole set, whatever the shard.
    func key(of image: PlannedImage) -> String { padded(image.row * imagesPerCaption + image.number, 9) }

    /// The image's file below the folder of images, with a folder for every thousand rows.
    static func fileName(of image: PlannedImage, ending: String) -> String {
        "\(padded(image.row / 1000, 5))/\(padded(image.row, 8))-\(image.number).\(ending)"
    }
}
