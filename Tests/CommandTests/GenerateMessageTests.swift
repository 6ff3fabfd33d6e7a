import Foundation
import Images
import Testing

/// What `gmail generate` refuses, corrects and says.
@Suite(.serialized) struct GenerateMessageTests {
    private let folder: TemporaryFolder
    private let miniature: String

    init() throws {
        folder = try TemporaryFolder()
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        try FileManager.default.copyItem(
            atPath: tests.appendingPathComponent("DiffusionTests/Fixtures/sd-tiny").path, toPath: folder.path("model"))
        miniature = tests.deletingLastPathComponent().appendingPathComponent("Models/miniature/stable-diffusion").path
        try folder.write("a b\na c\na d\n", to: "captions.txt")
    }

    private func generate(
        _ more: [String], out: String = "out", captions: String = "captions.txt", model: String? = nil
    )
        throws -> Gmail.Outcome
    {
        try Gmail.run(
            [
                "generate", "--model", model ?? folder.path("model"), "--captions", folder.path(captions), "--out",
                folder.path(out), "--threads", "1", "--device", "cpu", "--steps", "2", "--dtype", "float32",
            ] + more, environment: ["XDG_CACHE_HOME": folder.path("xdg")])
    }

    private func edit(_ name: String, _ key: String, _ value: Any?) throws {
        let url = URL(fileURLWithPath: folder.path("model/\(name)"))
        var values = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        values[key] = value
        try JSONSerialization.data(withJSONObject: values).write(to: url)
    }

