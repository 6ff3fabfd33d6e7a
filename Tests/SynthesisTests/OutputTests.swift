import Datasets
import Files
import Foundation
import Images
import ModelFolders
import TestSupport
import Testing

@testable import Synthesis

@Suite struct OutputTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func run(
        _ rows: [CaptionRow], _ generator: FakeGenerator = FakeGenerator(), out: String = "out", real: String? = nil,
        change: (inout SynthesisSettings) -> Void = { _ in }, report: @escaping (SynthesisEvent) -> Void = { _ in }
    ) throws -> SynthesisOutcome {
        try SynthesisRun(
            plan: SynthesisPlan(rows: rows, batchSize: 4), settings: settings(change: change),
            folder: folder.file(out), realFolder: real, generator: generator, report: report
        ).run()
    }

    @Test func pairsSayHowEachImageWasMade() throws {
        try FileManager.default.createDirectory(atPath: folder.file("photos"), withIntermediateDirectories: true)
        try folder.write("photo", to: "photos/a.jpg")
        let rows = [
            CaptionRow(id: "a", caption: "a cat", image: "a.jpg"), CaptionRow(id: "b", caption: "a dog"),
        ]
        let outcome = try run(rows, real: folder.file("photos"))
        let manifest = try PairsManifest(path: #require(outcome.pairs), real: .optional)
        let pair = try manifest.pair(at: 0)
        #expect(
            pair
                == Pair(
                    id: "a", caption: "a cat", real: "../photos/a.jpg", generated: "images/00000/00000000-0.png",
                    generator: GeneratorSettings(
                        model: "tiny", seed: Int(ImageSeed.derive(seed: 42, row: 0, image: 0)), steps: 2,
                        guidance: 7.5, scheduler: "ddim", modelHash: fingerprint().sha256)))
        #expect(try manifest.pair(at: 1).real == nil)
        #expect(FileManager.default.contents(atPath: manifest.resolve(pair.real!)) == Data("photo".utf8))
        let image = try RGBImage(contentsOfFile: manifest.resolve(pair.generated))
        #expect(image.size == ImageSize(width: 5, height: 4))
    }

    /// `..` of a linked folder is where the link leads, so paths are worked out between the real places.
    @Test func pathsHoldThroughSymbolicLinks() throws {
        for name in ["photos", "disk/far/away"] {
            try FileManager.default.createDirectory(atPath: folder.file(name), withIntermediateDirectories: true)
        }
        try folder.write("photo", to: "photos/a.jpg")
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("out"), withDestinationPath: folder.file("disk/far/away"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("disk/pictures"), withDestinationPath: folder.file("photos"))
        let outcome = try run(
            [CaptionRow(id: "a", caption: "a cat", image: "a.jpg")], real: folder.file("disk/pictures"))
        let manifest = try PairsManifest(path: #require(outcome.pairs))
        let real = try #require(try manifest.pair(at: 0).real)
        #expect(FileManager.default.contents(atPath: manifest.resolve(real)) == Data("photo".utf8))
    }

    /// Names are unique over the set; endings come from the bytes, whatever the files are called; the generated image has
    /// the plain name where there is no real one.
    @Test func tarsCarryRealAndGeneratedImages() throws {
        try folder.write("GIF89a real", to: "a.jpg")
        try folder.write([0xFF, 0xD8, 0xFF, 0xE0, 1], to: "c.PNG")
        let rows = [
            CaptionRow(id: "a", caption: "a cat", image: "a.jpg"), CaptionRow(id: "b", caption: "a dog"),
            CaptionRow(id: "c", caption: "a cow", image: "c.PNG"),
        ]
        for (format, ending) in [(SynthesisSettings.ImageFormat.jpeg, "jpg"), (.png, "png")] {
            let outcome = try run(rows, out: ending, real: folder.path) {
                $0.format = .webdataset
                $0.imageFormat = format
                $0.imagesPerTar = 2
            }
            #expect(outcome.tars == [folder.file("\(ending)/000000.tar"), folder.file("\(ending)/000001.tar")])
            #expect(outcome.pairs == nil)
            var samples: [PairSample] = []
            for tar in outcome.tars {
                var reader = try PairTarReader(path: tar, real: .optional)
                while let sample = try reader.next() { samples.append(sample) }
            }
            #expect(samples.map(\.key) == ["000000000", "000000001", "000000002"])
            #expect(samples.map(\.pair.real) == ["000000000.gif", nil, "000000002.jpg"])
            #expect(
                samples.map(\.pair.generated) == [
                    "000000000.gen.\(ending)", "000000001.\(ending)", "000000002.gen.\(ending)",
                ])
            #expect(samples[0].real == Array("GIF89a real".utf8))
            #expect(samples.map(\.pair.id) == ["a", "b", "c"])
            #expect(samples[1].generated.starts(with: format == .jpeg ? [0xFF, 0xD8] : [0x89, 0x50]))
        }
    }

    /// Shards of a set, unpacked together, are one manifest that every command reads.
    @Test func tarsUnpackIntoAManifest() throws {
        try folder.write([0xFF, 0xD8, 0xFF, 0xE0, 1], to: "a.jpg")
        let rows = (0..<5).map {
            CaptionRow(id: "row-\($0)", caption: "caption \($0)", image: $0 == 3 ? "a.jpg" : nil)
        }
        for index in 0..<2 {
            _ = try SynthesisRun(
                plan: SynthesisPlan(rows: rows, shard: Shard(parsing: "\(index)/2"), batchSize: 4),
                settings: settings {
                    $0.format = .webdataset
                    $0.imagesPerTar = 2
                    $0.shardCount = 2
                }, folder: folder.file("tars"), realFolder: folder.path, generator: FakeGenerator()
            ).run()
        }
        let names = ["0000{0..1}-of-00002-000000.tar", "00000-of-00002-000001.tar"].map { folder.file("tars/\($0)") }
        let unpacked = try PairTars.unpack(names, to: folder.file("pairs"))
        #expect(unpacked.pairs == 5)
        let manifest = try PairsManifest(path: unpacked.manifest, real: .optional)
        let pairs = try (0..<5).map { try manifest.pair(at: $0) }
        #expect(pairs.map(\.id) == ["row-0", "row-2", "row-1", "row-3", "row-4"])
        #expect(pairs.map { $0.real != nil } == [false, false, false, true, false])
        for pair in pairs {
            #expect(
                try RGBImage(contentsOfFile: manifest.resolve(pair.generated)).size == ImageSize(width: 5, height: 4))
        }
        #expect(try RegularFile.bytes(manifest.resolve(#require(pairs[3].real))) == [0xFF, 0xD8, 0xFF, 0xE0, 1])
        // The same again is refused, and so is the same shard twice.
        #expect(message { _ = try PairTars.unpack(names, to: folder.file("pairs")) }.contains("expected an empty one"))
        let twice = message { _ = try PairTars.unpack([names[1], names[1]], to: folder.file("other")) }
        #expect(twice.contains("id 'row-4' is that of sample '000000004' of"), "\(twice)")
        #expect(!FileSystem.exists(folder.file("other/pairs.jsonl")))
    }

    @Test func blackAndOverflownImagesAreTriedInAWiderDType() throws {
        let generator = FakeGenerator()
        generator.defects = [
            "caption 1": (black, inBoth: false), "caption 2": (.notFinite, inBoth: true),
            "caption 5": (black, inBoth: true),
        ]
        var events: [SynthesisEvent] = []
        let outcome = try run(rows(6), generator, report: { events.append($0) })
        #expect(generator.calls.filter(\.wide).map(\.prompts) == [["caption 1"], ["caption 2"], ["caption 5"]])
        #expect(outcome.retried == 3 && outcome.failed == 1 && outcome.finished == 5)
        #expect(events.contains(.retried(id: "row-1", reason: "black", dtype: "float32")))
        #expect(events.contains(.retried(id: "row-2", reason: "NaN or infinite", dtype: "float32")))
        #expect(events.contains(.failed(id: "row-2", reason: "NaN or infinite pixels in float32")))
        let manifest = try PairsManifest(path: #require(outcome.pairs), real: .optional)
        // What is black in float32 too is what the model draws.
        #expect(try (0..<manifest.count).map { try manifest.pair(at: $0).id } == [0, 1, 3, 4, 5].map { "row-\($0)" })
    }

    @Test func aRunThatMakesNothingFails() throws {
        let generator = FakeGenerator()
        generator.widerDType = nil
        generator.defects = ["caption": (.notFinite, inBoth: true)]
        #expect(throws: SynthesisError.nothingGenerated(count: 5, reason: "NaN or infinite pixels in bfloat16")) {
            try run(rows(5), generator)
        }
    }

    @Test func cutOffPromptsAreCounted() throws {
        var events: [SynthesisEvent] = []
        let rows = [
            CaptionRow(id: "a", caption: "short"), CaptionRow(id: "b", caption: "one two three four five six"),
            CaptionRow(id: "c", caption: "one two three four five six seven"),
        ]
        let outcome = try run(rows, report: { events.append($0) })
        #expect(outcome.truncated == 2)
        #expect(
            events.filter { if case .truncated = $0 { true } else { false } }
                == [.truncated(id: "b", tokens: 8, limit: 6)])
    }

    @Test func theEstimateComesFromTheFirstBatches() throws {
        var estimates: [SynthesisEstimate] = []
        let outcome = try run(rows(12), report: { if case .estimate(let estimate) = $0 { estimates.append(estimate) } })
        #expect(estimates.count == 1)
        #expect(estimates[0].remaining == 4 && estimates[0].total == 12 && estimates[0].imagesPerSecond > 0)
        #expect(outcome.estimate?.remaining == 0)
        #expect(estimates[0].bytesPerImage > 50)
        let dry = try SynthesisRun.estimate(
            plan: SynthesisPlan(rows: rows(100), batchSize: 4), settings: settings(), images: 8,
            generator: FakeGenerator())
        #expect(dry?.total == 100)
    }

    @Test func estimatesReadWell() {
        let estimate = SynthesisEstimate(
            imagesPerSecond: 1.2, bytesPerImage: 400_000, remaining: 40_000, total: 414_113, shardCount: 8)
        #expect(
            estimate.text
                == "estimate: 1.2 images/s; the whole set of 414113 images takes 96 hours on one such device and 165.6 GB on "
                + "disk; this shard of 8 needs 9.3 hours more")
    }
}

