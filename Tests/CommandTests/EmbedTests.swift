import Foundation
import Safetensors
import Testing

/// `gmail embed` from end to end on a tiny random CLIP.
@Suite struct EmbedTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("photos/b"), withIntermediateDirectories: true)
        for (number, name) in ["c.png", "a.png", "b/x.PNG", "z.png"].enumerated() {
            try TinyModel.writeImage(number, to: folder.path("photos/\(name)"))
        }
        try folder.write("a bridge near the lake\n\n\(String(repeating: "kitchen ", count: 40))\n", to: "texts.txt")
    }

    private func embed(_ arguments: [String], out: String = "features.safetensors") throws -> Gmail.Outcome {
        try Gmail.run(
            ["embed", "--model", folder.path("model"), "--out", folder.path(out)] + arguments,
            environment: ["XDG_CACHE_HOME": folder.path("xdg")])
    }

    private var images: [String] { ["--images", folder.path("photos")] }

    private func sidecar(_ name: String = "features.json") throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder.path(name)))
        return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    /// Kernels are chosen by rule: with as many images as packed weights are laid out for, a command repeats its bits, the
    /// sidecar says what was chosen, and switching the kernels off is another choice.
    @Test(arguments: ["float32", "bfloat16"])
    func equalCommandsGiveEqualBits(dtype: String) throws {
        for number in 4..<80 { try TinyModel.writeImage(number, to: folder.path("photos/\(number).png")) }
        func run(_ out: String, _ environment: [String: String] = [:]) throws -> [UInt8] {
            let outcome = try Gmail.run(
                [
                    "embed", "--model", folder.path("model"), "--out", folder.path("\(out).safetensors"), "--quiet",
                    "--dtype", dtype, "--threads", "2",
                ] + images, environment: ["XDG_CACHE_HOME": folder.path("xdg")].merging(environment) { $1 })
            #expect(outcome.status == 0, "\(outcome.stderr)")
            return [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.path("\(out).safetensors"))))
        }
        let first = try run("0")
        let chosen = try sidecar("0.json")["kernel"] as? String
        for name in ["1", "2"] {
            #expect(try run(name) == first)
            #expect(try sidecar("\(name).json")["kernel"] as? String == chosen)
        }
        _ = try run("off", ["GMAIL_CPU_KERNELS": "none"])
        let off = try sidecar("off.json")["kernel"] as? String
        #expect(off?.contains("packed") != true, "\(off ?? "")")
    }

    /// A tokenizer of a larger model beside a smaller one.
    @Test func tokensBeyondTheModelAreNamed() throws {
        try TinyModel.write(to: folder.path("small"), vocabularySize: 900)
        let outcome = try Gmail.run(
            [
                "embed", "--model", folder.path("small"), "--texts", folder.path("texts.txt"), "--out",
                folder.path("t.safetensors"), "--quiet",
            ], environment: ["XDG_CACHE_HOME": folder.path("xdg")])
        #expect(outcome.status == 1)
        #expect(
            outcome.stderr.contains(
                "the tokenizer makes token id 912 of 'a bridge near the lake', the model's text encoder has 900 tokens"),
            "\(outcome.stderr)")
    }

    @Test func rowsStandInPathOrderAndAreNormalised() throws {
        let outcome = try embed(images + ["--texts", folder.path("texts.txt"), "--json", "--quiet"])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let sidecar = try sidecar()
        #expect(
            sidecar["images"] as? [String]
                == ["a.png", "b/x.PNG", "c.png", "z.png"].map { folder.path("photos/\($0)") })
        #expect((sidecar["texts"] as? [String])?.count == 3)
        #expect(sidecar["truncated_texts"] as? [Int] == [2])
        #expect((sidecar["skipped"] as? [Any])?.isEmpty == true)
        for name in ["image_embeds", "text_embeds"] {
            let rows = try TinyModel.read(folder.path("features.safetensors"), name)
            #expect(rows.count == (name == "image_embeds" ? 4 : 3))
            for row in rows {
                #expect(row.count == 10)
                #expect(abs(cosine(row, row) - 1) < 1e-12)
                #expect(abs(row.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
            }
        }
        // --json is one object on standard output, and nothing else is there.
        let summary = try #require(JSONSerialization.jsonObject(with: Data(outcome.stdout.utf8)) as? [String: Any])
        #expect(summary["images"] as? Int == 4 && summary["texts"] as? Int == 3)
        #expect(summary["skipped"] as? Int == 0 && summary["truncated_texts"] as? Int == 1)
        for key in [
            "images_per_second", "decode_seconds", "preprocessing_seconds", "model_seconds", "waiting_seconds",
            "total_seconds", "peak_memory_mib",
        ] { #expect(summary[key] is Double, "\(key)") }
        #expect(outcome.stderr.isEmpty, "\(outcome.stderr)")
    }

    @Test func equalInputGivesEqualBytes() throws {
        let texts = ["--texts", folder.path("texts.txt")]
        #expect(try embed(images + texts, out: "one.safetensors").status == 0)
        #expect(try embed(images + texts, out: "two.safetensors").status == 0)
        func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: folder.path(name))) }
        #expect(try bytes("one.safetensors") == bytes("two.safetensors"))
        #expect(try bytes("one.json") == bytes("two.json"))
        // A row does not depend on what stands beside it in a batch, to float32's last digits.
        let precise = images + texts + ["--dtype", "float32"]
        #expect(try embed(precise, out: "together.safetensors").status == 0)
        #expect(try embed(precise + ["--batch-size", "1"], out: "single.safetensors").status == 0)
        for name in ["image_embeds", "text_embeds"] {
            let rows = zip(
                try TinyModel.read(folder.path("together.safetensors"), name),
                try TinyModel.read(folder.path("single.safetensors"), name))
            for (a, b) in rows { #expect(zip(a, b).allSatisfy { abs($0 - $1) < 1e-5 }) }
        }
    }

    @Test func unreadableImagesAreSkippedAndNamed() throws {
        let whole = try Data(contentsOf: URL(fileURLWithPath: folder.path("photos/a.png")))
        try whole.prefix(whole.count / 2).write(to: URL(fileURLWithPath: folder.path("photos/b/x.PNG")))
        try Data().write(to: URL(fileURLWithPath: folder.path("photos/z.png")))
        let outcome = try embed(images)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stdout.contains("2 files skipped"))
        let sidecar = try sidecar()
        #expect(sidecar["images"] as? [String] == ["a.png", "c.png"].map { folder.path("photos/\($0)") })
        let skipped = try #require(sidecar["skipped"] as? [[String: String]])
        #expect(skipped.map { $0["path"] } == ["b/x.PNG", "z.png"].map { folder.path("photos/\($0)") })
        for entry in skipped {
            let (path, reason) = (try #require(entry["path"]), try #require(entry["reason"]))
            #expect(reason.contains(path))
            #expect(outcome.stderr.contains("skipped \(reason)"))
        }
        #expect(try TinyModel.read(folder.path("features.safetensors"), "image_embeds").count == 2)
        // What is found but not decoded counts too: 2 unreadable and 3 icons of 7 are more than half.
        for index in 0..<3 { try Data("x".utf8).write(to: URL(fileURLWithPath: folder.path("photos/i\(index).ico"))) }
        let most = try embed(images, out: "most.safetensors")
        #expect(most.status == 1)
        #expect(
            most.stderr.contains(
                "5 of 7 images could not be read, more than the share of 0.5 that is allowed; the first: '"),
            "\(most.stderr)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("most.safetensors")))
        #expect(try embed(images + ["--maximum-skipped-share", "0.72"], out: "most.safetensors").status == 0)
        // With nothing left to embed the command fails and writes nothing.
        let none = try embed(["--images", folder.path("photos/z.png")], out: "none.safetensors")
        #expect(none.status == 1)
        #expect(none.stderr.contains("none of the 1 images could be read"), "\(none.stderr)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("none.safetensors")))
    }

    /// What stands in a message, `F` for the test's folder.
    struct Mistake: Sendable, CustomTestStringConvertible {
        let name: String
        let arguments: [String]
        let status: Int32
        let message: String
        var out = "features.safetensors"

        var testDescription: String { name }
    }

    static let mistakes = [
        Mistake(
            name: "no such images", arguments: ["--images", "F/nowhere"], status: 1,
            message: "cannot read 'F/nowhere': No such file or directory"),
        Mistake(
            name: "no images in the folder", arguments: ["--images", "F/model"], status: 1,
            message: "no image (.jpg, .png, .webp, .gif, .bmp, .tif, .avif, .heic) in 'F/model'"),
        Mistake(
            name: "limit of nothing", arguments: ["--images", "F/photos", "--max-pixels", "0"], status: 2,
            message: "--max-pixels is 0, expected 1 to 1000000000000"),
        Mistake(
            name: "unknown transparency", arguments: ["--images", "F/photos", "--transparency", "black"], status: 2,
            message:
                "The value 'black' is invalid for '--transparency <transparency>'. Please provide one of 'white', 'drop' or 'open_clip'."
        ),
        Mistake(
            name: "nothing to embed", arguments: [], status: 2,
            message: "nothing to embed: give --images, --texts or both"),
        Mistake(
            name: "no such texts", arguments: ["--texts", "F/nowhere.txt"], status: 1,
            message: "cannot read 'F/nowhere.txt': No such file or directory"),
        Mistake(
            name: "texts not UTF-8", arguments: ["--texts", "F/photos/a.png"], status: 1,
            message: "'F/photos/a.png' line 1 is not UTF-8; save the file in that encoding"),
        Mistake(
            name: "unknown dtype", arguments: ["--images", "F/photos", "--dtype", "float16"], status: 2,
            message:
                "--dtype is float16, expected auto, float32 or bfloat16: float16 is for gmail generate"
        ),
        Mistake(
            name: "unknown device", arguments: ["--images", "F/photos", "--device", "gpu"], status: 1,
            message: "'gpu'"),
        Mistake(
            name: "batch of nothing", arguments: ["--images", "F/photos", "--batch-size", "0"], status: 2,
            message: "--batch-size is 0, expected 1 to 65536"),
        Mistake(
            name: "output in no folder", arguments: ["--images", "F/photos"], status: 1,
            message:
                "cannot write 'F/no/folder/features.safetensors': No such file or directory; does its folder exist, and may you write there?",
            out: "no/folder/features.safetensors"),
    ]

    @Test(arguments: mistakes)
    func mistakesAreNamed(mistake: Mistake) throws {
        func here(_ text: String) -> String { text.replacingOccurrences(of: "F/", with: folder.path("") + "/") }
        let outcome = try embed(mistake.arguments.map(here), out: mistake.out)
        #expect(outcome.status == mistake.status, "\(outcome.stderr)")
        let expected = here(mistake.message).replacingOccurrences(of: "//", with: "/")
        #expect(outcome.stderr.replacingOccurrences(of: "//", with: "/").contains(expected), "\(outcome.stderr)")
    }

    @Test func brokenModelFoldersAreNamed() throws {
        func fails(_ message: String, _ damage: (String) throws -> Void) throws {
            let model = folder.path("broken")
            if FileManager.default.fileExists(atPath: model) { try FileManager.default.removeItem(atPath: model) }
            try FileManager.default.copyItem(atPath: folder.path("model"), toPath: model)
            try damage(model)
            let outcome = try Gmail.run(
                ["embed", "--model", model, "--out", folder.path("never.safetensors")] + images,
                environment: ["XDG_CACHE_HOME": folder.path("xdg")])
            #expect(outcome.status == 1)
            #expect(
                outcome.stderr.contains(message.replacingOccurrences(of: "MODEL", with: model)), "\(outcome.stderr)")
            #expect(outcome.stderr.split(separator: "\n").count <= 8, "no stack of causes")
            #expect(!FileManager.default.fileExists(atPath: folder.path("never.safetensors")))
        }
        let manager = FileManager.default
        try fails("it is truncated, copy or download it again") { model in
            let weights = try FileHandle(forUpdating: URL(fileURLWithPath: "\(model)/model.safetensors"))
            let size = try weights.seekToEnd()
            try weights.truncate(atOffset: size / 2)
            try weights.close()
        }
        try fails("'MODEL' is no model folder: model.safetensors") {
            try manager.removeItem(atPath: "\($0)/model.safetensors")
        }
        try fails(
            "'MODEL' is no model folder: config.json, open_clip_config.json, or an authors' checkpoint (.pt, .pth) expected in it"
        ) {
            try manager.removeItem(atPath: "\($0)/config.json")
        }
        try fails("preprocessor_config.json") { try manager.removeItem(atPath: "\($0)/preprocessor_config.json") }
        try fails("MODEL") { try manager.removeItem(atPath: $0) }
    }
}
