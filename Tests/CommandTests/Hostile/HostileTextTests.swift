import Files
import Foundation
import Images
import Testing

/// Names and texts made to harm: what reaches the terminal, how long a text may be, what a message repeats.
@Suite(.serialized) struct HostileTextTests {
    private let world: HostileWorld

    init() throws { world = try HostileWorld() }

    /// What a terminal would obey, in every kind of output.
    private static let controls = "\u{1B}[31m\u{9B}2J\u{7}\u{202E}"

    private func isClean(_ text: String) -> Bool {
        !text.unicodeScalars.contains { scalar in
            switch scalar.value {
            case 0x09, 0x0A: false
            case 0..<0x20, 0x7F..<0xA0, 0x202A...0x202E, 0x2066...0x2069: true
            default: false
            }
        }
    }

    @Test func noEscapeReachesTheTerminal() throws {
        let evil = "x\(Self.controls)"
        let escaped = "x\\u001b[31m\\u009b2J\\u0007\\u202e"
        try FileSystem.createFolder(world.path(evil))
        try TinyModel.writeImage(1, to: world.path("\(evil)/\(evil).png"))
        try world.folder.write("junk", to: "\(evil)/\(evil)-2.png")
        try world.folder.write(
            #"{"id": "\#(escaped)", "caption": "\#(escaped)", "real": "\#(escaped)/\#(escaped).png", "#
                + #""generated": "\#(escaped)/none.png"}"# + "\n", to: "evil.jsonl")
        try world.folder.write("\(evil): \(evil): [\n", to: "\(evil).yaml")
        try world.folder.write(#"[{"image_id": "\#(escaped)", "caption": "\#(escaped)"}]"#, to: "evil.json")
        try world.folder.write(
            #"{"images": [{"id": 1, "file_name": "\#(escaped).png"}], "annotations": [{"image_id": 1, "caption": "\#(escaped)"}]}"#,
            to: "evil-coco.json")
        try world.folder.write(#"{"id": "\#(escaped)", "caption": "\#(escaped)"}"# + "\n", to: "evil-rows.jsonl")
        for made in [world.align("run"), world.captioner("captioner"), world.align("\(evil)/run")] {
            let outcome = try world.run(made)
            #expect(outcome.status == 0, "\(outcome.stderr)")
            #expect(isClean(outcome.stdout + outcome.stderr))
        }
        try FileSystem.copy(world.path("run"), to: world.path("\(evil)-run"))
        try world.folder.write(
            #"{"image_id": "\#(escaped)", "file": "\#(escaped)", "caption": "\#(escaped)", "references": []}"# + "\n",
            to: "\(evil)-run/predictions.jsonl")
        try world.folder.write("name: \"\(escaped)\"\n", to: "\(evil)-run/recipe.yaml")
        let align = ["align", "--recipe", "gmail", "--model", "clip", "--out", "never"]
        // Commands that work, and commands that name what they refuse.
        let commands: [(Int32, [String])] = [
            (0, ["embed", "--model", "clip", "--images", evil, "--out", "\(evil).safetensors"]),
            (1, ["embed", "--model", evil, "--images", evil, "--out", "a"]),
            (1, ["embed", "--model", "clip", "--images", "\(evil)/\(evil)-2.png", "--out", "a"]),
            (1, ["embed", "--model", "clip", "--texts", "\(evil)/none", "--out", "a"]),
            (2, ["embed", "--model", "clip", "--images", evil, "--out", "a", "--\(evil)"]),
            (2, ["embed", "--model", "clip", "--images", evil, "--out", "a", "--dtype", evil]),
            (1, ["embed", "--model", "clip", "--images", "images", "--out", "\(evil)/none/a"]),
            (1, align + ["--pairs", "evil.jsonl"]),
            (1, align + ["--pairs", "pairs.jsonl", "--set", "\(evil)=1"]),
            (1, align + ["--pairs", "pairs.jsonl", "--set", "training.steps=\(evil)"]),
            (
                1,
                ["align", "--recipe", "./\(evil).yaml", "--model", "clip", "--out", "never", "--pairs", "pairs.jsonl"]
            ),
            (1, ["align", "--recipe", evil, "--model", "clip", "--out", "never", "--pairs", "pairs.jsonl"]),
            (1, ["data", "check", "evil.jsonl"]),
            (0, ["caption", "--run", "captioner", "--max-tokens", "2", "\(evil)/\(evil).png", "images/0.png"]),
            (1, ["caption", "--run", "captioner", "--max-tokens", "2", evil]),
            (1, world.scores("a", ["--candidates", "evil.json"])),
            (
                0,
                ["evaluate", "captions", "--references", "evil.json", "--candidates", "evil.json", "--metrics", "bleu"]
                    + ["--out", "\(evil)-m.json"]
            ),
            (
                1,
                ["evaluate", "retrieval", "--model", "clip", "--captions", "evil-coco.json", "--images", "images"]
                    + ["--out", "a"]
            ),
            (
                0,
                ["generate", "--model", "sd", "--captions", "evil-rows.jsonl", "--steps", "2", "--out", "\(evil)-made"]
            ),
            (0, ["report", "\(evil)-run", "run", "--out", "\(evil).html"]),
            (1, ["report", evil, "--out", "a"]),
            (0, ["export", "--run", "\(evil)/run", "--out", "\(evil)-export"]),
        ]
        for (status, arguments) in commands {
            let outcome = try world.run(arguments)
            #expect(outcome.status == status, "\(arguments): \(outcome.stderr)")
            #expect(isClean(outcome.stdout), "\(arguments): \(outcome.stdout.debugDescription)")
            #expect(isClean(outcome.stderr), "\(arguments): \(outcome.stderr.debugDescription)")
        }
        // JSON says the same in escapes, and reads back.
        let json = try world.run([
            "caption", "--run", "captioner", "--max-tokens", "2", "\(evil)/\(evil).png", "--json",
        ])
        #expect(isClean(json.stdout), "\(json.stdout.debugDescription)")
        let object = try JSONSerialization.jsonObject(with: Data(json.stdout.utf8)) as? [String: Any]
        #expect(object?["path"] as? String == "\(evil)/\(evil).png")
    }

    // MARK: YAML

    /// Aliases of aliases: a kilobyte that stands for thirty milliards of values.
    private static let bomb: String = {
        var text = "a: &a [x,x,x,x,x,x,x,x,x]\n"
        for (before, name) in zip("abcdefghi", "bcdefghij") {
            text += "\(name): &\(name) [" + Array(repeating: "*\(before)", count: 9).joined(separator: ",") + "]\n"
        }
        return text
    }()

    @Test func yamlIsBounded() throws {
        let unfolds = "it unfolds to more than 100000 values; write it without aliases"
        try world.folder.write(Self.bomb, to: "bomb.yaml")
        try world.folder.write("extends: \"./bomb.yaml\"\n", to: "extends.yaml")
        try world.folder.write("a: " + String(repeating: "[", count: 200_000), to: "deep.yaml")
        try world.folder.write("# " + String(repeating: "x", count: 2 << 20) + "\nname: \"a\"\n", to: "long.yaml")
        let secret = "hunter2"
        try world.folder.write("password: \(secret)\nother: {\n\(secret): \(secret)\n", to: "secret.yaml")
        for (name, text) in [
            ("bomb", "error: recipe './bomb.yaml' is not valid YAML: \(unfolds)"),
            ("extends", "error: recipe './bomb.yaml' is not valid YAML: \(unfolds)"),
            ("deep", "error: recipe './deep.yaml' is not valid YAML: line 1, column 5"),
            ("long", "bytes; files above 1048576 are not read"),
            ("secret", "error: recipe './secret.yaml' is not valid YAML: line "),
        ] {
            for arguments in [
                world.align("never", ["--recipe", "./\(name).yaml"]),
                world.captioner("never", ["--recipe", "./\(name).yaml"]),
                world.miniature("never", ["--recipe", "./\(name).yaml"]),
            ] {
                let outcome = try world.run(arguments)
                #expect(outcome.status == 1)
                #expect(outcome.stderr.contains(text), "\(outcome.stderr)")
                #expect(!outcome.stderr.contains(secret) && outcome.stderr.utf8.count < 300, "\(outcome.stderr)")
            }
            // A report reads the recipes of its runs; so does everything that takes a run.
            try FileSystem.createFolder(world.path("run-\(name)"))
            try FileSystem.copy(world.path("\(name).yaml"), to: world.path("run-\(name)/recipe.yaml"))
            if name == "extends" { continue }
            let report = try world.run(["report", "run-\(name)", "--out", "page.html"])
            #expect(report.status == 1, "\(name)")
            #expect(!report.stderr.contains(secret) && report.stderr.utf8.count < 300, "\(report.stderr)")
            if name == "bomb" {
                #expect(
                    report.stderr == "error: 'run-bomb/recipe.yaml' is not a recipe: \(unfolds)\n", "\(report.stderr)")
            }
        }
        // A setting is YAML too.
        let value = "{" + Self.bomb.split(separator: "\n").joined(separator: ", ") + "}"
        let set = try world.run(world.align("never", ["--set", "training.steps=\(value)"]))
        #expect(set.status == 1)
        #expect(set.stderr.contains("error: --set training.steps={a: &a [x,x,x"), "\(set.stderr)")
        #expect(set.stderr.utf8.count < 300, "\(set.stderr)")
    }

    // MARK: Lengths and names

    /// Four megabytes in place of a caption: refused by name before any work.
    @Test func aFileInPlaceOfACaptionIsNamed() throws {
        let long = String(repeating: "word ", count: 800_000)
        let limit = "a text of at most 1048576 bytes, got 4000000 bytes"
        try world.folder.write("a\n\(long)\n", to: "long.txt")
        try world.folder.write(
            #"{"id": "a", "caption": "\#(long)", "real": "images/0.png", "generated": "images/1.png"}"# + "\n",
            to: "long-pairs.jsonl")
        try world.folder.write(#"{"id": "a", "caption": "\#(long)"}"# + "\n", to: "long.jsonl")
        try world.folder.write(
            #"{"images": [{"id": 1, "file_name": "0.png"}], "annotations": [{"image_id": 1, "caption": "\#(long)"}]}"#,
            to: "long.json")
        let pairs = "'long-pairs.jsonl' line 1: key 'caption' should be \(limit)"
        for (text, arguments) in [
            ("--texts: 'long.txt' line 2: expected \(limit)", world.embed("a", ["--texts", "long.txt"])),
            (pairs, world.align("never", ["--pairs", "long-pairs.jsonl"])),
            (pairs, world.captioner("never", ["--pairs", "long-pairs.jsonl"])),
            (pairs, world.gap("never.json", ["--pairs", "long-pairs.jsonl"])),
            (
                "'long.jsonl', line 1: caption: expected \(limit)",
                world.generate("never", ["--captions", "long.jsonl"])
            ),
            ("'long.txt' line 2: expected \(limit)", world.generate("never", ["--captions", "long.txt"])),
            (limit, world.generate("never", ["--captions", "long.json"])),
            (limit, world.retrieval("never.json", ["--captions", "long.json"])),
            (limit, world.scores("never.json", ["--references", "long.json"])),
        ] {
            let outcome = try world.run(arguments)
            #expect(outcome.status == 1, "\(text)")
            #expect(outcome.stderr.contains("error: "), "\(arguments): \(outcome.stderr)")
            #expect(outcome.stderr.contains(text), "\(arguments): \(outcome.stderr)")
            #expect(outcome.stderr.contains("'long"), "\(arguments): \(outcome.stderr)")
        }
        let check = try world.run(["data", "check", "long-pairs.jsonl"])
        #expect(check.status == 1)
        #expect(check.stdout.contains(pairs), "\(check.stdout)\(check.stderr)")
    }

    @Test func aNULInANameIsNamedAsThat() throws {
        let pair = #"{"id": "a", "caption": "a", "real": "a\u0000.png", "generated": "images/1.png"}"# + "\n"
        try world.folder.write(pair, to: "nul.jsonl")
        let text = "'nul.jsonl' line 1: 'a\\u{0}.png' has a NUL character in it, which no file's name can have"
        let align = try world.run(world.align("never", ["--pairs", "nul.jsonl"]))
        #expect(align.status == 1 && align.stderr.contains(text), "\(align.stderr)")
        let check = try world.run(["data", "check", "nul.jsonl"])
        #expect(check.status == 1 && check.stdout.contains(text), "\(check.stdout)")
        try world.folder.write(
            #"{"images": [{"id": 1, "file_name": "a\u0000.png"}], "annotations": [{"image_id": 1, "caption": "a"}]}"#,
            to: "nul.json")
        let retrieval = try world.run(world.retrieval("never.json", ["--captions", "nul.json"]))
        #expect(retrieval.status == 1)
        #expect(
            retrieval.stderr.contains(
                "expected a file's name, got a text with a NUL character"),
            "\(retrieval.stderr)")
    }

    // MARK: Pictures

    /// A page is passed on; a run from elsewhere must not put other files of its reader's machine into it.
    @Test func reportsShowPicturesOfTheRunsAlone() throws {
        let trained = try world.run(world.align("run"))
        #expect(trained.status == 0, "\(trained.stderr)")
        let outside = world.path("images/0.png")
        try FileSystem.copy(outside, to: world.path("run/inside.png"))
        symlink(outside, world.path("run/link.png"))
        func lines(_ names: [String]) -> String {
            names.enumerated().map {
                #"{"image_id": \#($0), "path": "\#($1)", "caption": "c", "references": []}"# + "\n"
            }.joined()
        }
        func pictures(_ names: [String], _ more: [String] = []) throws -> (count: Int, notes: String) {
            try world.folder.write(lines(names), to: "run/predictions.jsonl")
            let outcome = try world.run(["report", "run", "--out", "page.html"] + more)
            #expect(outcome.status == 0, "\(outcome.stderr)")
            let page = String(decoding: try RegularFile.bytes(world.path("page.html")), as: UTF8.self)
            return (page.components(separatedBy: "data:image/jpeg;base64,").count - 1, outcome.stderr)
        }
        #expect(try pictures(["inside.png"]).count == 1)
        for name in [outside, "../images/0.png", "images/0.png", "run/../images/0.png", "link.png"] {
            let (count, notes) = try pictures([name])
            #expect(count == 0, "\(name)")
            #expect(
                notes.contains("lies outside the run's folder; name the folder of the images with --images"),
                "\(name): \(notes)")
        }
        // The user names the folder.
        #expect(try pictures(["images/0.png", "inside.png"], ["--images", "images"]).count == 2)
        #expect(try pictures(["\(world.path("pairs.jsonl"))"], ["--images", "images"]).count == 0)
    }

    /// A progressive JPEG above the limit is refused from its header.
    @Test func tooManyPixelsAreRefusedBeforeDecoding() throws {
        let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("ImagesTests/Fixtures/files/progressive_420.jpg").path
        var bytes = try RegularFile.bytes(fixture)
        let frame = try #require(zip(bytes.indices, bytes.dropFirst()).first { bytes[$0.0] == 0xFF && $0.1 == 0xC2 }?.0)
        // Height and width of the frame header: 20,000 each.
        for at in [frame + 5, frame + 7] { (bytes[at], bytes[at + 1]) = (0x4E, 0x20) }
        try AtomicFile.write(bytes, to: world.path("large.jpg"))
        let start = ContinuousClock.now
        let outcome = try world.run(["embed", "--model", "clip", "--images", "large.jpg", "--out", "a"])
        #expect(outcome.status == 1)
        #expect(outcome.stderr.contains("20000 x 20000"), "\(outcome.stderr)")
        #expect(outcome.stderr.contains("--max-pixels"), "\(outcome.stderr)")
        #expect(ContinuousClock.now - start < .seconds(20))
    }

    /// The rule is a share of the images, as training has it.
    @Test func mostImagesUnreadableIsAnError() throws {
        for number in 0..<13 { try world.folder.write("junk", to: "images/z\(number).png") }
        let many = try world.run(world.embed("a.safetensors"))
        #expect(many.status == 1)
        #expect(
            many.stderr.contains(
                "error: 13 of 25 images could not be read, more than the share of 0.5 that is allowed"),
            "\(many.stderr)")
        #expect(!FileSystem.exists(world.path("a.safetensors")))
        unlink(world.path("images/z0.png"))
        #expect(try world.run(world.embed("a.safetensors")).status == 0)
        #expect(try world.run(world.embed("b.safetensors", ["--maximum-skipped-share", "0"])).status == 1)
    }