@Suite struct MessageTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let captionFiles: [(name: String, content: String, text: String)] = [
        (
            "a.csv", "x",
            "'a.csv' is no caption file: expected the ending .json (COCO or Karpathy), .jsonl (one object with id and "
                + "caption per line) or .txt (one caption per line)"
        ),
        ("a.txt", "one\n \nthree\n", "'a.txt' line 2: expected a caption, got an empty line"),
        ("a.txt", "one\rtwo\n\u{2028}\n\n", "'a.txt' line 3: expected a caption, got an empty line"),
        ("a.txt", "", "'a.txt' holds no captions"),
        ("a.jsonl", "[]", "'a.jsonl' holds no captions"),
        (
            "a.jsonl", #"{"id": "a", "caption": "x"}"# + "\n[1]",
            "'a.jsonl', line 2: expected an object with 'image_id', 'image' or 'id' and 'caption', got an array"
        ),
        (
            "a.jsonl", #"{"id": "a", "caption": "x""#,
            "'a.jsonl' is not valid JSON: line 1, column 27: expected ',' or '}', got the end of the file"
        ),
        (
            "a.jsonl", #"{"id": "a", "caption": "x", "url": "y"}"#,
            "'a.jsonl', line 1: expected no other keys than 'id', 'caption', 'image', got 'url'"
        ),
        (
            "a.jsonl", #"{"id": 1.5, "caption": "x"}"#,
            "'a.jsonl', line 1: id: expected an image id (a whole number or a string), got 1.5"
        ),
        (
            "a.jsonl", #"{"id": "a", "caption": " "}"#,
            "'a.jsonl' line 1: expected 'caption', a string with text, got an empty string"
        ),
        (
            "a.jsonl", #"{"id": "a", "caption": "x", "image": 3}"#,
            "'a.jsonl', line 1: image: expected a string, got 3"
        ),
        (
            "a.jsonl", #"{"id": "a", "caption": "x"}"# + "\n" + #"{"id": "a", "caption": "y"}"#,
            "'a.jsonl' line 2: id 'a' already stands in line 1; ids must be unique"
        ),
    ]

    @Test(arguments: captionFiles.indices)
    func brokenCaptionFilesAreNamed(index: Int) throws {
        let (name, content, text) = Self.captionFiles[index]
        let path = try folder.write(content, to: name)
        let got = message { _ = try CaptionRows(path: path) }
        #expect(got.replacingOccurrences(of: folder.path + "/", with: "") == text)
    }

    @Test(arguments: ["", "1", "4/4", "-1/4", "a/b", "1/0", "1/2/3"])
    func badShardsAreRefused(text: String) {
        #expect(
            throws: SynthesisError.badSetting(
                name: "shard", expected: "i/n with 0 <= i < n (0/4 to 3/4 are the shards of 4)", got: "'\(text)'")
        ) { try Shard(parsing: text) }
    }

    private func open(_ change: (inout SynthesisSettings) -> Void) throws {
        _ = try SynthesisRun(
            plan: SynthesisPlan(rows: rows(3), batchSize: 4), settings: settings(change: change),
            folder: folder.file("out"), generator: FakeGenerator())
    }

    private static let changes: [(change: @Sendable (inout SynthesisSettings) -> Void, text: String)] = [
        ({ $0.generator.guidance = 5 }, "guidance was 7.5, is 5"),
        ({ $0.seed = 43 }, "seed was '42', is '43'"),
        ({ $0.generator.scheduler = "euler" }, "scheduler was 'ddim', is 'euler'"),
        ({ $0.generator.steps = 20 }, "steps was 2, is 20"),
        ({ $0.generator.negativePrompt = "blurry" }, "negative_prompt was '', is 'blurry'"),
        ({ $0.generator.imageSize = ImageSize(width: 8, height: 4) }, "size was '5x4', is '8x4'"),
        ({ $0.generator.dtype = "float32" }, "dtype was 'bfloat16', is 'float32'"),
        (
            {
                $0.generator.fingerprint = fingerprint([
                    ("unet/weights", String(repeating: "cd", count: 32)),
                    ("vae/weights", String(repeating: "0e", count: 32)),
                ])
            },
            "model_files 'unet/weights' was abababababab, is cdcdcdcdcdcd; model_files 'vae/weights' was not set, is "
                + "0e0e0e0e0e0e; model_sha256 was 1ab673c3bbe5, is 966d60298669"
        ),
        ({ $0.split = "train" }, "split was not set, is 'train'"),
        (
            {
                $0.imageFormat = .jpeg
                $0.quality = 80
            }, "image_format was 'png', is 'jpeg'; quality was not set, is 80"
        ),
        (
            { $0.format = .webdataset },
            "format was 'folder', is 'webdataset'; images_per_tar was not set, is 1000"
        ),
    ]

    @Test(arguments: changes.indices)
    func otherSettingsAreRefused(index: Int) throws {
        try open { _ in }
        let error = #expect(throws: SynthesisError.self) { try open(Self.changes[index].change) }
        #expect(
            error?.description
                == "'\(folder.file("out/settings.json"))' was begun with other settings: \(Self.changes[index].text). "
                + "Give the same again, or another --out")
        // The old ones still go.
        try open { _ in }
    }

    @Test func brokenAndForeignFoldersAreRefused() throws {
        try FileManager.default.createDirectory(atPath: folder.file("out"), withIntermediateDirectories: true)
        try folder.write("x", to: "out/photo.jpg")
        #expect(throws: SynthesisError.foreignFolder(path: folder.file("out"), found: "photo.jpg")) {
            try open { _ in }
        }
        try FileManager.default.removeItem(atPath: folder.file("out/photo.jpg"))
        try open { _ in }
        try folder.write("[", to: "out/settings.json")
        let broken = #expect(throws: SynthesisError.self) { try open { _ in } }
        #expect(broken?.description.contains("is no JSON") == true)
        try FileManager.default.removeItem(atPath: folder.file("out/settings.json"))
        try FileManager.default.removeItem(atPath: folder.file("out/progress.jsonl"))
        try open { _ in }
        try folder.write("{\"block\": 1}\n", to: "out/progress.jsonl")
        #expect(
            throws: SynthesisError.brokenJournal(
                path: folder.file("out/progress.jsonl"), line: 1, reason: "is no record of a finished batch")
        ) { try open { _ in } }
    }
}
