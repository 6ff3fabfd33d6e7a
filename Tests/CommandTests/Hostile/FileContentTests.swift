import Files
import Foundation
import Safetensors
import Testing

/// Files with another content than their name promises, and names that look alike.
@Suite(.serialized) struct FileContentTests {
    private let world: HostileWorld

    init() throws { world = try HostileWorld() }

    private func works(_ arguments: [String]) throws {
        let outcome = try world.run(arguments)
        #expect(outcome.status == 0, "\(arguments): \(outcome.stderr)")
    }

    /// Runs `body` while every file in turn has another content.
    private func replacing(
        _ names: [String], unread: [String] = [], by content: ([UInt8]) -> [UInt8], _ body: (String) throws -> Void
    ) throws {
        for name in names {
            let isFolder = FileSystem.isFolder(world.path(name))
            let files = isFolder ? try FileSystem.files(below: world.path(name)).map { "\(name)/\($0)" } : [name]
            for file in files where !unread.contains(where: { file.hasSuffix($0) }) {
                let before = try RegularFile.bytes(world.path(file))
                try AtomicFile.write(content(before), to: world.path(file))
                try FileSystem.remove(world.path("never"))
                try body(file)
                try AtomicFile.write(before, to: world.path(file))
            }
        }
    }

    // MARK: What a download leaves

