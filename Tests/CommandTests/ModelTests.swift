import Foundation
import Images
import Testing

/// `gmail model convert` and `stretch`, and an alignment of what they write.
@Suite(.serialized) struct ModelTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for kind in ["real", "generated"] {
            try FileManager.default.createDirectory(atPath: folder.path(kind), withIntermediateDirectories: true)
        }
        for index in 0..<8 {
            try TinyModel.writeImage(index, to: folder.path("real/\(index).png"))
            try TinyModel.writeImage(index + 40, to: folder.path("generated/\(index).png"))
        }
    }

    private static func fixture(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("EncodersTests/Fixtures/checkpoints/\(name)").path
    }

    private func gmail(_ arguments: String...) throws -> Gmail.Outcome {
        try Gmail.run(arguments, environment: ["XDG_CACHE_HOME": folder.path("xdg")])
    }

    private func embedded(_ name: String, _ arguments: [String]) throws -> [[Float]] {
        let out = folder.path("\(name).safetensors")
        let run = try Gmail.run(
            ["embed", "--quiet", "--dtype", "float32", "--out", out] + arguments,
            environment: ["XDG_CACHE_HOME": folder.path("xdg")])
        #expect(run.status == 0, "\(run.stderr)")
        return try TinyModel.read(out, arguments.contains("--texts") ? "text_embeds" : "image_embeds")
    }

    @Test func checkpointsBecomeFolders() throws {
        let converted = try gmail(
            "model", "convert", "--model", Self.fixture("synclr/synclr.pth"), "--out", folder.path("vit"))
        #expect(converted.status == 0 && converted.stdout == "\(folder.path("vit")) written\n", "\(converted.stderr)")
        #expect(
            converted.stderr.contains("1 tensors beside the image encoder are not read, such as 'projector.0.weight'"))
        let images = ["--images", folder.path("real")]
        let direct = try embedded("direct", ["--model", Self.fixture("synclr")] + images)
        #expect(try embedded("converted", ["--model", folder.path("vit")] + images) == direct)
        #expect(direct.count == 8 && direct[0].count == 128)
        try folder.write("a dog\n", to: "texts.txt")
        let texts = try gmail(
            "embed", "--model", folder.path("vit"), "--texts", folder.path("texts.txt"), "--out",
            folder.path("t.safetensors"))
        #expect(texts.status == 1 && texts.stderr.contains("holds an encoder of images alone"), "\(texts.stderr)")
        // Nothing is written over a model.
        let again = try gmail(
            "model", "convert", "--model", Self.fixture("synclr/synclr.pth"), "--out", folder.path("vit"))
        #expect(again.status == 1 && again.stderr.contains("holds a model already; give a new folder"))
    }

    @Test func convertingCLIPWithoutATokenizerIsMentioned() throws {
        let model = Self.fixture("long-clip/longclip-T.pt")
        let plain = try gmail("model", "convert", "--model", model, "--out", folder.path("plain"))
        #expect(
            plain.status == 0 && plain.stderr.contains("has no tokenizer, so it reads images alone; --tokenizer names"))
        try TinyModel.write(to: folder.path("clip"))
        let whole = try gmail(
            "model", "convert", "--model", model, "--tokenizer", folder.path("clip"), "--out", folder.path("whole"))
        #expect(whole.status == 0 && whole.stderr.isEmpty, "\(whole.stderr)")
        #expect(FileManager.default.fileExists(atPath: folder.path("whole/tokenizer.json")))
    }

    @Test func whatCannotBeDoneLeavesNothing() throws {
        try TinyModel.write(to: folder.path("clip"))
        try folder.write("no checkpoint", to: "a.pt")
        let out = folder.path("out")
        for (arguments, text) in [
            (
                ["stretch", "--model", folder.path("clip")],
                "cannot be stretched: expected a model of more than 21 positions, got 16"
            ),
            (
                ["stretch", "--model", Self.fixture("synclr")],
                "expected a CLIP with a text tower, got an encoder of another kind"
            ),
            (
                ["stretch", "--model", Self.fixture("stretch"), "--context", "41"],
                "expected a context of 30, 35, 40 and so on"
            ),
            (["convert", "--model", folder.path("a.pt")], "is no file of torch.save"),
            (["convert", "--model", folder.path("nothing.pt")], "nothing.pt"),
        ] {
            let run = try Gmail.run(["model"] + arguments + ["--out", out])
            #expect(run.status == 1 && run.stderr.contains(text), "\(arguments): \(run.stderr)")
            #expect(!FileManager.default.fileExists(atPath: out), "\(arguments)")
        }
    }

    /// The recipe for long captions on a stretched CLIP: the trained positions read the run's texts, and are exported.
    @Test func alignmentOfAStretchedCLIP() throws {
        try TinyModel.write(to: folder.path("clip"), contextLength: 26)
        let stretched = try gmail(
            "model", "stretch", "--model", folder.path("clip"), "--context", "44", "--out", folder.path("start"))
        #expect(stretched.status == 0, "\(stretched.stderr)")
        let long = (0..<8).map { index in
            "a small scene number \(index) with a tree and a house beside it. The sky is blue and the sun shines on the lake and on \(index) hills"
        }
        try folder.write(
            long.enumerated().map {
                #"{"id": "p\#($0)", "caption": "\#($1)", "real": "real/\#($0).png", "generated": "generated/\#($0).png"}"#
            }.joined(separator: "\n") + "\n", to: "pairs.jsonl")
        let aligned = try gmail(
            "align", "--recipe", "long-clip", "--model", folder.path("start"), "--pairs", folder.path("pairs.jsonl"),
            "--out",
            folder.path("run"), "--cache", folder.path("cache"), "--quiet", "--set", "training.batchSize=8", "--set",
            "training.microBatchSize=4", "--set", "training.steps=3", "--set", "loss.principalComponents=2", "--set",
            "text.learningRate=0.05", "--set", "training.logEvery=1", "--set", "training.checkpointEvery=3")
        #expect(aligned.status == 0, "\(aligned.stderr)")
        let metrics = String(
            decoding: try Data(contentsOf: URL(fileURLWithPath: folder.path("run/metrics.jsonl"))), as: UTF8.self)
        for name in ["loss/align", "loss/generated_text", "loss/short_text", "learning_rate/text_positions"] {
            #expect(metrics.contains("\"\(name)\""), "\(name)")
        }
        let exported = try gmail("export", "--run", folder.path("run"), "--out", folder.path("merged"))
        #expect(exported.status == 0, "\(exported.stderr)")
        let texts = ["--texts", try folder.write(long.joined(separator: "\n") + "\n", to: "texts.txt")]
        let start = try embedded("start", ["--model", folder.path("start")] + texts)
        let merged = try embedded("merged", ["--model", folder.path("merged")] + texts)
        let run = try embedded(
            "run", ["--model", folder.path("start"), "--run", folder.path("run"), "--modality", "generated"] + texts)
        #expect(run == merged && run != start)
    }
}
