import Foundation
import Testing

@testable import Images

@Suite struct ImageFeedTests {
    /// Files of one colour each, number by number; every third is broken.
    private func folder(count: Int) throws -> (path: String, files: [String]) {
        let path = NSTemporaryDirectory() + "feed-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let files = try (0..<count).map { index in
            let file = "\(path)/\(index).png"
            let image = try RGBImage(
                width: 9 + index % 4, height: 7 + index % 5,
                pixels: Array(repeating: UInt8(index), count: 3 * (9 + index % 4) * (7 + index % 5)))
            var bytes = try ImageWriter.png(image)
            if index % 3 == 2 { bytes = Array(bytes.prefix(bytes.count / 2)) }
            try Data(bytes).write(to: URL(fileURLWithPath: file))
            return file
        }
        return (path, files)
    }

    @Test(arguments: [(1, 1), (4, 3), (5, 2), (64, 4)])
    func imagesComeInOrderAndBrokenOnesAreReported(batchSize: Int, workers: Int) throws {
        let (path, files) = try folder(count: 23)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let preprocessing = try ImagePreprocessing(
            resize: .shortestEdge(6), crop: ImageSize(width: 5, height: 4), rescaleFactor: 1, mean: nil, std: nil)
        let feed = try ImageFeed(paths: files, preprocessing: preprocessing, batchSize: batchSize, workers: workers)
        #expect(feed.size == ImageSize(width: 5, height: 4))
        var rows: [Int] = []
        var failed: [Int] = []
        while let batch = feed.next() {
            for (row, index) in batch.indices.enumerated() {
                let values = batch.pixels[row * 60..<(row + 1) * 60]
                #expect(values.allSatisfy { $0 == Float(index) })
            }
            rows += batch.indices
            failed += batch.failures.map(\.index)
            #expect(batch.failures.allSatisfy { "\($0.error)".contains(files[$0.index]) })
        }
        #expect(rows == (0..<23).filter { $0 % 3 != 2 })
        #expect(failed == (0..<23).filter { $0 % 3 == 2 })
        #expect(feed.next() == nil)
    }

    @Test func aDroppedFeedEndsItsThreads() throws {
        let (path, files) = try folder(count: 12)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let preprocessing = try ImagePreprocessing(
            resize: .exact(ImageSize(width: 3, height: 2)), crop: nil, mean: nil, std: nil)
        var feed: ImageFeed? = try ImageFeed(
            paths: files, preprocessing: preprocessing, batchSize: 1, workers: 2, prefetch: 1)
        weak let watched = feed
        _ = feed?.next()
        feed = nil
        #expect(watched == nil)
    }

    @Test func imagesOfDifferentSizesCannotFormABatch() throws {
        let preprocessing = try ImagePreprocessing(resize: .shortestEdge(6), crop: nil, mean: nil, std: nil)
        let error = #expect(throws: ImageError.self) {
            try ImageFeed(paths: [], preprocessing: preprocessing, batchSize: 2)
        }
        #expect(error?.description.contains("a crop or an exact size") == true)
    }
}
