import Files
import Foundation
import Images
import StrictJSON
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Encoders

// Authors' checkpoints against their formulas and timm (Fixtures/make_checkpoint_fixtures.py), and the folders made of them.

private let tolerance = 1e-4

private func path(_ name: String) -> String { fixture("checkpoints/\(name)") }

private func expected(_ name: String) throws -> Weights { try Weights(path: "\(path(name))/expected.safetensors") }

/// A copy of one file of a fixture in a folder of its own.
private func copied(_ files: [(from: String, to: String)]) throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for (from, to) in files { try folder.write(RegularFile.bytes(path(from)), to: to) }
    return folder
}

@Suite struct LongCLIPTests {
    private func check(_ open: OpenEncoder) throws {
        let want = try expected("long-clip")
        inferenceMode {
            let images = open.image.imageFeatures(want["pixel_values"]!.tensor())
            #expect(maximumDifference(images, want["image_embeds"]!.tensor()) < tolerance)
            let texts = open.text!.textFeatures(want["input_ids"]!.tensor())
            #expect(maximumDifference(texts, want["text_embeds"]!.tensor()) < tolerance)
        }
        #expect(open.text?.contextLength == 28)
        #expect(try open.preprocessing == ImagePreprocessing.clip(side: 21))
    }

    /// One table of positions up to 20, the other from there on.
    @Test func authorsFilesAreRead() throws {
        let folder = try copied([("long-clip/longclip-T.pt", "longclip-T.pt")])
        try check(EncoderFolder.open(folder.path, dtype: .float32))
    }

    /// What `gmail model convert` writes is a CLIP folder with the same answers.
    @Test func convertedFoldersAreOrdinaryOnes() throws {
        let open = try EncoderFolder.open(checkpoint: "\(path("long-clip"))/longclip-T.pt")
        let (folder, tokenizer) = (try TemporaryFolder(), try TemporaryFolder())
        try tokenizer.write(
            #"{"tokenizer_class": "CLIPTokenizer", "model_max_length": 24}"#, to: "tokenizer_config.json")
        try tokenizer.write("{}", to: "vocab.json")
        try open.write(open.image, to: folder.path, tokenizer: tokenizer.path)
        try check(EncoderFolder.open(folder.path, dtype: .float32))
        #expect(try JSONFile(folder("config.json")).string("model_type") == "clip")
        // The texts of the longer context are not cut at the old one.
        #expect(try JSONFile(folder("tokenizer_config.json")).integer("model_max_length") == 28)
        #expect(FileSystem.exists(folder("vocab.json")))
        let model = try #require(open.image as? CLIPModel)
        #expect(model.configuration.text.endOfTextID == 82 && model.configuration.text.headCount == 2)
        #expect(model.configuration.vision.intermediateSize == 40 && model.configuration.text.layerCount == 2)
    }

    /// A table of one row less, or none of the second: then it is a CLIP.
    @Test func tablesMustFitEachOther() throws {
        var weights = try Weights(stateDict: "\(path("long-clip"))/longclip-T.pt")
        let first = weights["positional_embedding"]!.tensor()
        var plain = weights
        plain.entries["positional_embedding_res"] = nil
        try LongCLIP.joinPositions(&plain)
        #expect(maximumDifference(plain["positional_embedding"]!.tensor(), first) == 0)
        weights.entries["positional_embedding_res"] = .init(first[0..<27])
        let got = message { try LongCLIP.joinPositions(&weights) }
        #expect(got.contains("'positional_embedding_res' of the shape of 'positional_embedding'"))
        #expect(got.contains("[27, 128] and [28, 128]"))
    }

    /// The authors' interpolation, and the text embeddings that transformers has with it.
    @Test func stretching() throws {
        let (open, folder, want) = (
            try EncoderFolder.open(path("stretch")), try TemporaryFolder(), try expected("stretch")
        )
        try LongCLIP.stretch(open, context: 40, to: folder.path)
        let stretched = try EncoderFolder.open(folder.path)
        let model = try #require(stretched.image as? CLIPModel)
        #expect(model.contextLength == 40)
        inferenceMode {
            #expect(maximumDifference(model.text.embeddings.positions.weight, want["positions"]!.tensor()) < 1e-6)
            let texts = model.textFeatures(want["input_ids"]!.tensor())
            #expect(maximumDifference(texts, want["text_embeds"]!.tensor()) < tolerance)
            // What is not a position stays.
            let before = open.image.namedTensors().filter { !$0.key.contains("text_model.embeddings.position") }
            for tensor in before where tensor.kind != .derived {
                let after = model.namedTensors().first { $0.key == tensor.key }!.tensor
                #expect(maximumDifference(tensor.tensor, after) == 0, "\(tensor.key)")
            }
        }
        // Halfway between two positions, for twice as many.
        let old = Tensor.arange(0, 25).to(.float32).reshaped(25, 1)
        #expect(
            LongCLIP.stretched(old * old, factor: 2).reshaped(30).array(of: Double.self)[20...]
                == [400, 420.5, 441, 462.5, 484, 506.5, 529, 552.5, 576, 599.5])
    }