    @Test(arguments: [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "a git-lfs pointer", "git lfs pull"),
        ("\n<!DOCTYPE html>\n<html></html>\n", "a web page", "download the file again"),
    ])
    func filesThatStandForOthersAreNamed(content: String, what: String, advice: String) throws {
        for made in [world.align("run"), world.captioner("captioner")] { try works(made) }
        for (from, to) in [
            ("texts.txt", "rows.txt"), ("vectors.txt", "v.bin"), ("coco.json", "t.tar"), ("coco.json", "m.whl"),
        ] {
            try FileSystem.copy(world.path(from), to: world.path(to))
        }
        try world.folder.write("x", to: "w.pt")
        let adapter = "run/checkpoints/step-000003"
        let readers: [(files: [String], unread: [String], arguments: [String])] = [
            (["clip", "texts.txt"], [], world.embed("f.safetensors")),
            (["images/0.png"], [], ["embed", "--model", "clip", "--images", "images/0.png", "--out", "g.safetensors"]),
            (["sd", "captions.jsonl"], ["README.md", ".py"], world.generate("never")),
            (["rows.txt"], [], world.generate("never", ["--captions", "rows.txt"])),
            (["coco.json"], [], world.generate("never", ["--captions", "coco.json"])),
            (["gpt2"], ["captions.json", ".py", "goldens.json"], world.captioner("never")),
            (["pairs.jsonl"], [], world.align("never")),
            (["mine.yaml"], [], world.align("never", ["--recipe", "./mine.yaml"])),
            (["coco.json"], [], world.retrieval("never.json")),
            (["coco.json", "results.json"], [], world.scores("never.json")),
            (["vectors.txt"], [], world.scores("never.json", ["--metrics", "wmd", "--word-vectors", "vectors.txt"])),
            (["v.bin"], [], world.scores("never.json", ["--metrics", "wmd", "--word-vectors", "v.bin"])),
            (["t.tar"], [], ["data", "unpack", "t.tar", "--out", "never"]),
            (["m.whl"], [], ["data", "meteor", "--from", "m.whl", "--out", "never"]),
            (
                ["w.pt"], [],
                [
                    "caption", "--weights", "w.pt", "--normalize", "no", "--model", "clip", "--language-model", "gpt2",
                    "images/0.png",
                ]
            ),
            (
                ["adapter_config.json", "adapter_model.safetensors"].map { "\(adapter)/\($0)" }, [],
                world.embed("g.safetensors", ["--adapter", adapter])
            ),
            (["run/recipe.yaml", "run/metrics.jsonl", "run/manifest.json"], [], ["report", "run", "--out", "never"]),
        ]
        for (files, unread, arguments) in readers {
            try replacing(files, unread: unread, by: { _ in Array(content.utf8) }) { file in
                let outcome = try world.run(arguments)
                #expect(outcome.status == 1, "\(file), \(arguments)")
                for part in [what, advice, FileSystem.name(of: file)] {
                    #expect(outcome.stderr.contains(part), "\(file), \(arguments): \(outcome.stderr)")
                }
            }
        }
    }

    // MARK: Byte-order marks

    /// Every text that a user may have edited, with the mark that some editors put before it: the same results.
    @Test func aByteOrderMarkChangesNothing() throws {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        func features(_ name: String) throws -> [[Float]] {
            try ["image_embeds", "text_embeds"].flatMap { try TinyModel.read(world.path(name), $0) }
        }
        func bytes(_ name: String) throws -> [UInt8] { try RegularFile.bytes(world.path(name)) }
        func numbers(_ name: String) throws -> [Double] {
            let root = try JSONSerialization.jsonObject(with: Data(bytes(name))) as? [String: Any]
            return (root?["metrics"] as? [[String: Any]] ?? []).compactMap { $0["value"] as? Double }
        }
        try works(world.embed("f.safetensors"))
        let expected = try features("f.safetensors")
        try replacing(["clip", "texts.txt"], unread: [".safetensors"], by: { mark + $0 }) { file in
            try works(world.embed("g.safetensors"))
            #expect(try features("g.safetensors") == expected, "\(file)")
        }
        try works(world.generate("made"))
        let pictures = try FileSystem.files(below: world.path("made")).filter {
            $0.hasSuffix(".png") || $0.hasSuffix(".jpg")
        }
        #expect(pictures.count == 3)
        try replacing(["sd", "captions.jsonl"], unread: [".safetensors", "README.md", ".py"], by: { mark + $0 }) {
            file in
            try works(world.generate("again"))
            for picture in pictures {
                #expect(try bytes("again/\(picture)") == bytes("made/\(picture)"), "\(file)")
            }
            try FileSystem.remove(world.path("again"))
        }
        try works(world.captioner("whole"))
        try replacing(
            ["gpt2", "pairs.jsonl"], unread: [".safetensors", "captions.json", ".py", "goldens.json"], by: { mark + $0 }
        ) { file in
            try works(world.captioner("again"))
            #expect(try bytes("again/metrics.jsonl") == bytes("whole/metrics.jsonl"), "\(file)")
            try FileSystem.remove(world.path("again"))
        }
        try works(world.align("aligned", ["--recipe", "./mine.yaml"]))
        try replacing(["mine.yaml", "pairs.jsonl"], by: { mark + $0 }) { file in
            try works(world.align("again", ["--recipe", "./mine.yaml"]))
            #expect(try bytes("again/metrics.jsonl") == bytes("aligned/metrics.jsonl"), "\(file)")
            try FileSystem.remove(world.path("again"))
        }
        let wmd = ["--metrics", "bleu,wmd", "--word-vectors", "vectors.txt"]
        try works(world.scores("m.json", wmd))
        let scores = try numbers("m.json")
        #expect(scores.count > 4)
        try replacing(["coco.json", "results.json", "vectors.txt"], by: { mark + $0 }) { file in
            try works(world.scores("n.json", wmd))
            #expect(try numbers("n.json") == scores, "\(file)")
        }
        try replacing(["coco.json"], by: { mark + $0 }) { _ in try works(world.retrieval("r.json")) }
        for name in ["recipe.yaml", "metrics.jsonl", "manifest.json"] {
            try replacing(["whole/\(name)"], by: { mark + $0 }) { _ in
                try works(["report", "whole", "--out", "p.html"])
            }
        }
    }

    // MARK: Lines

    /// A line ends at LF or CRLF: other characters that end lines elsewhere move no row.
    @Test func linesOfTextsAreRows() throws {
        let lines = ["a\u{2028}b", "a\u{85}b", "a\u{0C}b", "a\u{2029}b", "a\rb"]
        try world.folder.write(lines.joined(separator: "\n") + "\r\nc\n", to: "texts.txt")
        try works(world.embed("f.safetensors"))
        let data = try Data(contentsOf: URL(fileURLWithPath: world.path("f.json")))
        let sidecar = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
        #expect(sidecar["texts"] as? [String] == lines + ["c"])
        #expect(try TinyModel.read(world.path("f.safetensors"), "text_embeds").count == 6)
        try works(world.generate("made", ["--captions", "texts.txt"]))
        let made = try FileSystem.files(below: world.path("made")).filter {
            $0.hasSuffix(".png") || $0.hasSuffix(".jpg")
        }
        #expect(made.count == 6)
    }

    // MARK: Names and links

    /// `é` composed and decomposed: one name to Swift's strings, two files to everybody else.
    @Test func namesThatLookAlikeAreTwoFiles() throws {
        let names = ["images/\u{E9}.png", "images/e\u{301}.png"]
        let plain = ["images/one.png", "images/two.png"]
        for (number, (name, other)) in zip(names, plain).enumerated() {
            try TinyModel.writeImage(40 + 7 * number, to: world.path(other))
            try FileSystem.copy(world.path(other), to: world.path(name))
        }
        for (manifest, names) in [("alike", names), ("plain", plain)] {
            let lines = names.enumerated().map { number, name in
                #"{"id": "p\#(number)", "caption": "a b", "real": "\#(name)", "generated": "images/\#(number).png"}"#
                    + "\n"
            }
            try world.folder.write(lines.joined(), to: "\(manifest).jsonl")
        }
        // embed and the lister: two rows, each its own picture's.
        try works(["embed", "--model", "clip", "--images"] + names + ["--out", "f.safetensors", "--dtype", "float32"])
        let rows = try TinyModel.read(world.path("f.safetensors"), "image_embeds")
        #expect(rows.count == 2 && cosine(rows[0], rows[1]) < 0.9999)
        let all = try world.run(["embed", "--model", "clip", "--images", "images", "--out", "g.safetensors"])
        #expect(all.status == 0 && all.stdout.contains("16 images"), "\(all.stdout)")
        // data check
        let check = try world.run(["data", "check", "alike.jsonl", "--json"])
        let found = try #require(JSONSerialization.jsonObject(with: Data(check.stdout.utf8)) as? [String: Any])
        #expect(check.status == 0 && found["realImages"] as? Int == 2, "\(check.stdout)")
        // evaluate gap: the same numbers as under names that do not look alike.
        func gap(_ pairs: String) throws -> String {
            try works(["evaluate", "gap", "--model", "clip", "--pairs", pairs, "--map", "none", "--out", "gap.json"])
            let data = try Data(contentsOf: URL(fileURLWithPath: world.path("gap.json")))
            let root = try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
            let before = try #require(root["before"])
            return String(
                decoding: try JSONSerialization.data(withJSONObject: before, options: .sortedKeys), as: UTF8.self)
        }
        #expect(try gap("alike.jsonl") == gap("plain.jsonl"))
        // align: the same losses.
        for (pairs, cache) in [("alike", "c1"), ("plain", "c2")] {
            try works(world.align("run-\(pairs)", ["--pairs", "\(pairs).jsonl", "--cache", cache]))
        }
        #expect(try world.lines("run-alike/metrics.jsonl") == world.lines("run-plain/metrics.jsonl"))
        // Ids of captions, and a report's pictures.
        let ids = ["\u{E9}", "e\u{301}"].map { #"{"image_id": "\#($0)", "caption": "a b"}"# }.joined(separator: ", ")
        try world.folder.write("[\(ids)]", to: "ids.json")
        let scored = try world.run([
            "evaluate", "captions", "--references", "ids.json", "--candidates", "ids.json", "--metrics", "bleu",
            "--out",
            "m.json",
        ])
        #expect(scored.status == 0 && scored.stdout.contains("2 images"), "\(scored.stdout)\(scored.stderr)")
        try world.folder.write(
            names.map {
                #"{"image_id": "\#($0)", "path": "../\#($0)", "caption": "c", "references": []}"# + "\n"
            }.joined(), to: "run-plain/predictions.jsonl")
        try works(["report", "run-plain", "--images", "images", "--out", "page.html"])
        let page = String(decoding: try RegularFile.bytes(world.path("page.html")), as: UTF8.self)
        #expect(page.components(separatedBy: "data:image/jpeg;base64,").count == 3)
    }

    /// A name that is no UTF-8 is told, wherever a folder is listed.
    @Test func namesThatAreNoText() throws {
        let broken = Array(world.path("images/").utf8) + [0xFF] + Array(".png".utf8) + [0]
        let bytes = try RegularFile.bytes(world.path("images/0.png"))
        let descriptor = broken.withUnsafeBytes {
            open($0.baseAddress!.assumingMemoryBound(to: CChar.self), O_CREAT | O_WRONLY, 0o600)
        }
        try #require(descriptor >= 0)
        #expect(Output.write(bytes, to: descriptor))
        close(descriptor)
        let outcome = try world.run(world.embed("f.safetensors"))
        #expect(outcome.status == 0)
        #expect(
            outcome.stderr.contains("skipped 'images/\\xFF.png': its name is not UTF-8; rename it"), "\(outcome.stderr)"
        )
        #expect(outcome.stdout.contains("1 files skipped"), "\(outcome.stdout)")
    }

    @Test func linksToFoldersAreFollowedOnce() throws {
        symlink("images", world.path("link"))
        try FileSystem.createFolder(world.path("tree"))
        symlink("../images", world.path("tree/a"))
        symlink("../tree", world.path("tree/loop"))
        symlink("nowhere", world.path("tree/gone.png"))
        for (argument, count) in [("link", 12), ("link/", 12), ("tree", 12)] {
            let outcome = try world.run(["embed", "--model", "clip", "--images", argument, "--out", "f.safetensors"])
            #expect(outcome.status == 0 && outcome.stdout.contains("\(count) images"), "\(argument): \(outcome.stdout)")
        }
    }

    // MARK: Runs that moved, exports

    @Test func aRunThatMovedSaysWhatToGive() throws {
        for made in [world.align("run"), world.captioner("captioner")] { try works(made) }
        try works(["export", "--run", "run", "--out", "merged"])
        try works(["export", "--run", "run", "--adapter", "--out", "alone"])
        // From another folder the relative paths of a run lead nowhere.
        try FileSystem.createFolder(world.path("elsewhere"))
        try FileSystem.rename(world.path("run"), to: world.path("elsewhere/run"))
        try FileSystem.rename(world.path("captioner"), to: world.path("elsewhere/captioner"))
        func elsewhere(_ arguments: [String]) throws -> Gmail.Outcome {
            try Gmail.run(
                arguments, environment: world.environment, in: URL(fileURLWithPath: world.path("elsewhere")))
        }
        for arguments in [
            ["export", "--run", "run", "--out", "merged"], ["caption", "--run", "captioner", "../images/0.png"],
        ] {
            let outcome = try elsewhere(arguments)
            #expect(outcome.status == 1, "\(arguments)")
            #expect(outcome.stderr.contains("--model"), "\(arguments): \(outcome.stderr)")
            #expect(!outcome.stderr.contains("--resume"), "\(arguments): \(outcome.stderr)")
        }
        let given = try elsewhere(["export", "--run", "run", "--model", "../clip", "--out", "merged"])
        #expect(given.status == 0, "\(given.stderr)")
        let caption = try elsewhere([
            "caption", "--run", "captioner", "--model", "../clip", "--language-model", "../gpt2", "--max-tokens", "2",
            "../images/0.png",
        ])
        #expect(caption.status == 0, "\(caption.stderr)")
        // An export is no run: the message says how it is used.
        for export in ["merged", "alone"] {
            for arguments in [
                world.embed("g.safetensors", ["--run", export, "--modality", "generated"]),
                world.gap("g.json", ["--run", export]), ["export", "--run", export, "--out", "again"],
            ] {
                let outcome = try world.run(arguments)
                #expect(outcome.status == 1, "\(arguments)")
                #expect(
                    outcome.stderr.contains(export == "merged" ? "--model" : "--adapter"),
                    "\(arguments): \(outcome.stderr)")
                #expect(!outcome.stderr.contains("--resume"), "\(arguments): \(outcome.stderr)")
            }
        }
    }

    // MARK: Numbers that are none

    /// A NaN in any file of weights, in every command that reads it.
    @Test func aNaNInTheWeightsIsSaid() throws {
        for made in [world.align("run"), world.captioner("captioner")] { try works(made) }
        let adapter = "run/checkpoints/step-000003"
        let trained = try FileSystem.files(below: world.path("captioner/checkpoints/step-000003"))
            .filter { $0.hasSuffix(".safetensors") && !$0.hasPrefix("optimizer") }
            .map { "captioner/checkpoints/step-000003/\($0)" }
        let caption = ["caption", "--run", "captioner", "--max-tokens", "2", "images/0.png"]
        try works(caption)
        let readers: [(files: [String], arguments: [[String]])] = [
            (
                ["clip/model.safetensors"],
                [
                    world.embed("f.safetensors"), world.retrieval("f"), world.gap("f.json"), world.align("never"),
                    world.captioner("never"),
                ]
            ),
            (
                ["\(adapter)/adapter_model.safetensors", "\(adapter)/projections.safetensors"],
                [
                    world.embed("f.safetensors", ["--run", "run", "--modality", "generated"]),
                    world.gap("f.json", ["--run", "run"]),
                ]
            ),
            (["\(adapter)/adapter_model.safetensors"], [world.embed("f.safetensors", ["--adapter", adapter])]),
            (["gpt2/model.safetensors"], [world.captioner("never")]),
            (trained, [caption]),
            (
                try FileSystem.files(below: world.path("sd")).filter { $0.hasSuffix(".safetensors") }.map {
                    "sd/\($0)"
                },
                [world.generate("never")]
            ),
        ]
        #expect(readers.allSatisfy { !$0.files.isEmpty } && readers[5].files.count >= 3)
        for (files, commands) in readers {
            for arguments in commands {
                try replacing(files, by: poisoned) { file in
                    let outcome = try world.run(arguments)
                    #expect(outcome.status == 1, "\(file), \(arguments)")
                    #expect(
                        outcome.stderr.contains("NaN") || outcome.stderr.contains("not finite")
                            || outcome.stderr.contains("has changed since it was written"),
                        "\(file), \(arguments): \(outcome.stderr)")
                }
                try FileSystem.remove(world.path("never"))
            }
        }
    }

    /// Every number of a safetensors file a NaN: all bits set is one in every floating-point type.
    private func poisoned(_ bytes: [UInt8]) -> [UInt8] {
        let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
        return bytes.prefix(8 + length) + [UInt8](repeating: 0xFF, count: bytes.count - 8 - length)
    }
}
