import Files
import Foundation
import ModelFolders
import StrictJSON
import TestSupport
import Testing
import Tokenizers
import Torch
import TorchNN

@testable import LanguageModels

/// Output layers that are stored in every way, weights in every format, and folders as a whole.
@Suite struct FolderTests {
    private let tensors: Weights

    init() throws {
        try TorchRuntime.load()
        tensors = try Weights(path: fixture("heads/tensors.safetensors"))
    }

    /// A folder with the tiny model's configuration.
    private func folder(tied: String? = nil, _ files: [String: String] = [:]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        var text = try String(contentsOfFile: fixture("heads/config.json"), encoding: .utf8)
        if let tied { text = "{\"tie_word_embeddings\": \(tied)," + text.dropFirst() }
        try folder.write(text, to: "config.json")
        for (source, name) in files { try folder.write(RegularFile.bytes(fixture("heads/\(source)")), to: name) }
        return folder
    }

    private func logits(_ model: some CausalLanguageModel) throws -> Tensor {
        try inferenceMode { model(try tensors.tensor("ids")) }
    }

    private func error(_ folder: TemporaryFolder) -> String {
        message { _ = try GPT2LanguageModel(folder: folder.path) }.replacingOccurrences(of: folder.path, with: "F")
    }

    private func isTied(_ variant: String) -> Bool {
        !["other", "other absent", "untied", "bare other"].contains(variant)
    }

    @Test(arguments: [
        ("copy", nil), ("other", "true"), ("other absent", nil), ("untied", "false"), ("head alone", "true"),
        ("none", "true"),
        ("bare other", nil), ("bare head alone", nil),
    ])
    func outputLayersEqualTransformers(variant: String, tied: String?) throws {
        let embedding = "transformer.wte.weight"
        var entries = tensors.entries.filter { $0.key.hasPrefix("transformer.") }
        switch variant {
        case "copy": entries["lm_head.weight"] = entries[embedding]
        case "none": break
        default: entries["lm_head.weight"] = tensors["head"]
        }
        if variant.hasSuffix("alone") { entries[embedding] = nil }
        let named = entries.map { key, entry in
            (
                key: variant.hasPrefix("bare") ? key.replacingOccurrences(of: "transformer.", with: "") : key,
                tensor: entry.tensor()
            )
        }
        let folder = try folder(tied: tied)
        try Weights.save(named, to: folder("model.safetensors"))

        let model = try GPT2LanguageModel(folder: folder.path)
        #expect((model.head == nil) == isTied(variant))
        let expected = try tensors.tensor("logits.\(variant)")
        #expect(maximumDifference(try logits(model), expected) < 1e-4)

        // Written again, it is the same model, and says itself whether its head is tied.
        let copy = try TemporaryFolder()
        try model.saveFolder(copy.path)
        #expect(try GPT2Configuration(folder: copy.path).tiesHead == isTied(variant))
        #expect(try GPT2LanguageModel(folder: copy.path).head.map { _ in true } == model.head.map { _ in true })
        #expect(maximumDifference(try logits(GPT2LanguageModel(folder: copy.path)), try logits(model)) == 0)

        // A checkpoint of it, into a model that does not know of the head.
        let other = GPT2LanguageModel(try GPT2Configuration(folder: folder.path))
        try other.loadCheckpoint(Weights(path: copy("model.safetensors")))
        #expect(maximumDifference(try logits(other), try logits(model)) == 0)
    }

    @Test(arguments: ["pytorch_model.bin", "save_model.safetensors"])
    func otherFiles(name: String) throws {
        for target in name.hasSuffix("bin") ? [name] : ["model.safetensors", "model.fp16.safetensors"] {
            let folder = try folder([name: target])
            let model = try GPT2LanguageModel(folder: folder.path)
            #expect(model.head == nil)
            #expect(maximumDifference(try logits(model), try tensors.tensor("logits.none")) < 1e-4)
        }
    }