    @Test func contextsThatNoStretchGives() throws {
        let (open, folder) = (try EncoderFolder.open(path("stretch")), try TemporaryFolder())
        for context in [248, 41, 25, 20, -3] {
            #expect(
                message { try LongCLIP.stretch(open, context: context, to: folder.path) }
                    == "'\(open.folder.path)' cannot be stretched: expected a context of 30, 35, 40 and so on: 20 of its 25 "
                    + "positions stay, the others become 2, 3, 4, … each, got \(context)")
        }
        let images = try EncoderFolder.open(checkpoint: "\(path("synclr"))/synclr.pth")
        #expect(
            message { try LongCLIP.stretch(images, context: 248, to: folder.path) }.hasSuffix(
                "expected a CLIP with a text tower, got an encoder of another kind"))
    }
}

@Suite struct SynCLRTests {
    private func check(_ open: OpenEncoder, _ kernel: Bool = false) throws {
        let want = try expected("synclr"), pixels = want["pixel_values"]!.tensor()
        #expect(open.image.imageLayerCount == 2 && open.image.imageStateCount == 10 && open.text == nil)
        inferenceMode {
            let images = open.image.imageFeatures(pixels)
            #expect(maximumDifference(images, want["image_embeds"]!.tensor()) < tolerance)
            for layer in 0...2 {
                let state = want["hidden.\(layer)"]!.tensor()
                #expect(maximumDifference(open.image.imageStates(pixels, layer: layer), state) < tolerance, "\(layer)")
                #expect(maximumDifference(open.image.imageStates(pixels, layer: layer - 3), state) < tolerance)
            }
        }
    }

    @Test(arguments: ["synclr", "synclr-model"])
    func authorsFilesAreRead(name: String) throws {
        let folder = try copied([("\(name)/\(name).pth", "\(name).pth")])
        let open = try EncoderFolder.open(folder.path, dtype: .float32)
        try check(open)
        #expect(open.preprocessing.mean == [0.485, 0.456, 0.406] && open.preprocessing.filter == .bicubic)
        #expect(open.preprocessing.resize == .shortestEdge(21))
        #expect(open.notes.count == 1 && open.notes[0].contains("1 tensors beside the image encoder are not read"))
        #expect(message { _ = try open.textReader() }.contains("holds an encoder of images alone"))
    }

