import Foundation
import Images
import Safetensors
import Testing

/// `gmail generate` from end to end on a tiny random Stable Diffusion.
@Suite(.serialized) struct GenerateTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("DiffusionTests/Fixtures/sd-tiny").path
        try FileManager.default.copyItem(atPath: fixture, toPath: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("real"), withIntermediateDirectories: true)
        var lines: [String] = []
        for index in 0..<21 {
            let pixels = (0..<20 * 15 * 3).map { UInt8(truncatingIfNeeded: $0 * (index + 3) / 7) }
            try Data(ImageWriter.png(RGBImage(width: 20, height: 15, pixels: pixels)))
                .write(to: URL(fileURLWithPath: folder.path("real/\(index).png")))
            lines.append(#"{"id": "scene-\#(index)", "caption": "a b \#(index)", "image": "real/\#(index).png"}"#)
        }
        try folder.write(lines.joined(separator: "\n"), to: "captions.jsonl")
    }

    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("xdg")] }

    private func arguments(_ out: String, _ more: [String], model: String? = nil) -> [String] {
        [
            "generate", "--model", model ?? folder.path("model"), "--captions", folder.path("captions.jsonl"), "--out",
            folder.path(out), "--threads", "1", "--device", "cpu",
        ] + more
    }

    private func generate(_ out: String, _ more: [String] = []) throws -> Gmail.Outcome {
        try Gmail.run(arguments(out, more), environment: environment)
    }

    /// Every file below a folder with its content, by relative path; not the locks, which name a process.
    private func contents(_ name: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: folder.path(name)) {
            var isFolder: ObjCBool = false
            let full = folder.path("\(name)/\(path)")
            guard FileManager.default.fileExists(atPath: full, isDirectory: &isFolder), !isFolder.boolValue,
                !path.hasPrefix(".lock")
            else { continue }
            files[path] = try Data(contentsOf: URL(fileURLWithPath: full))
        }
        return files
    }

    private func imageCount(_ out: String) -> Int {
        guard let files = FileManager.default.subpaths(atPath: folder.path(out)) else { return 0 }
        return files.filter { $0.hasSuffix(".png") && !$0.contains("/.") }.count
    }

    /// Starts the command and sends it `signal` when `images` of its images are there.
    /// - Returns: its exit code, or the number of the signal that ended it.
    private func interrupt(_ out: String, _ more: [String], after images: Int, with signal: Int32) throws -> Int32 {
        let process = Process()
        process.executableURL = Gmail.program
        process.arguments = arguments(out, more)
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        while process.isRunning, imageCount(out) < images { usleep(500) }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test(arguments: [(1, "float32", "folder"), (8, "float32", "folder"), (8, "bfloat16", "webdataset")])
    func aKilledAndRepeatedRunHasTheBytesOfAnUninterruptedOne(batch: Int, dtype: String, format: String) throws {
        let more = [
            "--batch-size", "\(batch)", "--dtype", dtype, "--format", format, "--steps", "25", "--images-per-tar", "6",
            "--guidance", "3",
        ]
        let whole = try generate("whole", more)
        #expect(whole.status == 0, "\(whole.stderr)")
        let expected = try contents("whole")
        // Staged images of the second format disappear into tars, so these counts are reached early there too.
        for images in format == "folder" ? [2, 9, 14] : [2, 4, 5] {
            #expect(
                try interrupt("parts", more, after: images, with: SIGKILL) == SIGKILL, "it ended before it was killed")
            for (name, bytes) in try contents("parts") where name.hasSuffix(".png") || name.hasSuffix(".tar") {
                if let final = expected[name], !name.contains("/.") { #expect(bytes == final, "\(name)") }
            }
        }
        let last = try generate("parts", more + ["--json"])
        #expect(last.status == 0, "\(last.stderr)")
        let got = try contents("parts")
        #expect(got.keys.sorted() == expected.keys.sorted())
        for (name, bytes) in expected { #expect(got[name] == bytes, "\(name)") }
        let images = format == "folder" ? got.keys.filter { $0.hasSuffix(".png") }.count : 21
        #expect(images == 21)
        let summary = try #require(try JSONSerialization.jsonObject(with: Data(last.stdout.utf8)) as? [String: Any])
        #expect(summary["finished"] as? Int == 21 && summary["complete"] as? Bool == true)
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
    func aSignalFinishesTheBatch(signal: Int32) throws {
        let more = ["--batch-size", "4", "--dtype", "float32", "--steps", "25"]
        #expect(try interrupt("a", more, after: 2, with: signal) == 128 + signal)
        let count = imageCount("a")
        #expect(count % 4 == 0 && count < 21)
        let pairs = try String(contentsOfFile: folder.path("a/pairs.jsonl"), encoding: .utf8)
        #expect(pairs.split(separator: "\n").count == count)
        #expect(try generate("a", more).status == 0)
        #expect(imageCount("a") == 21)
    }

    /// Kernels choose by shape, so the last bits may differ between batch sizes; the noise does not.
    @Test func batchSizesAgree() throws {
        for batch in ["1", "8"] {
            let outcome = try generate("b\(batch)", ["--batch-size", batch, "--dtype", "float32", "--steps", "10"])
            #expect(outcome.status == 0, "\(outcome.stderr)")
        }
        let (one, eight) = (try contents("b1"), try contents("b8"))
        let names = one.keys.filter { $0.hasSuffix(".png") }.sorted()
        #expect(names.count == 21)
        var worst = 0
        for name in names {
            let a = try RGBImage(decoding: [UInt8](#require(one[name])), name: name)
            let b = try RGBImage(decoding: [UInt8](#require(eight[name])), name: name)
            worst = max(worst, zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 255)
        }
        let equal = names.filter { one[$0] == eight[$0] }.count
        print("batch 1 against batch 8: \(equal) of 21 images have the same bytes, largest difference \(worst)/255")
        #expect(worst <= 1)
    }

    /// The shipped miniature, whose convolutions have channels that the prepared kernels take.
    @Test func aPreparedModelDrawsTheSameImages() throws {
        let model = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Models/miniature/stable-diffusion").path
        let more = ["--dtype", "float32", "--steps", "12", "--guidance", "3", "--scheduler", "dpm++", "--batch-size"]
        for (out, own) in [("plain", ["8", "--no-prepare"]), ("eight", ["8"]), ("one", ["1"]), ("again", ["8"])] {
            let outcome = try Gmail.run(arguments(out, more + own, model: model), environment: environment)
            #expect(outcome.status == 0, "\(outcome.stderr)")
        }
        let plain = try contents("plain")
        let names = plain.keys.filter { $0.hasSuffix(".png") }.sorted()
        #expect(names.count == 21)
        for out in ["eight", "one"] {
            let files = try contents(out)
            var worst = 0
            for name in names {
                let a = try RGBImage(decoding: [UInt8](#require(plain[name])), name: name)
                let b = try RGBImage(decoding: [UInt8](#require(files[name])), name: name)
                worst = max(worst, zip(a.pixels, b.pixels).map { abs(Int($0) - Int($1)) }.max() ?? 255)
            }
            let equal = names.filter { plain[$0] == files[$0] }.count
            print(
                "prepared (\(out)) against plain: \(equal) of 21 images have the same bytes, largest difference \(worst)/255"
            )
            #expect(worst <= 1)
        }
        #expect(
            try contents("again").filter { $0.key.hasSuffix(".png") }
                == contents("eight").filter { $0.key.hasSuffix(".png") })
    }

    @Test func shardsGoIntoOneFolderAndCoverEverything() throws {
        let more = ["--dtype", "float32", "--steps", "4", "--images-per-caption", "2", "--batch-size", "1"]
        #expect(try generate("whole", more).status == 0)
        for index in 0..<3 { #expect(try generate("shards", more + ["--shard", "\(index)/3"]).status == 0) }
        let (whole, shards) = (try contents("whole"), try contents("shards"))
        let images = whole.filter { $0.key.hasSuffix(".png") }
        #expect(images.count == 42)
        #expect(shards.filter { $0.key.hasSuffix(".png") } == images)
        func lines(_ files: [String: Data]) -> [String] {
            files.filter { $0.key.hasPrefix("pairs") }.values
                .flatMap { String(decoding: $0, as: UTF8.self).split(separator: "\n").map(String.init) }.sorted()
        }
        #expect(lines(shards) == lines(whole))
        #expect(Set(images.values).count == 42)
    }

    @Test func thePairsAreReadByTheOtherCommands() throws {
        #expect(try generate("a", ["--steps", "2", "--size", "24x16", "--scheduler", "dpm++"]).status == 0)
        let check = try Gmail.run(["data", "check", folder.path("a/pairs.jsonl")])
        #expect(check.status == 0, "\(check.stdout)\(check.stderr)")
        let line = try String(contentsOfFile: folder.path("a/pairs.jsonl"), encoding: .utf8).split(separator: "\n")[3]
        let pair = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        let generator = try #require(pair["generator"] as? [String: Any])
        #expect(pair["real"] as? String == "../real/3.png")
        #expect(generator["scheduler"] as? String == "dpm++" && generator["steps"] as? Int == 2)
        #expect((generator["model_sha256"] as? String)?.count == 64 && generator["model"] as? String == "model")
        let image = try RGBImage(contentsOfFile: folder.path("a/\(#require(pair["generated"] as? String))"))
        #expect(image.size == ImageSize(width: 24, height: 16))
    }

    @Test func estimatesWriteNothing() throws {
        let outcome = try Gmail.run(
            [
                "generate", "--model", folder.path("model"), "--captions", folder.path("captions.jsonl"), "--estimate",
                "4", "--steps", "2", "--batch-size", "2", "--json", "--images-per-caption", "100",
            ], environment: environment)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let summary = try #require(try JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any])
        let estimate = try #require(summary["estimate"] as? [String: Any])
        #expect(estimate["total_images"] as? Int == 2100)
        #expect((estimate["total_seconds"] as? Double ?? 0) > 0)
    }

    @Test func longCaptionsAreCountedAndSaid() throws {
        try folder.write("a b\n" + Array(repeating: "word", count: 40).joined(separator: " ") + "\n", to: "long.txt")
        let outcome = try Gmail.run(
            [
                "generate", "--model", folder.path("model"), "--captions", folder.path("long.txt"), "--out",
                folder.path("a"), "--steps", "2",
            ], environment: environment)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stderr.contains("the caption of '00000001' has"), "\(outcome.stderr)")
        #expect(outcome.stdout.contains("1 images have captions longer than the model reads"), "\(outcome.stdout)")
    }

    /// A model whose decoder has a number that float16 does not hold, as Stable Diffusion 2.1's attention has.
    @Test func picturesThatOverflowAreMadeAgainInFloat32() throws {
        let path = folder.path("model/vae/diffusion_pytorch_model.fp16.safetensors")
        let file = try SafetensorsFile(path: path)
        let large = [Float](repeating: 1e5, count: 4)
        try large.withUnsafeBytes { bytes in
            try SafetensorsWriter.write(
                tensors: file.tensors.map { tensor in
                    tensor.name == "post_quant_conv.bias"
                        ? .init(name: tensor.name, elementType: .float32, shape: [4], bytes: bytes)
                        : .init(
                            name: tensor.name, elementType: tensor.elementType, shape: tensor.shape,
                            bytes: tensor.bytes)
                }, to: folder.path("model/vae/changed.safetensors"))
        }
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: folder.path("model/vae/changed.safetensors"), toPath: path)
        let configuration = folder.path("model/vae/config.json")
        let text = try String(contentsOfFile: configuration, encoding: .utf8)
        try folder.write(
            text.replacingOccurrences(of: "\"force_upcast\": true", with: "\"force_upcast\": false"),
            to: "model/vae/config.json")

        let common = ["--steps", "2", "--limit", "3", "--batch-size", "2"]
        let half = try generate("half", common + ["--dtype", "float16"])
        #expect(half.status == 0, "\(half.stderr)")
        #expect(half.stderr.contains("'scene-0' came out NaN or infinite; made again in float32"), "\(half.stderr)")
        #expect(half.stdout.contains("3 images were made again in a wider dtype"), "\(half.stdout)")
        // Alone in float32: what batches of one image in float32 are from the start.
        let full = try generate("full", ["--steps", "2", "--limit", "3", "--batch-size", "1", "--dtype", "float32"])
        #expect(full.status == 0 && !full.stderr.contains("made again"), "\(full.stderr)")
        #expect(
            try contents("half").filter { $0.key.hasSuffix(".png") }
                == contents("full").filter { $0.key.hasSuffix(".png") })
    }
}
