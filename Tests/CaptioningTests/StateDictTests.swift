import Files
import Foundation
import LanguageModels
import Safetensors
import Testing
import Torch
import TorchNN

@testable import Captioning

/// Files that Python's torch.save wrote.
@Suite struct StateDictTests {
    private func path(_ name: String) -> String { fixture("state-dicts/\(name).pt") }

    @Test func everyElementTypeIsRead() throws {
        let weights = try Weights(stateDict: path("kinds"))
        for dtype in DType.allCases {
            let entry = try #require(weights["\(dtype)"], "\(dtype)")
            #expect(entry.dtype == dtype)
            #expect(
                entry.tensor().to(.float64).array(of: Double.self)
                    == (0..<6).map { Double(dtype == .bool ? $0 % 2 : $0) })
        }
        // Rows 1 and 2 of the transpose of a [3, 4].
        #expect(weights["view"]!.tensor().contiguous().array(of: Float.self) == [1, 5, 9, 2, 6, 10])
        #expect(weights["scalar"]!.tensor().item() == 2.5)
        #expect(weights["parameter"]!.tensor().array(of: Float.self) == [1, 1])
    }

    @Test func tensorsThatShareMemoryShareIt() throws {
        let weights = try Weights(stateDict: path("mlp"))
        let table = weights["gpt.transformer.wte.weight"]!.tensor()
        let head = weights["gpt.lm_head.weight"]!.tensor()
        table.withUnsafeBytes { a in head.withUnsafeBytes { b in #expect(a.baseAddress == b.baseAddress) } }
    }

    @Test(arguments: ["mlp", "transformer"])
    func sizesFollowFromShapes(name: String) throws {
        let model = try LanguageModelFolder(fixture("gpt2")).configuration
        let state = try ClipCapStateDict(path: path(name), normalizesFeatures: name == "mlp", languageModel: model)
        let configuration = state.configuration
        #expect(configuration.mapper.rawValue == name)
        #expect(configuration.prefixLength == 5)
        #expect(configuration.featureSize == 10)
        #expect(configuration.embeddingSize == 16)
        #expect(configuration.vocabularySize == 331)
        #expect(configuration.ending == .period)
        #expect(configuration.normalizesFeatures == (name == "mlp"))
        if name == "transformer" {
            #expect(configuration.clipLength == 3)
            #expect(configuration.layerCount == 2)
        }
    }

    /// The file's fine-tuned GPT-2 is the one that is used, not the folder's.
    @Test func theLanguageModelIsTheFiles() throws {
        let model = try LanguageModelFolder(fixture("gpt2")).configuration
        let state = try ClipCapStateDict(path: path("mlp"), normalizesFeatures: true, languageModel: model)
        let captioner = try state.model(languageModel: fixture("gpt2"), dtype: nil, device: .cpu)
        let trained = try Weights(path: fixture("mlp/expected.safetensors"))
        let want = trained["trained.gpt.transformer.wte.weight"]!.tensor()
        #expect(maximumDifference(captioner.languageModel.headWeight, want) == 0)
        let mapper = try ClipCapStateDict(path: path("mapper"), normalizesFeatures: true, languageModel: model)
        let plain = try mapper.model(languageModel: fixture("gpt2"), dtype: nil, device: .cpu)
        #expect(maximumDifference(plain.languageModel.headWeight, want) > 0)
    }

    @Test(arguments: [
        ("list", "the file holds a list, expected a state dict: names and tensors"),
        ("call", "the pickle calls '__builtin__ print', which no state dict needs"),
    ])
    func otherContentsAreNamed(name: String, reason: String) {
        let text = message { _ = try Weights(stateDict: path(name)) }
        #expect(text == "'\(path(name))': \(reason)")
    }

    /// A checkpoint keeps its state dict beside other things; the one under `model` is read.
    @Test func aStateDictInACheckpointIsRead() throws {
        let alone = try Weights(stateDict: path("mapper"))
        let nested = try Weights(stateDict: path("nested"))
        #expect(nested.entries.keys == alone.entries.keys)
        for key in alone.entries.keys { #expect(maximumDifference(nested[key]!.tensor(), alone[key]!.tensor()) == 0) }
    }

    @Test func otherFormatsAreNamed() throws {
        #expect(
            message { _ = try Weights(stateDict: path("legacy")) }
                == "'\(path("legacy"))' is in the format of torch.save before PyTorch 1.6, which has no zip container; "
                + "convert it once with: python -c \"import torch; torch.save(torch.load('\(path("legacy"))', "
                + "map_location='cpu'), 'converted.pt')\"")
        let folder = try TemporaryFolder()
        #expect(
            message { _ = try Weights(stateDict: folder("none.pt")) }
                == "cannot read '\(folder("none.pt"))': No such file or directory")
        try AtomicFile.write("hello, world", to: folder("text.pt"))
        #expect(
            message { _ = try Weights(stateDict: folder("text.pt")) }
                == "'\(folder("text.pt"))' is no file of torch.save: expected a zip container of PyTorch 1.6 or later")
        // Cut short: libtorch's reader says so, and the file is named.
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path("mapper")))
        try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: folder("cut.pt")))
        #expect(message { _ = try Weights(stateDict: folder("cut.pt")) }.hasPrefix("'\(folder("cut.pt"))': "))
    }

    @Test func stateDictsOfOtherModelsAreNamed() throws {
        var model = try LanguageModelFolder(fixture("gpt2")).configuration
        func reason(_ name: String, _ normalizes: Bool?) -> String {
            message { _ = try ClipCapStateDict(path: path(name), normalizesFeatures: normalizes, languageModel: model) }
        }
        #expect(
            reason("mlp", nil)
                == "'\(path("mlp"))' does not say whether image embeddings were scaled to length one in training, and a wrong "
                + "guess only lowers quality; say it with --normalize yes or --normalize no (the authors' MLP checkpoints: "
                + "no, their transformer ones: yes)")
        #expect(
            reason("foreign", true)
                == "'\(path("foreign"))' is no state dict of ClipCap: it has neither clip_project.prefix_const nor "
                + "clip_project.model.0.weight and model.2.weight")
        #expect(
            reason("kinds", true)
                == "'\(path("kinds"))' is no state dict of ClipCap: key 'bfloat16' begins with neither clip_project. nor gpt."
        )
        var wide = try GPT2Configuration(folder: fixture("gpt2"))
        wide.hiddenSize = 24
        model = wide
        #expect(
            reason("mlp", true)
                == "'\(path("mlp"))' is no state dict of ClipCap: clip_project.model has 40 and 80 rows; expected C·P/2 and "
                + "C·P for the width C = 24 of the language model. Is it the language model that the captioner was trained "
                + "with?")
    }
}

