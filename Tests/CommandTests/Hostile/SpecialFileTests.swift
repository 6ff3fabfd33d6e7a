import Files
import Foundation
import Testing

/// A pipe where a file is expected: no reader waits for somebody to write into it, and what was wrong is said by name.
///
/// Every file that a command reads is replaced in turn. `RegularFileTests` has the same for folders, sockets and devices.
@Suite(.serialized) struct SpecialFileTests {
    private let world: HostileWorld

    init() throws { world = try HostileWorld() }

    /// Runs the command once for every file below the folders, and for the files, each replaced by a pipe.
    /// - Parameter unread: endings of the names of files that the command has no use for.
    private func refuses(_ names: [String], unread: [String] = [], _ arguments: [String]) throws {
        for name in names {
            let isFolder = FileSystem.isFolder(world.path(name))
            let files = isFolder ? try FileSystem.files(below: world.path(name)).map { "\(name)/\($0)" } : [name]
            #expect(!files.isEmpty, "\(name)")
            for file in files where !unread.contains(where: { file.hasSuffix($0) }) {
                let aside = world.path("aside")
                try FileSystem.rename(world.path(file), to: aside)
                defer {
                    unlink(world.path(file))
                    rename(aside, world.path(file))
                }
                #expect(mkfifo(world.path(file), 0o600) == 0)
                try FileSystem.remove(world.path("never"))
                let outcome = try world.run(arguments)
                #expect(outcome.status == 1, "\(file), \(arguments): \(outcome.status) \(outcome.stderr)")
                let said = outcome.stdout + outcome.stderr
                #expect(said.contains("named pipe"), "\(file), \(arguments): \(said)")
                #expect(said.contains(FileSystem.name(of: file)), "\(file), \(arguments): \(said)")
            }
        }
    }

    private func works(_ arguments: [String]) throws {
        let outcome = try world.run(arguments)
        #expect(outcome.status == 0, "\(arguments): \(outcome.stderr)")
    }

    @Test func modelsAndTexts() throws {
        try works(world.embed("f.safetensors"))
        try refuses(["clip", "texts.txt"], world.embed("f.safetensors"))
        try refuses(
            ["images/0.png"], ["embed", "--model", "clip", "--images", "images/0.png", "--out", "g.safetensors"])
        try works(world.generate("made"))
        try refuses(["sd", "captions.jsonl"], unread: ["README.md", ".py"], world.generate("never"))
        for ending in ["json", "txt"] {
            try folderCopy("coco.json", "c.\(ending)")
            try refuses(
                ["c.\(ending)"], ["generate", "--model", "sd", "--captions", "c.\(ending)", "--out", "never"])
        }
    }

    private func folderCopy(_ from: String, _ to: String) throws {
        try FileSystem.copy(world.path(from), to: world.path(to))
    }

    @Test func runsAndTheirCaches() throws {
        try works(world.align("run"))
        try refuses(["pairs.jsonl"], world.align("never"))
        try refuses(["mine.yaml"], world.align("never", ["--recipe", "./mine.yaml"]))
        try refuses(["cache"], unread: ["space.json"], world.align("never"))
        let checkpoint = "run/checkpoints/step-000003"
        let weights = ["adapter_config.json", "adapter_model.safetensors", "projections.safetensors"].map {
            "\(checkpoint)/\($0)"
        }
        try refuses(
            weights + ["run/manifest.json"], ["export", "--run", "run", "--model", "clip", "--out", "never"])
        try refuses(weights, world.embed("g.safetensors", ["--run", "run", "--modality", "generated"]))
        try refuses(
            ["adapter_config.json", "adapter_model.safetensors"].map { "\(checkpoint)/\($0)" },
            world.embed("g.safetensors", ["--adapter", checkpoint]))
        try refuses(["run/recipe.yaml", "run/manifest.json"], world.align("run", steps: 5, ["--resume"]))
        try refuses(["pairs.jsonl"], world.gap("never.json"))
        try refuses(["pairs.jsonl"], ["data", "check", "pairs.jsonl"])
        try refuses(["images/0.png"], ["data", "check", "pairs.jsonl"])
    }

    @Test func captioners() throws {
        try works(world.captioner("run"))
        try refuses(["gpt2"], unread: ["captions.json", ".py", "goldens.json"], world.captioner("never"))
        let caption = ["caption", "--run", "run", "--max-tokens", "2", "images/0.png"]
        try works(caption)
        try refuses(
            ["run/recipe.yaml", "run/manifest.json", "run/checkpoints/step-000003/captioner.json"], caption)
        try world.folder.write("x", to: "weights.pt")
        try refuses(
            ["weights.pt"],
            [
                "caption", "--weights", "weights.pt", "--normalize", "no", "--model", "clip", "--language-model",
                "gpt2",
                "images/0.png",
            ])
        try works(world.captioning("m.json", run: "run"))
        try refuses(["coco.json"], world.captioning("m.json", run: "run"))
        try world.folder.write("", to: "predictions.jsonl.partial")
        try refuses(["predictions.jsonl.partial"], world.captioning("m.json", run: "run"))
        try refuses(["coco.json"], world.retrieval("never.json"))
    }