    // MARK: Folders that cannot be written

    /// Below a file, where not even root can make anything: path and cause, in every command that writes.
    @Test func errorsOfTheSystemAreInOurWords() throws {
        for made in [world.align("run"), world.captioner("captioner")] { #expect(try world.run(made).status == 0) }
        let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Models/miniature").path
        let out = "texts.txt/out"
        for arguments in [
            world.align(out), world.captioner(out), world.miniature(out), world.generate(out), world.embed(out),
            world.retrieval(out), world.gap(out), world.scores(out), world.captioning(out, run: "captioner"),
            ["miniature", "render", "--split", "test", "--count", "2", "--out", out],
            ["demo", "--quick", "--models", models, "--out", out], ["export", "--run", "run", "--out", out],
            ["report", "run", "--out", out], ["data", "unpack", "none.tar", "--out", out],
            ["data", "meteor", "--from", "none", "--out", out],
        ] {
            let outcome = try world.run(arguments)
            #expect(outcome.status == 1, "\(arguments)")
            for raw in ["NSCocoa", "NSError", "NSPOSIX", "Code=", "The operation could not", "Error Domain"] {
                #expect(!outcome.stderr.contains(raw), "\(arguments): \(outcome.stderr)")
            }
            guard arguments[0] != "data" else { continue }
            #expect(outcome.stderr.contains("texts.txt"), "\(arguments): \(outcome.stderr)")
            #expect(outcome.stderr.contains("Not a directory"), "\(arguments): \(outcome.stderr)")
        }
    }
}