/// The authors' beam search against a plain one that computes every beam anew.
@Suite struct ClipCapBeamSearchTests {
    struct Expected: Decodable {
        struct Case: Decodable {
            struct Beam: Decodable {
                let tokens: [Int]
                let score: Double
            }
            let model: String
            let stop: Int
            let images: [[Beam]]
        }
        let features: [Float]
        let cases: [Case]
    }

    @Test func beamsAreTheAuthors() throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: fixture("state-dicts/beams.json")))
        let expected = try JSONDecoder().decode(Expected.self, from: data)
        let features = Tensor(expected.features, shape: [3, 10])
        let gpt2 = fixture("gpt2")
        for (index, wanted) in expected.cases.enumerated() {
            let state = try ClipCapStateDict(
                path: fixture("state-dicts/\(wanted.model).pt"), normalizesFeatures: false,
                languageModel: LanguageModelFolder(gpt2).configuration)
            let model = try state.model(languageModel: gpt2, dtype: nil, device: .cpu)
            let search = ClipCapBeamSearch(beamCount: 5, maximumTokens: 12, stopToken: wanted.stop)
            let together = search(model.languageModel, prefix: model.prefix(features))
            for image in 0..<3 {
                let alone = search(model.languageModel, prefix: model.prefix(features[image..<image + 1]))[0]
                for beams in [together[image], alone] {
                    #expect(beams.map(\.tokens) == wanted.images[image].map(\.tokens), "case \(index), image \(image)")
                    for (got, want) in zip(beams, wanted.images[image]) { #expect(abs(got.score - want.score) < 1e-4) }
                }
            }
        }
    }

    /// A search ends where the language model's context does.
    @Test func theContextIsTheLimit() throws {
        let gpt2 = fixture("gpt2")
        let state = try ClipCapStateDict(
            path: fixture("state-dicts/mlp.pt"), normalizesFeatures: false,
            languageModel: LanguageModelFolder(gpt2).configuration)
        let model = try state.model(languageModel: gpt2, dtype: nil, device: .cpu)
        let prefix = model.prefix(Tensor.ones([1, 10]))
        let beams = ClipCapBeamSearch(beamCount: 2, maximumTokens: 500, stopToken: 330)(
            model.languageModel, prefix: prefix)
        #expect(beams[0].allSatisfy { $0.tokens.count <= 40 - 5 + 1 })
    }
}
