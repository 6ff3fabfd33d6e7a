import Files
import ModelFolders
import TestSupport
import Testing

@Suite struct WeightFilesTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func weights(_ names: [String], variant: String? = nil) throws -> String {
        for name in names {
            let shard = name.replacingOccurrences(of: ".index", with: "")
            try folder.write(
                name.hasSuffix(".json") ? #"{"weight_map": {"a": "\#(shard)-1", "b": "s-2"}}"# : "w", to: name)
        }
        let files = try ModelFolder(folder.path).weights(
            stems: ["model", "open_clip_model"], pickleStems: ["pytorch_model"], variant: variant)
        return FileSystem.name(of: files.path)
    }

    /// transformers' order: safetensors before pickles, one file before shards.
    @Test(arguments: [
        (["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"], "model.safetensors"),
        (["model.safetensors.index.json", "pytorch_model.bin"], "model.safetensors.index.json"),
        (["open_clip_model.safetensors", "pytorch_model.bin"], "open_clip_model.safetensors"),
        (["pytorch_model.bin", "pytorch_model.bin.index.json"], "pytorch_model.bin"),
        (["pytorch_model.bin.index.json"], "pytorch_model.bin.index.json"),
        (["model.fp16.safetensors"], "model.fp16.safetensors"),
        (["model.safetensors.index.fp16.json"], "model.safetensors.index.fp16.json"),
        (["model.fp16.safetensors.index.json"], "model.fp16.safetensors.index.json"),
        (["model.fp16.safetensors", "model.non_ema.safetensors"], "model.fp16.safetensors"),
        (["model.safetensors", "model.non_ema.safetensors", "model.fp16.safetensors"], "model.safetensors"),
    ]) func order(_ names: [String], _ expected: String) throws {
        #expect(try weights(names) == expected)
    }

    @Test func variants() throws {
        #expect(
            try weights(["model.safetensors", "model.non_ema.safetensors"], variant: "non_ema")
                == "model.non_ema.safetensors")
        let several = ModelFolderError.severalVariants(path: folder.path, variants: ["bf16", "fp16"])
        try FileSystem.remove(folder("model.safetensors"))
        #expect(throws: several) { try weights(["model.fp16.safetensors", "model.bf16.safetensors"]) }
        #expect(
            message { _ = try weights([], variant: "fp8") }.contains(
                "model.fp8.safetensors or open_clip_model.fp8.safetensors or pytorch_model.fp8.bin, or an index of its shards "
                    + "(variants there: bf16, fp16, non_ema)"))
    }

    @Test func shardsAreNamed() throws {
        try folder.write(#"{"weight_map": {"a": "y", "b": "x", "c": "y"}}"#, to: "model.safetensors.index.json")
        #expect(try ModelFolder(folder.path).weights().names == ["model.safetensors.index.json", "x", "y"])
        for (index, reason) in [
            (#"{"weight_map": {}}"#, "it has no 'weight_map'"),
            (#"{"weight_map": {"a": "../x"}}"#, "'weight_map' puts 'a' into '../x', which is no file of this folder"),
        ] {
            let path = try folder.write(index, to: "model.safetensors.index.json")
            #expect(throws: ModelFolderError.badIndex(file: path, reason: reason)) {
                try ModelFolder(folder.path).weights()
            }
        }
    }

    @Test func messages() throws {
        #expect(
            message { _ = try ModelFolder(folder("none")) }
                == "'\(folder("none"))' is no model folder: there is nothing; give the folder that holds the weights and "
                + "their configuration")
        #expect(
            message { _ = try ModelFolder(folder.path).weights() }
                == "'\(folder.path)' is no model folder: model.safetensors or pytorch_model.bin, or an index of its shards "
                + "expected in it; give the folder that holds the weights and their configuration")
    }
}

@Suite struct ModelFingerprintTests {
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try folder.write(#"{"weight_map": {"a": "s1", "b": "s2"}}"#, to: "model.safetensors.index.json")
        for name in ["s1", "s2", "config.json", "tokenizer.json", "added_tokens.json", "preprocessor_config.json"] {
            try folder.write("{\"\(name)\": 1}", to: name)
        }
    }

    private func fingerprint(_ path: String? = nil) throws -> ModelFingerprint {
        let model = try ModelFolder(path ?? folder.path)
        return try ModelFingerprint(
            model, weights: [model.weights()],
            names: ModelFingerprint.configurationFiles + ModelFingerprint.tokenizerFiles
                + ModelFingerprint.preprocessingFiles, hashes: FileHashes(memory: nil))
    }

    /// Every file that is read changes the identity, the second shard like the first.
    @Test func everyFileCounts() throws {
        let before = try fingerprint()
        #expect(
            before.files.map(\.name) == [
                "added_tokens.json", "config.json", "model.safetensors.index.json", "preprocessor_config.json", "s1",
                "s2",
                "tokenizer.json",
            ])
        var seen: Set<String> = [before.sha256]
        for name in before.files.map(\.name) where name != "model.safetensors.index.json" {
            try folder.write("{\"changed\": true}", to: name)
            #expect(seen.insert(try fingerprint().sha256).inserted, "\(name)")
        }
        try folder.write("{}", to: "special_tokens_map.json")
        #expect(seen.insert(try fingerprint().sha256).inserted)
    }

    /// Neither the place of the folder nor other files in it do.
    @Test func nothingElseCounts() throws {
        let before = try fingerprint()
        try folder.write("notes", to: "README.md")
        #expect(try fingerprint() == before)
        let copy = try TemporaryFolder()
        for name in try folder.contents { try copy.write(RegularFile.bytes(folder(name)), to: name) }
        #expect(try fingerprint(copy.path) == before)
    }

    @Test func aMissingShardIsAnError() throws {
        try FileSystem.remove(folder("s2"))
        #expect(throws: FileError.cannotOpen(path: folder("s2"), reason: "No such file or directory")) {
            try fingerprint()
        }
    }
}