    /// A folder of timm's, with the same answers and the same preprocessing.
    @Test func convertedFoldersAreTimms() throws {
        let open = try EncoderFolder.open(checkpoint: "\(path("synclr"))/synclr.pth")
        let folder = try TemporaryFolder()
        try open.write(open.image, to: folder.path)
        let again = try EncoderFolder.open(folder.path, dtype: .float32)
        try check(again)
        #expect(again.preprocessing == open.preprocessing)
        let written = try Weights(path: folder("model.safetensors"))
        let given = try Weights(stateDict: "\(path("synclr"))/synclr.pth")
        let names = given.entries.keys.filter { $0.hasPrefix("visual.") && !$0.contains("head.") }
            .map { String($0.dropFirst("visual.".count)) }.filter { $0 != "mask_token" }
        #expect(written.entries.keys.sorted() == names.sorted())
        for name in names {
            #expect(
                maximumDifference(written[name]!.tensor(), given["visual.\(name)"]!.tensor()) == 0, "\(name)")
        }
        #expect(try JSONFile(folder("config.json")).string("architecture") == "vit_base_patch16_224")
    }

    @Test func bfloat16StaysClose() throws {
        let folder = try copied([("synclr/synclr.pth", "a.pth")])
        let open = try EncoderFolder.open(folder.path, dtype: .bfloat16)
        let want = try expected("synclr")
        inferenceMode {
            let got = open.image.imageFeatures(want["pixel_values"]!.tensor()).to(.float32)
            let cosine = (got.normalized() * want["image_embeds"]!.tensor().normalized()).sum(-1).min().item()
            #expect(cosine > 0.999)
        }
    }

    @Test(arguments: [
        (#""global_pool": "token""#, #""global_pool": "avg""#, #"'global_pool' is "avg": only "token" is implemented"#),
        (#""num_classes": 0,"#, #""num_classes": 10,"#, "'num_classes' is 10: only 0 is implemented"),
        (#""mlp_ratio""#, #""qk_norm""#, "'model_args.qk_norm' is 0.15625: this setting is not known here"),
        (#""crop_mode": "center""#, #""crop_mode": "squash""#, #"is "squash": only "center" is implemented"#),
        (#""interpolation": "bicubic""#, #""interpolation": "random""#, #"expected "bicubic" or "bilinear""#),
    ])
    func settingsThatAreNotFollowed(old: String, new: String, text: String) throws {
        let open = try EncoderFolder.open(checkpoint: "\(path("synclr"))/synclr.pth")
        let folder = try TemporaryFolder()
        try open.write(open.image, to: folder.path)
        let written = String(decoding: try RegularFile.bytes(folder("config.json")), as: UTF8.self)
        try folder.write(written.replacing(old, with: new, maxReplacements: 1), to: "config.json")
        #expect(message { _ = try EncoderFolder.open(folder.path) }.contains(text))
    }
}

@Suite struct CheckpointFolderTests {
    @Test func layoutsThatAreNotRead() throws {
        let folder = try copied([("stretch/model.safetensors", "model.safetensors")])
        // A file whose tensors nobody knows, an empty folder, two checkpoints.
        #expect(
            message { _ = try EncoderFolder.open(folder.path) }.contains(
                "or an authors' checkpoint (.pt, .pth) expected in it"))
        let both = try copied([
            ("long-clip/longclip-T.pt", "a.pt"), ("synclr/synclr.pth", "b.pth"),
        ])
        #expect(
            message { _ = try EncoderFolder.open(both.path) }.hasSuffix(
                "expected one checkpoint without configuration, got a.pt, b.pth"))
        let pickled = try TemporaryFolder()
        try pickled.write(RegularFile.bytes("\(fixture("doors"))/pickled/pytorch_model.bin"), to: "other.pt")
        let got = message { _ = try EncoderFolder.open(pickled.path) }
        #expect(got.contains("expected CLIP's in OpenAI's names") && got.contains("or SynCLR's (visual.patch_embed"))
        // With a configuration the file is a part of something else.
        try both.write("{}", to: "config.json")
        #expect(!message { _ = try EncoderFolder.open(both.path) }.contains("one checkpoint"))
    }

    /// Weights, and the tokenizer beside them, are the model's identity.
    @Test func fingerprints() throws {
        let folder = try copied([("synclr/synclr.pth", "a.pth")])
        let first = try EncoderFolder.fingerprint(folder.path)
        #expect(first.files.map(\.name) == ["a.pth"])
        #expect(try EncoderFolder.open(folder.path).fingerprint() == first)
    }
}
