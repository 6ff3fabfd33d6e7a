import Alignment
import CaptionMetrics
import Encoders
import Files
import Foundation
import LanguageModels
import Safetensors
import Testing
import Torch
import TorchNN
import Training

@testable import Captioning

/// Whole runs on a random CLIP and a small random GPT-2.
@Suite struct EndToEndTests {
    /// A recipe that trains a small model quickly.
    private func recipe(_ source: CaptionSource = .real, steps: Int, _ overrides: [String] = []) throws
        -> CaptionerRecipe
    {
        try CaptionerRecipe(
            "real",
            overrides: [
                "data.source=\(source.rawValue)", "training.steps=\(steps)", "training.batchSize=8",
                "mapper.prefixLength=4",
                "training.learningRate=3e-3", "training.warmupSteps=2", "training.precision=float32",
                "training.logEvery=1", "training.validationEvery=0", "mapper.clipLength=3", "mapper.layers=2",
            ] + overrides)
    }

    /// The purpose in miniature: a captioner memorises 32 pairs, and the program that reads the run repeats them.
    @Test func capturesThirtyTwoPairs() throws {
        let world = try World(pairs: 32, width: 64)
        let start = threadSeconds()
        try world.train(
            recipe(steps: 400, ["training.batchSize=32", "languageModel.dropout=false", "training.warmupSteps=20"]),
            to: "run")
        let captioner = try world.captioner("run")
        let texts = try world.said(by: captioner, captioner.decoding)
        let tokenized = try TokenizedCaptions(
            imageIDs: texts.indices.map { .number($0) }, rawReferences: world.captions.map { [$0] },
            rawCandidates: texts,
            dataHashes: [:])
        let cider = CIDEr(.d).evaluate(tokenized)[0].corpus
        let taken = threadSeconds() - start
        print("32 pairs: CIDEr-D \(cider), \(taken) s")
        #expect(cider >= 9, "\(zip(world.captions, texts).filter { $0 != $1 }.prefix(5))")
        #expect(taken < 60)
        // By now every decoding method gives the same caption.
        for method in [CaptionDecoding.Method.greedy, .beam, .clipcapBeam] {
            var decoding = captioner.decoding
            decoding.method = method
            let again = try world.said(by: captioner, decoding)
            #expect(zip(again, world.captions).filter { $0 == $1 }.count >= 29, "\(method)")
        }
        var sampled = captioner.decoding
        sampled.method = .sample
        sampled.temperature = 1.5
        let first = try world.said(by: captioner, sampled)
        #expect(try world.said(by: captioner, sampled) == first)
        sampled.seed = 1
        #expect(try world.said(by: captioner, sampled) != first)
        // A run that is opened again gives the same captions.
        #expect(try world.said(by: world.captioner("run"), captioner.decoding) == texts)
    }

