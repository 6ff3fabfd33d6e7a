import Datasets
import Files
import Foundation
import Images
import Terminal
import TestSupport
import Testing

@testable import Synthesis

/// Runs that stop anywhere and are started again leave the files of a run that never stopped, byte for byte.
@Suite struct ResumeTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private struct Crash: Error {}

    private func open(
        _ name: String, rows count: Int = 10, images: Int = 1, shard: Shard = .whole, limit: Int? = nil,
        batchSize: Int = 4, generator: FakeGenerator = FakeGenerator(), stop: StopSignal? = nil,
        change: (inout SynthesisSettings) -> Void = { _ in }, report: @escaping (SynthesisEvent) -> Void = { _ in }
    ) throws -> SynthesisRun {
        let plan = try SynthesisPlan(
            rows: rows(count), limit: limit, imagesPerCaption: images, shard: shard, batchSize: batchSize)
        return try SynthesisRun(
            plan: plan,
            settings: settings(batchSize: batchSize) {
                $0.imagesPerCaption = images
                $0.shardCount = shard.count
                change(&$0)
            }, folder: folder.file(name), generator: generator, stop: stop, report: report)
    }

    /// Runs until `place` is one to crash at. The run, and with it the lock on its shard, ends here.
    private func crash(_ run: consuming SynthesisRun, at place: @escaping (String) -> Bool) throws {
        run.onWrite = { if place($0) { throw Crash() } }
        #expect(throws: Crash.self) { try run.run() }
    }

    @Test(arguments: [SynthesisSettings.Format.folder, .webdataset], [1, 4, 8])
    func aCrashAtAnyWriteLeavesNoTrace(format: SynthesisSettings.Format, batchSize: Int) throws {
        func generator() -> FakeGenerator {
            let generator = FakeGenerator()
            generator.defects = ["caption 3": (.notFinite, inBoth: false), "caption 6": (.notFinite, inBoth: true)]
            return generator
        }
        func open(_ name: String) throws -> SynthesisRun {
            try self.open(name, batchSize: batchSize, generator: generator()) {
                $0.format = format
                $0.imagesPerTar = 3
            }
        }
        let whole = try open("whole").run()
        #expect(whole.isComplete && whole.finished == 9 && whole.failed == 1 && whole.retried == 2)
        let expected = try contents(of: folder.file("whole"))
        if format == .webdataset {
            #expect(expected.keys.filter { $0.hasSuffix(".tar") }.count == 4)
            #expect(!expected.keys.contains { $0.hasPrefix("staging") })
        } else {
            #expect(expected.keys.filter { $0.hasSuffix(".png") }.count == 9)
        }

        var crashAt = 0
        while true {
            var writes = 0
            var crashed = false
            do {
                let run = try open("parts-\(crashAt)")
                run.onWrite = { _ in
                    writes += 1
                    if writes > crashAt { throw Crash() }
                }
                _ = try run.run()
            } catch is Crash {
                crashed = true
            }
            guard crashed else { break }
            // What is there was complete when it appeared.
            for (name, bytes) in try contents(of: folder.file("parts-\(crashAt)"))
            where name.hasSuffix(".png") || name.hasSuffix(".tar") {
                if let final = expected[name] { #expect(bytes == final, "\(name)") }
            }
            let again = try open("parts-\(crashAt)").run()
            #expect(again.isComplete)
            let got = try contents(of: folder.file("parts-\(crashAt)"))
            #expect(got.keys.sorted() == expected.keys.sorted(), "crash at write \(crashAt)")
            // The journal may tell a batch twice; all else is the same to the byte.
            for (name, bytes) in expected where name != "progress.jsonl" {
                #expect(got[name] == bytes, "\(name) after a crash at write \(crashAt)")
            }
            crashAt += 1
        }
        #expect(crashAt > 20)
    }

    /// Two crashes in one run, at all pairs of a small set of places.
    @Test func severalCrashesInARow() throws {
        _ = try open("whole", batchSize: 4).run()
        let expected = try contents(of: folder.file("whole"))
        for (first, second) in [(1, 1), (3, 2), (7, 5), (9, 1)] {
            for crashAt in [first, second] {
                var writes = 0
                try crash(open("twice-\(first)-\(second)")) { _ in
                    writes += 1
                    return writes > crashAt
                }
            }
            _ = try open("twice-\(first)-\(second)").run()
            let got = try contents(of: folder.file("twice-\(first)-\(second)"))
            #expect(got.filter { $0.key != "progress.jsonl" } == expected.filter { $0.key != "progress.jsonl" })
        }
    }

    @Test func aFinishedBatchIsNeverMadeAgain() throws {
        let first = FakeGenerator()
        _ = try open("a", generator: first).run()
        #expect(first.calls.map(\.prompts.count) == [4, 4, 2])
        let modified = try contents(of: folder.file("a"))
        let second = FakeGenerator()
        var events: [SynthesisEvent] = []
        let outcome = try open("a", generator: second, report: { events.append($0) }).run()
        #expect(second.calls.isEmpty)
        #expect(outcome.finished == 10 && outcome.made == 0 && outcome.isComplete)
        #expect(events == [.started(total: 10, finished: 10)])
        #expect(try contents(of: folder.file("a")) == modified)
    }

    @Test func atMostOneBatchIsLostAndItsOtherImagesAreKept() throws {
        var images = 0
        try crash(open("a")) {
            if $0 == "image, after" { images += 1 }
            return images == 6
        }
        let kept = "\(folder.file("a"))/images/00000/00000004-0.png"
        let before = try FileManager.default.attributesOfItem(atPath: kept)[.systemFileNumber] as? Int
        let generator = FakeGenerator()
        let outcome = try open("a", generator: generator).run()
        // The second batch in full, the third; not the first.
        #expect(generator.calls.map(\.prompts.first) == ["caption 4", "caption 8"])
        #expect(outcome.made == 4)
        #expect(try FileManager.default.attributesOfItem(atPath: kept)[.systemFileNumber] as? Int == before)
    }

    @Test func tornJournalAndLeftoverFilesOfAKilledProcessAreCleared() throws {
        _ = try open("whole").run()
        let expected = try contents(of: folder.file("whole"))
        try crash(open("a")) { $0 == "journal, before" }
        try FileManager.default.removeItem(atPath: folder.file("a/images/00000/00000002-0.png"))
        try folder.write("half", to: "a/images/00000/.00000002-0.png.abc.tmp")
        try folder.write("half", to: "a/.pairs.jsonl.xyz.tmp")
        try folder.write("half", to: "a/.settings.json.xyz.tmp")
        try folder.write(#"{"block": 0, "ima"#, to: "a/progress.jsonl")
        _ = try open("a").run()
        #expect(try contents(of: folder.file("a")) == expected)
    }

    /// Tars alone say what is done; only images that no tar holds are made again.
    @Test func aLostJournalOfTarsIsNoHarm() throws {
        func change(_ settings: inout SynthesisSettings) {
            settings.format = .webdataset
            settings.imagesPerTar = 3
        }
        _ = try open("whole", change: change).run()
        let expected = try contents(of: folder.file("whole"))
        var tars = 0
        try crash(open("a", change: change)) {
            if $0 == "tar, after" { tars += 1 }
            return tars == 2
        }
        try FileManager.default.removeItem(atPath: folder.file("a/progress.jsonl"))
        let generator = FakeGenerator()
        _ = try open("a", generator: generator, change: change).run()
        // Six images are in tars, so the first batch of four is done and half of the second.
        #expect(generator.calls.map(\.prompts.first) == ["caption 4", "caption 8"])
        let got = try contents(of: folder.file("a"))
        #expect(got.filter { $0.key != "progress.jsonl" } == expected.filter { $0.key != "progress.jsonl" })
    }

    @Test func aSignalEndsTheRunAfterItsBatch() throws {
        let stop = StopSignal()
        let generator = FakeGenerator()
        generator.afterCall = { stop.request(SIGINT) }
        let outcome = try open("a", generator: generator, stop: stop).run()
        #expect(outcome.signal == SIGINT && outcome.finished == 4 && !outcome.isComplete)
        #expect(try PairsManifest(path: folder.file("a/pairs.jsonl"), real: .optional).count == 4)
        #expect(try open("a").run().finished == 10)
        _ = try open("whole").run()
        #expect(try contents(of: folder.file("a")) == contents(of: folder.file("whole")))
    }

    /// The bytes of a real generator's images depend on the batches of a shard; this generator's do not, so that whole
    /// sets can be compared.
    @Test(arguments: [SynthesisSettings.Format.folder, .webdataset])
    func shardsTogetherAreTheWholeSet(format: SynthesisSettings.Format) throws {
        func generator() -> FakeGenerator {
            let generator = FakeGenerator()
            generator.dependsOnBatch = false
            return generator
        }
        _ = try open("whole", rows: 11, images: 2, generator: generator()).run()
        for index in [2, 0, 3, 1] {
            let outcome = try open(
                "sharded", rows: 11, images: 2, shard: Shard(parsing: "\(index)/4"), generator: generator()
            ) {
                $0.format = format
                $0.imagesPerTar = 4
            }.run()
            #expect(outcome.isComplete)
        }
        let whole = try contents(of: folder.file("whole"))
        let sharded = try contents(of: folder.file("sharded"))
        let manifest = try PairsManifest(path: folder.file("whole/pairs.jsonl"), real: .optional)
        let expected = try (0..<manifest.count).map { try manifest.pair(at: $0) }
        var found: [Pair] = []
        if format == .folder {
            #expect(sharded.filter { $0.key.hasSuffix(".png") } == whole.filter { $0.key.hasSuffix(".png") })
            for index in 0..<4 {
                let part = try PairsManifest(
                    path: folder.file("sharded/pairs-0000\(index)-of-00004.jsonl"), real: .optional)
                found += try (0..<part.count).map { try part.pair(at: $0) }
            }
            #expect(found.sorted { $0.id < $1.id } == expected.sorted { $0.id < $1.id })
        } else {
            let tars = sharded.keys.filter { $0.hasSuffix(".tar") }
            #expect(tars.contains("00003-of-00004-000000.tar"))
            #expect(sharded.keys.allSatisfy { $0.hasSuffix(".tar") || $0.hasSuffix(".json") || $0.hasSuffix(".jsonl") })
            var images: [String: [UInt8]] = [:]
            for tar in tars {
                var reader = try PairTarReader(path: folder.file("sharded/\(tar)"), real: .optional)
                while let sample = try reader.next() { images[sample.pair.id] = sample.generated }
            }
            for pair in expected { #expect(images[pair.id] == whole[pair.generated], "\(pair.id)") }
            #expect(images.count == expected.count)
        }
    }

    @Test func aLimitMayGrow() throws {
        let first = try open("a", limit: 5).run()
        #expect(first.finished == 5 && first.total == 5)
        let kept = try contents(of: folder.file("a"))
        let generator = FakeGenerator()
        let second = try open("a", generator: generator).run()
        #expect(second.finished == 10 && second.made == 5)
        #expect(generator.calls.map(\.prompts.first) == ["caption 4", "caption 8"])
        let all = try contents(of: folder.file("a"))
        for (name, bytes) in kept where name.hasSuffix(".png") { #expect(all[name] == bytes) }
        #expect(try PairsManifest(path: folder.file("a/pairs.jsonl"), real: .optional).count == 10)
    }

    @Test func oneProcessPerShard() throws {
        func both(_ body: () throws -> Void) throws {
            let run = try open("a")
            try body()
            withExtendedLifetime(run) {}
        }
        try both {
            let busy = message { _ = try open("a") }
            #expect(
                busy
                    == "'\(folder.file("a"))' is in use by gmail generate, process \(getpid()); wait until it has ended, or "
                    + "choose another folder")
        }
        #expect(try open("a").run().isComplete)
        // Shards have locks of their own.
        let parts = try (0..<2).map { try open("b", shard: Shard(parsing: "\($0)/2")) }
        #expect(message { _ = try open("b", shard: Shard(parsing: "1/2")) }.contains("is in use by"))
        withExtendedLifetime(parts) {}
    }

    @Test func foldersThatCannotBeMadeAreNamed() throws {
        try folder.write("x", to: "file")
        #expect(
            message { _ = try open("file/out") }
                == "'\(folder.file("file/out"))': creating the folder failed: Not a directory")
        #expect(message { _ = try open("file") } == "'\(folder.file("file"))': creating the folder failed: File exists")
    }
}