    @Test func scores() throws {
        try works(world.scores("m.json"))
        try refuses(["coco.json", "results.json"], world.scores("m.json"))
        let wmd = ["--metrics", "wmd", "--word-vectors"]
        for ending in ["txt", "bin", "safetensors"] {
            if ending != "txt" { try folderCopy("vectors.txt", "vectors.\(ending)") }
            try refuses(["vectors.\(ending)"], world.scores("m.json", wmd + ["vectors.\(ending)"]))
        }
        try world.folder.write("x", to: "p.whl")
        try refuses(["p.whl"], ["data", "meteor", "--from", "p.whl", "--out", "m.bin"])
        try FileSystem.createFolder(world.path("jar/data"))
        for name in ["jar/meteor-1.5.jar", "jar/data/paraphrase-en.gz"] { try world.folder.write("x", to: name) }
        try refuses(["jar"], ["data", "meteor", "--from", "jar", "--out", "m.bin"])
        try refuses(["jar"], ["data", "meteor", "--from", "jar/meteor-1.5.jar", "--out", "m.bin"])
        let tables = ["words", "prefixes", "synsets", "exceptions", "paraphrase"].map { "tables/english.\($0)" }
        try FileSystem.createFolder(world.path("tables"))
        for name in tables { try world.folder.write("1\na\n", to: name) }
        try refuses(tables, ["data", "meteor", "--from", "tables", "--out", "m.bin"])
        try FileSystem.createFolder(world.path("data"))
        try world.folder.write("x", to: "data/meteor-en.bin")
        try refuses(["data/meteor-en.bin"], world.scores("m.json", ["--metrics", "meteor"]))
        try world.folder.write("x", to: "t.tar")
        try refuses(["t.tar"], ["data", "unpack", "t.tar", "--out", "unpacked"])
    }

    @Test func reports() throws {
        try works(world.align("run"))
        try world.folder.write(
            #"{"image_id": 1, "file": "0.png", "caption": "a", "references": []}"# + "\n", to: "run/predictions.jsonl")
        try world.folder.write(#"{"image_id": 1, "Bleu_1": 1}"# + "\n", to: "run/per-image.jsonl")
        for name in [
            "recipe.yaml", "manifest.json", "metrics.jsonl", "timings.jsonl", "predictions.jsonl", "per-image.jsonl",
        ] { try refuses(["run/\(name)"], ["report", "run", "--out", "page.html"]) }
        for name in ["metrics.json", "retrieval.json", "gap.json"] {
            try world.folder.write("{}", to: "run/\(name)")
            try refuses(["run/\(name)"], ["report", "run", "--out", "page.html"])
            unlink(world.path("run/\(name)"))
        }
        // A picture is named on the page, and the page is made.
        mkfifo(world.path("run/0.png"), 0o600)
        let outcome = try world.run(["report", "run", "--out", "page.html"])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(
            outcome.stderr.contains("note: no picture of 0.png: image 'run/0.png' cannot be read: it is a named pipe"))
    }

    /// Where a result would replace something that is no file.
    @Test func targets() throws {
        mkfifo(world.path("pipe"), 0o600)
        symlink("/dev/null", world.path("null"))
        try FileSystem.createFolder(world.path("folder"))
        for (name, what) in [("pipe", "a named pipe"), ("null", "a device"), ("folder", "a folder")] {
            for arguments in [
                world.embed(name), world.retrieval(name), world.gap(name), world.scores(name),
                world.scores("m.json", ["--per-image", name]), ["report", "run", "--out", name],
            ] {
                if arguments[0] == "report", !FileSystem.exists(world.path("run")) { try works(world.align("run")) }
                let outcome = try world.run(arguments)
                #expect(outcome.status == 1)
                #expect(
                    outcome.stderr.contains("error: '\(name)' is \(what); expected a regular file"),
                    "\(arguments): \(outcome.stderr)")
            }
        }
        var status = stat()
        #expect(lstat("/dev/null", &status) == 0 && status.st_mode & S_IFMT == S_IFCHR)
        #expect(lstat(world.path("pipe"), &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        #expect(lstat(world.path("null"), &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
    }
}
