import Files
import Foundation
import Safetensors
import Testing
import Torch

@testable import Training

@Suite struct FeatureCacheTests {
    let folder = try! TemporaryFolder()
    let space = FeatureSpace(
        name: "real image", model: "w", input: "p", precision: "float32", dimension: 3)

    private func keys(_ texts: [String]) -> [FeatureKey] { texts.map(FeatureCache.key(ofText:)) }

    private func rows(_ values: [Float]) -> Tensor {
        Tensor(values.flatMap { [$0, $0 + 0.25, -$0] }, shape: [values.count, 3])
    }

    @Test func whatWasFlushedIsThereAgain() throws {
        let cache = try FeatureCache(path: folder.path, space: space)
        try cache.insert(keys(["a", "b"]), rows([1, 2]))
        #expect(try cache.features(keys(["b"])).array() == [2, 2.25, -2] as [Float])
        try cache.flush()
        try cache.insert(keys(["c"]), rows([3]))
        #expect(try cache.features(keys(["c", "a", "c"])).array() == rows([3, 1, 3]).array() as [Float])
        // Not flushed: lost with the process, without harm.
        let again = try FeatureCache(path: folder.path, space: space)
        #expect(again.count == 2)
        #expect(!again.contains(keys(["c"])[0]))
        #expect(try again.features(keys(["a", "b"])).array() == rows([1, 2]).array() as [Float])
        #expect(
            message { _ = try again.features(keys(["c"])) }.hasPrefix(
                "feature cache 'real image' has no features for '"))
    }

    @Test func anotherSpaceSharesNothing() throws {
        let cache = try FeatureCache(path: folder.path, space: space)
        try cache.insert(keys(["a"]), rows([1]))
        try cache.flush()
        for change in [\FeatureSpace.name, \.model, \.input, \.precision] {
            var other = space
            other[keyPath: change] += "x"
            #expect(try FeatureCache(path: folder.path, space: other).count == 0)
        }
        #expect(try FeatureCache(path: folder.path, space: space).count == 1)
    }

    @Test func aChangedFileIsNoticed() throws {
        let file = try folder.write("one", to: "image.jpg")
        let cache = try FeatureCache(path: folder.path, space: space)
        let first = try cache.key(ofFile: file)
        #expect(first.description == String(ContentHash.sha256(of: "one").prefix(32)))
        try cache.insert([first], rows([1]))
        try cache.flush()
        // The same length, another content and time.
        try folder.write("two", to: "image.jpg")
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: 1_000_000)], ofItemAtPath: file)
        let again = try FeatureCache(path: folder.path, space: space)
        let second = try again.key(ofFile: file)
        #expect(second != first)
        #expect(!again.contains(second))
        #expect(again.contains(first))
        // And back: the old features serve again.
        try folder.write("one", to: "image.jpg")
        #expect(try again.key(ofFile: file) == first)
    }

    @Test func unchangedFilesAreNotReadAgain() throws {
        let file = try folder.write("one", to: "image.jpg")
        let cache = try FeatureCache(path: folder.path, space: space)
        let key = try cache.key(ofFile: file)
        try cache.flush()
        // The hash that the index holds is believed: that is what makes a start over many files quick.
        let index = "\(cache.folder)/files.jsonl"
        let hash = ContentHash.sha256(of: "one")
        let other = String(repeating: "5", count: 64)
        let text = try String(contentsOfFile: index, encoding: .utf8)
        try AtomicFile.write(text.replacingOccurrences(of: hash, with: other), to: index)
        let again = try FeatureCache(path: folder.path, space: space)
        #expect(try again.key(ofFile: file).description == String(other.prefix(32)))
        // A line without the time of the last change is of an earlier version.
        try AtomicFile.write(text.replacingOccurrences(of: "ctime_ns", with: "later"), to: index)
        #expect(try FeatureCache(path: folder.path, space: space).key(ofFile: file) == key)
    }

    /// A file that is edited in place, with its size and its modification time as before.
    @Test func anEditWithTheOldTimeIsNoticed() throws {
        let file = try folder.write("one", to: "image.jpg")
        let cache = try FeatureCache(path: folder.path, space: space)
        let key = try cache.key(ofFile: file)
        try cache.flush()
        var status = stat()
        stat(file, &status)
        let handle = FileHandle(forWritingAtPath: file)!
        handle.write(Data("two".utf8))
        try handle.close()
        var times = [status.st_atim, status.st_mtim]
        utimensat(AT_FDCWD, file, &times, 0)
        #expect(try FeatureCache(path: folder.path, space: space).key(ofFile: file) != key)
    }

    @Test func anInterruptedFillGivesTheSameBits() throws {
        // Features that depend on the other rows of their chunk, as a real model's last bits do.
        func compute(_ indices: [Int]) -> Tensor {
            rows(indices.map { Float($0) + Float(indices.reduce(0, +)) * 0.001 })
        }
        let inputs = keys(["a", "b", "c", "a", "d", "e", "f", "b"])
        let whole = try FeatureCache(path: folder.file("whole"), space: space)
        var chunks: [[Int]] = []
        try whole.fill(inputs, chunkSize: 4) { indices in
            chunks.append(indices)
            return compute(indices)
        }
        #expect(chunks == [[0, 1, 2, 4], [5, 6]])
        struct Stop: Error {}
        let broken = try FeatureCache(path: folder.file("broken"), space: space)
        #expect(throws: Stop.self) {
            try broken.fill(
                inputs, chunkSize: 4, progress: { done, _ in if done == 4 { throw Stop() } }, compute: compute)
        }
        try broken.flush()
        let resumed = try FeatureCache(path: folder.file("broken"), space: space)
        #expect(resumed.count == 4)
        try resumed.fill(inputs, chunkSize: 4) { indices in
            #expect(indices == [5, 6])
            return compute(indices)
        }
        #expect(try resumed.features(inputs).array() == whole.features(inputs).array() as [Float])
    }

    @Test func tornIndexLinesAndDamagedShardsAreHandled() throws {
        let file = try folder.write("one", to: "image.jpg")
        let cache = try FeatureCache(path: folder.path, space: space)
        let key = try cache.key(ofFile: file)
        try cache.insert([key], rows([1]))
        try cache.flush()
        let index = "\(cache.folder)/files.jsonl"
        let whole = try String(contentsOfFile: index, encoding: .utf8)
        try AtomicFile.write(whole + "{\"path\": \"/x", to: index)
        #expect(try FeatureCache(path: folder.path, space: space).key(ofFile: file) == key)
        #expect(try String(contentsOfFile: index, encoding: .utf8) == whole)
        let other = FeatureSpace(
            name: "b", model: "w", input: "p", precision: "float32", dimension: 2)
        let wrong = try FeatureCache(path: folder.path, space: other)
        let shard = try #require(try FileSystem.entries(cache.folder).first { $0.hasPrefix("features-") })
        try FileManager.default.copyItem(atPath: "\(cache.folder)/\(shard)", toPath: "\(wrong.folder)/\(shard)")
        #expect(
            message { _ = try FeatureCache(path: folder.path, space: other) }
                == "feature cache '\(wrong.folder)/\(shard)': keys [1, 16] and features [1, 3], expected [n, 16] and [n, 2]; "
                + "delete that file, its features are computed again")
        #expect(message { try cache.insert([key], rows([1, 2])) } == "features should have shape [1, 3], got [2, 3]")
    }

    @Test func threadsMayShareIt() throws {
        let cache = try FeatureCache(path: folder.path, space: space, flushEvery: 10)
        let paths = try (0..<64).map { try folder.write("file \($0)", to: "f\($0)") }
        DispatchQueue.concurrentPerform(iterations: 64) { index in
            do {
                let key = try cache.key(ofFile: paths[index])
                try cache.insert([key], Tensor([Float(index), 0, 0], shape: [1, 3]))
            } catch { Issue.record(error) }
        }
        try cache.flush()
        let again = try FeatureCache(path: folder.path, space: space)
        #expect(again.count == 64)
        let values: [Float] = try again.features(paths.map(again.key(ofFile:))).select(1, 0).array()
        #expect(values == (0..<64).map { Float($0) })
    }
}