    @Test func headsThatDoNotFit() throws {
        let folder = try folder()
        let model = GPT2LanguageModel(try GPT2Configuration(folder: folder.path))
        var weights = Weights(source: "FILE", entries: tensors.entries.filter { $0.key.hasPrefix("transformer.") })
        try model.loadCheckpoint(weights)
        weights.entries["lm_head.weight"] = Weights.Entry(.zeros([22, 10]))
        let text = message { try model.loadCheckpoint(weights) }
        #expect(text.contains("lm_head.weight: model expects [23, 10], file has [22, 10]"), "\(text)")
        #expect(model.head == nil)
        #expect(maximumDifference(try logits(model), try tensors.tensor("logits.none")) < 1e-4)
        // Without a tie there is nothing to take an embedding from.
        var untied = model.configuration
        untied.tiesHead = false
        weights.entries["lm_head.weight"] = tensors["head"]
        weights.entries["transformer.wte.weight"] = nil
        #expect(
            message { try GPT2LanguageModel(untied).loadCheckpoint(weights) }.contains(
                "    transformer.wte.weight [23, 10]"))
        // Not a number equals nothing, itself neither.
        weights.entries["transformer.wte.weight"] = Weights.Entry(.full([23, 10], .nan))
        weights.entries["lm_head.weight"] = weights["transformer.wte.weight"]
        try model.loadCheckpoint(weights)
        #expect(model.head != nil)
    }

    // MARK: Configuration

    @Test(arguments: [
        ("num_key_value_heads", "2"), ("rope_theta", "10000.0"), ("quantization_config", "{\"bits\": 4}"),
        ("layer_norm_eps", "1e-6"), ("use_bias", "false"),
    ])
    func unknownSettingsAreRefused(key: String, value: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("{\"model_type\": \"gpt2\", \"\(key)\": \(value)}", to: "config.json")
        let text = message { _ = try LanguageModelFolder(folder.path) }.replacingOccurrences(of: folder.path, with: "F")
        #expect(text.hasPrefix("F/config.json: '\(key)' is "))
        #expect(
            text.hasSuffix(
                "this setting is not known here, and it may change what the model computes; take it out only if it does not"
            ))
    }

    @Test func settingsThatChangeNothing() throws {
        let folder = try TemporaryFolder()
        try folder.write(
            """
            {"model_type": "gpt2", "n_ctx": 77, "reorder_and_upcast_attn": true, "task_specific_params": {"a": 1},
             "top_k": 5, "rope_theta": null, "add_cross_attention": false, "torch_dtype": "float16", "n_embd": 24,
             "hidden_size": 36, "num_attention_heads": 4, "n_head": 6, "n_positions": 8, "max_position_embeddings": 9}
            """, to: "config.json")
        let configuration = try GPT2Configuration(folder: folder.path)
        // Of two names for one size transformers takes the general one, and n_ctx is no name of any.
        #expect(configuration.hiddenSize == 36 && configuration.headCount == 4 && configuration.contextLength == 9)
        #expect(configuration.layerCount == 12)
    }

    // MARK: Folders

    /// A small model with a tokenizer of single bytes, `<|endoftext|>` and `extra` rows more.
    private func whole(extra: Int = 0) throws -> TemporaryFolder {
        var configuration = GPT2Configuration()
        configuration.vocabularySize = 257 + extra
        configuration.contextLength = 12
        configuration.hiddenSize = 8
        configuration.layerCount = 1
        configuration.headCount = 2
        configuration.beginID = 256
        configuration.endIDs = [256]
        let model = GPT2LanguageModel(configuration)
        model.initialize(generator: Generator(seed: 3))
        let folder = try TemporaryFolder()
        try model.saveFolder(folder.path)
        var vocabulary: [UInt8] = [UInt8(ascii: "{")]
        for (id, byte) in ByteAlphabet.vocabularyOrder.enumerated() {
            StrictJSON.append(string: String(decoding: ByteAlphabet.token(byte), as: UTF8.self), to: &vocabulary)
            vocabulary += ":\(id),".utf8
        }
        try folder.write(vocabulary + Array("\"<|endoftext|>\":256}".utf8), to: "vocab.json")
        try folder.write("#version: 0.2\n", to: "merges.txt")
        return folder
    }

    @Test func aFolderIsDescribedBeforeItsWeightsAreRead() throws {
        let folder = try whole()
        try FileSystem.remove(folder("model.safetensors"))
        let description = try LanguageModelFolder(folder.path)
        #expect(description.family == "GPT-2" && description.path == folder.path)
        #expect(description.contextLength == 12 && description.embeddingSize == 8 && description.vocabularySize == 257)
        #expect(try description.tokenizer().endID == 256)
        #expect(
            message { _ = try description.model() }.hasPrefix(
                "'\(folder.path)' is no model folder: model.safetensors or pytorch_model.bin, or an index of its shards expected in it"
            ))
    }

    /// transformers: `null` is no token, a missing key is the class's default.
    @Test(
        arguments: [
            (#""bos_token_id": null, "eos_token_id": null,"#, nil, []),
            (#""bos_token_id": 3, "eos_token_id": [5, 4],"#, 3, [5, 4]),
            ("", 50256, [50256]),
        ] as [(String, Int?, [Int])])
    func tokensThatAreNull(keys: String, begin: Int?, end: [Int]) throws {
        let folder = try TemporaryFolder()
        try folder.write("{\(keys) \"model_type\": \"gpt2\", \"n_embd\": 8, \"n_head\": 2}", to: "config.json")
        let read = try GPT2Configuration(JSONFile(folder("config.json")))
        #expect(read.beginID == begin && read.endIDs == end)
        try folder.write(read.huggingFaceJSON, to: "config.json")
        #expect(try GPT2Configuration(JSONFile(folder("config.json"))) == read)
    }

    /// Rows of the table that no token has decode to nothing.
    @Test func paddedTablesAreSampledAndDecoded() throws {
        let folder = try whole(extra: 700)
        let opened = try LanguageModelFolder.open(folder.path, hashes: FileHashes(memory: nil))
        #expect(opened.model.vocabularySize == 957 && opened.tokenizer.vocabularySize == 257)
        let settings = GenerationSettings(
            .sampling(.init(temperature: 5)), maximumNewTokens: 10, stopStrings: ["never said"])
        let sequences = try opened.model.generate(
            [Prompt(tokens: [256])], settings, draws: UniformDraws(Generator(seed: 1)),
            tokenBytes: opened.tokenizer.bytes(of:))
        let tokens = sequences[0][0].tokens
        #expect(tokens.contains { $0 >= 257 } && tokens.contains { $0 < 257 })
        #expect(opened.tokenizer.decode(tokens) == opened.tokenizer.decode(tokens.filter { $0 < 257 }))
    }

    @Test func theIdentityIsThatOfEveryFileThatDecides() throws {
        let folder = try whole()
        func hash() throws -> String {
            try LanguageModelFolder(folder.path).fingerprint(FileHashes(memory: nil)).sha256
        }
        let first = try hash()
        let opened = try LanguageModelFolder.open(folder.path, hashes: FileHashes(memory: nil))
        #expect(opened.fingerprint.sha256 == first)
        #expect(
            opened.fingerprint.files.map(\.name) == ["config.json", "merges.txt", "model.safetensors", "vocab.json"])
        try folder.write("{\"temperature\": 0.1}", to: "generation_config.json")
        #expect(try hash() == first)
        let tokenizer = try LanguageModelFolder(folder.path).tokenizerFingerprint(FileHashes(memory: nil)).sha256
        for name in ["config.json", "added_tokens.json", "special_tokens_map.json", "merges.txt"] {
            let before = try hash()
            let text = FileSystem.exists(folder(name)) ? try RegularFile.bytes(folder(name)) : Array("{}".utf8)
            try folder.write(text + [0x0A], to: name)
            #expect(try hash() != before, "\(name)")
        }
        #expect(try LanguageModelFolder(folder.path).tokenizerFingerprint(FileHashes(memory: nil)).sha256 != tokenizer)
    }

    @Test func foldersThatAreRefused() throws {
        let folder = try whole()
        try folder.write("{\"<x>\": 257}", to: "added_tokens.json")
        #expect(
            message { _ = try LanguageModelFolder.open(folder.path) }
                == "the tokenizer has 258 tokens, the language model embeds 257; use the tokenizer files that belong to the model"
        )
        try folder.write("{\"model_type\": \"mamba\"}", to: "config.json")
        let text = message { _ = try LanguageModelFolder(folder.path) }
        #expect(
            text.hasPrefix(
                "'\(folder.path)' holds a model of type 'mamba', which is no language model that is read here; known are GPT-2"
            ))
        try FileSystem.remove(folder("config.json"))
        #expect(
            message { _ = try LanguageModelFolder(folder.path) }.contains(
                "is no model folder: config.json expected in it"))
        #expect(
            message { _ = try GPT2LanguageModel(folder: folder.path) }.contains(
                "is no model folder: config.json expected in it"))
        #expect(try error(self.folder()).contains("model.safetensors or pytorch_model.bin"))
    }

    // MARK: A family of a program's own

    /// The smallest language model there is: the next token's scores are its embedding's products with all others.
    private final class Bigrams: Module, CausalLanguageModel {
        @Child("table") var table: Embedding
        let vocabularySize = 257
        let contextLength = 6
        let embeddingSize = 4
        var device: Device { table.weight.device }
        var dtype: DType { table.weight.dtype }
        var dropoutGenerator: Generator?
        var headWeight: Tensor { table.weight }

        override init() {
            super.init()
            table = Embedding(257, 4)
        }

        func loadCheckpoint(_ weights: Weights, dtype: DType?, device: Device, memory: WeightMemory) throws {
            try load(weights, dtype: dtype, device: device, memory: memory)
        }
        func prepareForBatches() throws -> LinearKernel.Choice? { nil }
        func embed(_ tokens: Tensor) -> Tensor { table(tokens) }
        func hiddenStates(
            embeddings: Tensor, attentionMask: Tensor?, positions: Tensor?, cache: KeyValueCache?
        ) -> Tensor { embeddings }
        func logits(_ states: Tensor) -> Tensor { states.matmul(table.weight.transposed()) }
        func makeCache() -> KeyValueCache { KeyValueCache(layerCount: 1, headCount: 1, headSize: 1) }
    }

    private struct BigramConfiguration: LanguageModelConfiguration {
        let contextLength = 6
        let embeddingSize = 4
        let vocabularySize = 257
        func makeModel() -> any CausalLanguageModel { Bigrams() }
    }

    @Test func aFamilyOfAProgramsOwn() throws {
        LanguageModelFolder.families.add(
            LanguageModelFamily(
                name: "bigrams", recognises: { try $0.json("config.json")?.string("model_type") == "bigrams" },
                configuration: { _ in BigramConfiguration() }))
        let folder = try whole()
        try folder.write("{\"model_type\": \"bigrams\"}", to: "config.json")
        let table = Tensor.randn([257, 4], generator: Generator(seed: 2))
        try Weights.save([("table.weight", table)], to: folder("model.safetensors"))
        let opened = try LanguageModelFolder.open(folder.path, hashes: FileHashes(memory: nil))
        #expect(opened.folder.family == "bigrams")
        let next = try opened.model.generate([Prompt(tokens: [5])], GenerationSettings(maximumNewTokens: 1))[0][0]
            .tokens
        let expected = table[5].unsqueezed(0).matmul(table.transposed()).argmax(1).array(of: Int64.self)[0]
        #expect(next == [Int(expected)])
    }
}