    @Test(arguments: ["mlp", "transformer"])
    func aResumedRunHasTheBitsOfAnUninterruptedOne(mapper: String) throws {
        let world = try World(pairs: 20)
        let recipe = try recipe(
            .mixed, steps: 7,
            [
                "mapper.kind=\(mapper)", "languageModel.frozen=\(mapper == "transformer")",
                "training.validationEvery=3",
                "training.microBatchSize=4",
            ])
        #expect(try world.train(recipe, to: "whole", validation: world.pairs) == .finished(step: 7))
        let stopped = try world.train(recipe, to: "parts", validation: world.pairs, stopAfter: 3)
        #expect(stopped == .interrupted(step: 3, signal: SIGINT))
        #expect(
            try world.train(recipe, to: "parts", validation: world.pairs, stopAfter: 2)
                == .interrupted(step: 5, signal: SIGINT))
        #expect(try world.train(recipe, to: "parts", validation: world.pairs) == .finished(step: 7))
        #expect(try world.bytes("whole/metrics.jsonl") == world.bytes("parts/metrics.jsonl"))
        var names = ["mapper.safetensors", "optimizer.safetensors", "captioner.json"]
        if mapper == "mlp" { names.append("language_model.safetensors") }
        for name in names {
            let file = "checkpoints/step-000007/\(name)"
            #expect(try world.bytes("whole/\(file)") == world.bytes("parts/\(file)"), "\(name)")
        }
        let written = FileManager.default.fileExists(
            atPath: world.folder("whole/checkpoints/step-000007/language_model.safetensors"))
        #expect(written == (mapper == "mlp"))
        let metrics = String(decoding: try world.bytes("whole/metrics.jsonl"), as: UTF8.self)
        #expect(metrics.contains("validation/loss\"") && metrics.contains("validation/loss_generated"))
    }

    /// Dropout draws from the run's own generator: when on, it changes the run; when off, or with a frozen model, it
    /// does not.
    @Test func dropoutIsTheLanguageModels() throws {
        let world = try World(pairs: 12)
        func losses(_ name: String, _ overrides: [String]) throws -> [UInt8] {
            try world.train(recipe(steps: 3, overrides), to: name)
            return try world.bytes("\(name)/metrics.jsonl")
        }
        let on = try losses("on", ["languageModel.dropout=true"])
        let off = try losses("off", ["languageModel.dropout=false"])
        #expect(on != off)
        #expect(try losses("again", ["languageModel.dropout=true"]) == on)
        let frozen = try losses("frozen", ["languageModel.frozen=true"])
        #expect(try losses("frozen-off", ["languageModel.frozen=true", "languageModel.dropout=false"]) == frozen)
    }

    /// Captions of one image share a feature: the towers see an image once, and in a second run they see none.
    @Test func imagesAreReadOnce() throws {
        let world = try World(pairs: 6)
        // Five captions for each of the six images.
        var lines: [String] = []
        for index in 0..<30 {
            lines.append(
                #"{"id": "q\#(index)", "caption": "A thing number \#(index).", "real": "real/\#(index % 6).png", "generated": "generated/0.png"}"#
            )
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: world.pairs)
        let recipe = try recipe(steps: 8)
        try world.train(recipe, to: "run")
        func cached() throws -> Int {
            let cache = world.folder("cache")
            return try FileManager.default.subpathsOfDirectory(atPath: cache).filter { $0.hasSuffix(".safetensors") }
                .reduce(0) { try $0 + SafetensorsFile(path: "\(cache)/\($1)").tensor(named: "features").shape[0] }
        }
        #expect(try cached() == 6)
        try world.train(recipe, to: "second")
        #expect(try cached() == 6)
        #expect(try world.bytes("run/metrics.jsonl") == world.bytes("second/metrics.jsonl"))
    }

    @Test func theManifestSaysWhatWasTrainedWithWhat() throws {
        let world = try World(pairs: 10)
        try world.train(recipe(steps: 2), to: "run")
        let run = try CaptionerRun(world.folder("run"))
        #expect(run.checkpoint.step == 2)
        #expect(run.source(CaptionerRun.Role.model)?.path == world.model)
        #expect(
            run.source(CaptionerRun.Role.languageModel)?.sha256
                == (try LanguageModelFolder(world.languageModel).fingerprint().sha256))
        #expect(run.source(CaptionerRun.Role.alignment) == nil)
        #expect(run.manifest.parameterGroups.map(\.name) == ["mapper", "language_model"])
        let architecture = try #require(run.architecture as? ClipCapConfiguration)
        #expect(architecture.featureSize == 10 && architecture.embeddingSize == 16)
        #expect(architecture.normalizesFeatures)
        #expect(try CaptionerFile.read(run.checkpoint.folder).isEqual(to: run.architecture))
    }

    // MARK: What does not fit

    @Test func partsThatDoNotBelongTogetherAreNamed() throws {
        let world = try World(pairs: 10)
        try world.train(recipe(steps: 1), to: "run")
        let run = world.folder("run")

        let other = world.folder("other-clip")
        try FileManager.default.copyItem(atPath: world.model, toPath: other)
        try flipLastByte(of: "\(other)/model.safetensors")
        let clipText = message { _ = try world.captioner("run", .init(model: other)) }
        #expect(clipText.hasPrefix("the captioner '\(run)' was trained with the model '\(world.model)' ("))
        #expect(clipText.contains("; the one given is '\(other)' ("))
        #expect(clipText.hasSuffix("). Give the one it was trained with"))

        let gpt2 = world.folder("other-gpt2")
        try FileManager.default.copyItem(atPath: world.languageModel, toPath: gpt2)
        let configuration = try String(contentsOfFile: "\(gpt2)/config.json", encoding: .utf8)
        try AtomicFile.write(
            configuration.replacingOccurrences(of: "\"vocab_size\": 331", with: "\"vocab_size\": 332"),
            to: "\(gpt2)/config.json")
        #expect(
            message { _ = try world.captioner("run", .init(languageModel: gpt2)) }
                == "the language model in '\(gpt2)' has a vocabulary of 332 tokens, run '\(run)' has one of 331; give the "
                + "language model that the captioner was trained with")
        try AtomicFile.write(
            configuration.replacingOccurrences(of: "\"n_embd\": 16", with: "\"n_embd\": 32"), to: "\(gpt2)/config.json")
        #expect(
            message { _ = try world.captioner("run", .init(languageModel: gpt2)) }
                == "the language model in '\(gpt2)' is 32 wide, run '\(run)' was made for a width of 16; give the language "
                + "model that the captioner was trained with")
        // The same sizes, but other words.
        try AtomicFile.write(configuration, to: "\(gpt2)/config.json")
        let tokenizer = try String(contentsOfFile: "\(gpt2)/tokenizer.json", encoding: .utf8)
        try AtomicFile.write(tokenizer + "\n", to: "\(gpt2)/tokenizer.json")
        #expect(
            message { _ = try world.captioner("run", .init(languageModel: gpt2)) }.hasPrefix(
                "the captioner '\(run)' was trained with the tokenizer '\(world.languageModel)' ("))
    }

    /// A frozen language model is not stored in the run, so the folder must hold the same one.
    @Test func aFrozenLanguageModelIsCheckedByItsWeights() throws {
        let world = try World(pairs: 10)
        try world.train(recipe(steps: 1, ["languageModel.frozen=true"]), to: "run")
        let gpt2 = world.folder("other-gpt2")
        try FileManager.default.copyItem(atPath: world.languageModel, toPath: gpt2)
        _ = try world.captioner("run", .init(languageModel: gpt2))
        try flipLastByte(of: "\(gpt2)/model.safetensors")
        #expect(
            message { _ = try world.captioner("run", .init(languageModel: gpt2)) }.hasPrefix(
                "the captioner '\(world.folder("run"))' was trained with the language model '\(world.languageModel)' (")
        )
    }

    @Test func settingsThatCannotWorkAreNamed() throws {
        let world = try World(pairs: 10)
        func reason(_ overrides: [String], _ source: CaptionSource = .real) throws -> String {
            let recipe = try recipe(source, steps: 1, overrides)
            return message { _ = try CaptionerTrainer(recipe, world.inputs()) }
        }
        #expect(
            try reason(["mapper.prefixLength=40"])
                == "mapper.prefixLength is 40, but the language model in '\(world.languageModel)' has a context of 40 positions "
                + "and a caption needs some of them; choose a prefix below 40")
        #expect(
            try reason(["mapper.kind=transformer", "mapper.heads=3"])
                == "setting 'mapper.heads' is 3, expected a divisor of the language model's width 16")
        #expect(
            try reason(["training.batchSize=11"])
                == "setting 'training.batchSize' is 11, expected at most 10, the samples that \(world.pairs) gives")
        #expect(
            try reason([], .gmail)
                == "data.source gmail reads generated images with f_g: give the alignment run that trained it with --run"
        )
        try AtomicFile.write(
            (0..<10).map { #"{"id": "q\#($0)", "caption": "c", "generated": "generated/0.png"}"# }.joined(
                separator: "\n"),
            to: world.pairs)
        #expect(try reason([], .generated) == "no error")
        #expect(try reason([]) == "'\(world.pairs)' line 1: key 'real' is missing")
    }

    @Test func unreadableImagesAreCountedAndNamed() throws {
        let world = try World(pairs: 20)
        try AtomicFile.write("no image", to: world.folder("real/3.png"))
        #expect(
            message { try world.train(recipe(steps: 6), to: "strict") }.hasPrefix(
                "1 of 20 samples cannot be read, more than the allowed share of 0.01 (maximumSkippedShare); the first: 'p3' ("
            ))
        try world.train(recipe(steps: 6, ["data.maximumSkippedShare=0.1"]), to: "lenient")
        let run = try RunFolder.open(world.folder("lenient"))
        let state = try run.checkpoints.state(of: #require(try run.checkpoints.latest()))
        #expect(state.skipped.map(\.id) == ["p3"])
    }

    @Test func foldersThatHoldNoRunAreNamed() throws {
        let folder = try TemporaryFolder()
        #expect(
            message { _ = try CaptionerRun(folder("none")) }
                == "'\(folder("none"))' holds no run of gmail train captioner: it has no recipe.yaml")
        _ = try RunFolder.create(folder("align"), recipe: AlignmentRecipe("gmail"))
        #expect(
            message { _ = try CaptionerRun(folder("align")) }
                == "'\(folder("align"))' holds no run of gmail train captioner: its recipe is of another kind, with the key "
                + "'data.images'")
        _ = try RunFolder.create(folder("begun"), recipe: CaptionerRecipe("real"))
        #expect(
            message { _ = try CaptionerRun(folder("begun")) }
                == "run '\(folder("begun"))' has no complete checkpoint yet; train it further with gmail train captioner --resume"
        )
    }

    @Test func aDescriptionIsReadStrictly() throws {
        let folder = try TemporaryFolder()
        var configuration = ClipCapConfiguration()
        configuration.mapper = .transformer
        try CaptionerFile.write(configuration, to: folder.path)
        #expect(try CaptionerFile.read(folder.path).isEqual(to: configuration))
        let file = folder(CaptionerFile.name)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        func reason(_ change: (String) -> String) throws -> String {
            try AtomicFile.write(change(text), to: file)
            return message { _ = try CaptionerFile.read(folder.path) }
        }
        #expect(
            try reason { $0.replacingOccurrences(of: "\"normalize_prefix\"", with: "\"normalise\"") }
                == "'\(file)': 'normalize_prefix' is missing")
        #expect(
            try reason { $0.replacingOccurrences(of: "{", with: "{\"normalise\": true,") }.hasPrefix(
                "'\(file)': unknown key 'normalise'; known are clip_length, "))
        #expect(
            try reason { $0.replacingOccurrences(of: "\"clipcap\"", with: "\"clip\"") }
                .hasPrefix("'\(file)': is of a captioner of kind 'clip'; known are "))
        // Files from the time of a single kind do not name it.
        #expect(try reason { $0.replacingOccurrences(of: "\"captioner\" : \"clipcap\",", with: "") } == "no error")
        #expect(
            try reason { $0.replacingOccurrences(of: "\"num_heads\" : 8", with: "\"num_heads\" : \"8\"") }
                == "'\(file)': 'num_heads' should be Int")
        #expect(
            try reason { $0.replacingOccurrences(of: "\"format_version\" : 1", with: "\"format_version\" : 9") }
                == "'\(file)': format version 9, this program reads 1")
        #expect(try reason { _ in "{" }.hasPrefix("'\(file)': is no JSON object: "))
    }

    private func flipLastByte(of path: String) throws {
        var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: URL(fileURLWithPath: path))
    }
}