    private func settings(_ out: String = "out") throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder.path("\(out)/settings.json")))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    private static let usage: [(arguments: [String], text: String)] = [
        (["--scheduler", "heun"], "--scheduler is 'heun', expected one of ddim, pndm, euler, dpm++"),
        (["--shard", "3/3"], "--shard is '3/3', expected i/n with 0 <= i < n"),
        (["--steps", "0"], "--steps is 0, expected 1 to 100000"),
        (["--steps", "-3"], "--steps"),
        (["--steps", "1000000000000"], "--steps is 1000000000000, expected 1 to 100000"),
        (["--guidance", "nan"], "--guidance is nan, expected 0.0 to 1000.0"),
        (["--guidance", "inf"], "--guidance is inf, expected 0.0 to 1000.0"),
        (["--guidance", "1e30"], "--guidance is 1e+30, expected 0.0 to 1000.0"),
        (["--size", "1000000x8"], "--size is 1000000x8, expected sides of 1 to 8192 pixels"),
        (["--size", "8x9223372036854775807"], "expected sides of 1 to 8192 pixels"),
        (["--size", "0"], "--size is 0x0, expected sides of 1 to 8192 pixels"),
        (["--size", "8xx8"], "'8xx8' is invalid for '--size"),
        (["--images-per-caption", "257"], "--images-per-caption is 257, expected 1 to 256"),
        (["--images-per-caption", "9223372036854775807"], "expected 1 to 256"),
        (["--images-per-tar", "0"], "--images-per-tar is 0, expected 1 to 1000000"),
        (["--limit", "0"], "--limit is 0, expected 1 to 1000000000"),
        (["--estimate", "9223372036854775807"], "--estimate is 9223372036854775807, expected 1 to 1000000000"),
        (["--batch-size", "1000000"], "--batch-size is 1000000, expected 1 to 1024"),
        (["--quality", "101"], "--quality is 101, expected 1 to 100"),
        (["--seed", "18446744073709551616"], "'18446744073709551616' is no seed, expected 0 to 18446744073709551615"),
        (["--seed", "x"], "'x' is no seed, expected 0 to 18446744073709551615"),
    ]

    /// Every number has a range, which the message tells; nothing is read or made before.
    @Test(arguments: usage.indices)
    func numbersOutsideOfTheirRangesAreRefused(index: Int) throws {
        let (arguments, text) = Self.usage[index]
        let outcome = try generate(arguments)
        #expect(outcome.status == 2)
        #expect(outcome.stderr.contains(text), "\(outcome.stderr)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
    }

    @Test func whatCannotBeDoneIsSaid() throws {
        func fails(_ outcome: Gmail.Outcome, _ message: String) {
            #expect(outcome.status == 1)
            #expect(outcome.stderr.contains(message), "\(outcome.stderr)")
            #expect(!outcome.stderr.contains("NSCocoaErrorDomain") && !outcome.stderr.contains("Error Domain"))
        }
        fails(try generate(["--size", "17"]), "width and height must be multiples of 2 from 2 to 8192")
        fails(try generate(["--steps", "1001"]), "1001 steps asked for, expected 1 to 1000 (num_train_timesteps)")
        fails(try generate(["--model", folder.path("xdg")]), "is no model folder: there is nothing")
        fails(try generate(["--model", folder.path("model/unet")]), "model_index.json expected in it")
        fails(try generate(["--variant", "fp8"]), "weights of the variant 'fp8' in one of its parts")
        fails(try generate([], captions: "none.txt"), "cannot read '\(folder.path("none.txt"))'")
        fails(
            try generate([], out: "captions.txt/below"),
            "captions.txt/below': creating the folder failed: Not a directory")
        fails(try generate([], out: "captions.txt"), "captions.txt': creating the folder failed: File exists")
        fails(try generate(["--real-images", folder.path("model")]), "names no real images")
        #expect(mkfifo(folder.path("pipe.jsonl"), 0o600) == 0)
        fails(try generate([], captions: "pipe.jsonl"), "pipe.jsonl' is a named pipe; expected a regular file")
        #expect(!FileManager.default.fileExists(atPath: folder.path("out")))
        try folder.write(#"{"id": "a", "caption": "x", "image": "a.jpg"}"#, to: "real.jsonl")
        fails(
            try generate(["--real-images", folder.path("model")], captions: "real.jsonl"),
            "1 of 1 real images of the captions file are not in")
        let pairs = try Gmail.run(["data", "check", folder.path("x.tar")])
        #expect(pairs.status == 1 && pairs.stderr.contains("unpack with `gmail data unpack"), "\(pairs.stderr)")
    }

    /// The identity covers every part, and a refused continuation says which file is another.
    @Test func aRunIsContinuedWithTheSameModelOnly() throws {
        #expect(try generate([]).status == 0)
        let other = try generate(["--guidance", "3"])
        #expect(other.stderr.contains("was begun with other settings: guidance was 7.5, is 3. Give the same again"))
        try folder.write("notes", to: "model/unet/README.md")
        #expect(try generate(["--limit", "2"]).status == 0)
        try edit("vae/config.json", "scaling_factor", 0.2)
        let refused = try generate([])
        #expect(refused.status == 1)
        #expect(refused.stderr.contains("model_files 'vae/config.json' was"), "\(refused.stderr)")
        #expect(refused.stderr.contains("model_sha256 was"), "\(refused.stderr)")
        let files = try #require(try settings()["model_files"] as? [String: String])
        #expect(files.keys.contains("scheduler/scheduler_config.json") && files.keys.contains("tokenizer/vocab.json"))
        let line = try String(contentsOfFile: folder.path("out/pairs.jsonl"), encoding: .utf8).split(separator: "\n")[0]
        #expect(line.contains(try #require(try settings()["model_sha256"] as? String)))
    }

    @Test func whatWasCorrectedIsSaid() throws {
        try edit("scheduler/scheduler_config.json", "clip_sample", true)
        try edit("scheduler/scheduler_config.json", "steps_offset", 0)
        let outcome = try generate([])
        #expect(outcome.status == 0)
        for key in ["'clip_sample' counts as false in place of true", "'steps_offset' counts as 1 in place of 0"] {
            #expect(outcome.stderr.contains(key), "\(outcome.stderr)")
        }
        // The shipped miniature does not mention clipping, which DDIM does by default.
        let plain = try generate(["--scheduler", "ddim", "--limit", "1"], out: "ddim", model: miniature)
        #expect(plain.stderr.contains("'clip_sample' counts as false"), "\(plain.stderr)")
        #expect(try generate(["--limit", "1"], out: "own", model: miniature).stderr.contains("counts as") == false)
    }

    @Test func testCaptionsAreNotUsedUnlessAskedFor() throws {
        let images = ["train", "test", "restval", "val"].enumerated().map { index, split in
            #"{"cocoid": \#(index), "filename": "\#(index).jpg", "split": "\#(split)", "sentences": [{"raw": "c \#(index)"}]}"#
        }
        try folder.write(#"{"images": [\#(images.joined(separator: ", "))]}"#, to: "dataset_coco.json")
        func ids(_ out: String) throws -> [String] {
            try String(contentsOfFile: folder.path("\(out)/pairs.jsonl"), encoding: .utf8).split(separator: "\n").map {
                try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])["id"] as? String
                    ?? ""
            }
        }
        let plain = try generate([], out: "a", captions: "dataset_coco.json")
        #expect(plain.status == 0)
        #expect(plain.stderr.contains("images are made of train+restval; --split takes others"), "\(plain.stderr)")
        #expect(try ids("a") == ["coco-0-0", "coco-2-0"])
        #expect(try settings("a")["split"] as? String == "train+restval")
        let asked = try generate(["--split", "val+test"], out: "b", captions: "dataset_coco.json")
        #expect(asked.status == 0 && !asked.stderr.contains("--split takes others"))
        #expect(try ids("b") == ["coco-1-0", "coco-3-0"])
        #expect(try settings("b")["split"] as? String == "val+test")
        let none = try generate(["--split", "vel"], out: "c", captions: "dataset_coco.json")
        #expect(none.status == 1 && none.stderr.contains("no split 'vel'; the file has restval, test, train, val"))
    }

    /// Tars whose names are unique over the set become a manifest that the other commands read.
    @Test func tarsAreReadByTheOtherCommands() throws {
        let outcome = try generate(["--format", "webdataset", "--images-per-tar", "2", "--images-per-caption", "2"])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let range = folder.path("out/{000000..000002}.tar")
        let unpacked = try Gmail.run(["data", "unpack", range, "--out", folder.path("pairs")])
        #expect(unpacked.status == 0, "\(unpacked.stderr)")
        #expect(unpacked.stdout.contains("pairs.jsonl: 6 pairs"), "\(unpacked.stdout)")
        let check = try Gmail.run(["data", "check", "--without-real", "--decode", folder.path("pairs/pairs.jsonl")])
        #expect(check.status == 0, "\(check.stdout)\(check.stderr)")
        // Python's tar, or any other, into one folder: nothing is overwritten, and joined descriptions are a manifest.
        try FileManager.default.createDirectory(atPath: folder.path("plain"), withIntermediateDirectories: true)
        for index in 0..<3 {
            let tar = Process()
            tar.executableURL = URL(fileURLWithPath: "/bin/tar")
            tar.arguments = ["-xf", folder.path("out/00000\(index).tar"), "-C", folder.path("plain")]
            try tar.run()
            tar.waitUntilExit()
            #expect(tar.terminationStatus == 0)
        }
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path("plain")).sorted()
        #expect(names.filter { $0.hasSuffix(".png") } == (0..<6).map { "00000000\($0).png" })
        let lines = try names.filter { $0.hasSuffix(".json") }.map {
            try String(contentsOfFile: folder.path("plain/\($0)"), encoding: .utf8)
        }
        try folder.write(lines.joined(), to: "plain/pairs.jsonl")
        let plain = try Gmail.run(["data", "check", "--without-real", folder.path("plain/pairs.jsonl")])
        #expect(plain.status == 0, "\(plain.stdout)\(plain.stderr)")
    }

    /// Memory that cannot be had is an error that names what was requested.
    @Test func exhaustedMemoryIsAnError() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        let command = [
            Gmail.program.path, "generate", "--model", folder.path("model"), "--captions", folder.path("captions.txt"),
            "--out", folder.path("large"), "--threads", "1", "--device", "cpu", "--steps", "1", "--dtype", "float32",
            "--no-prepare", "--size", "8192",
        ].map { "'\($0)'" }.joined(separator: " ")
        process.arguments = ["-c", "ulimit -v 6000000; exec \(command)"]
        process.environment = ProcessInfo.processInfo.environment.merging(["XDG_CACHE_HOME": folder.path("xdg")]) { $1 }
        let pipe = Pipe()
        process.standardError = pipe
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 1, "\(text)")
        #expect(text.contains("the memory for 1 images of 8192x8192 in one batch is not there"), "\(text)")
    }
}
