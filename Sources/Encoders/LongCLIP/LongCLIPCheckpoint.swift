import Files
import Images
import ModelFolders
import Tokenizers
import Torch
import TorchNN

// Long-CLIP (Zhang et al. 2024, arXiv 2403.15378): CLIP with 248 text positions. Reference: beichenzbc/Long-CLIP,
// `model/model_longclip.py`.

/// What Long-CLIP changes in CLIP.
public enum LongCLIP {
    /// Positions that are CLIP's own: most captions are shorter, so these are well trained.
    public static let keptPositions = 20

    /// The two tables of positions as the one that they stand for: `positional_embedding` up to position 20, and
    /// `positional_embedding_res`, which was trained, from there on.
    static func joinPositions(_ weights: inout Weights) throws {
        let (kept, trained) = ("positional_embedding", "positional_embedding_res")
        guard let rest = weights.entries.removeValue(forKey: trained), let first = weights[kept] else { return }
        guard rest.shape == first.shape, first.shape.count == 2, first.shape[0] > keptPositions else {
            throw ModelFolderError.unknownLayout(
                file: weights.source,
                expected: "'\(trained)' of the shape of '\(kept)' with more than \(keptPositions) rows, got "
                    + "\(rest.shape) and \(first.shape)")
        }
        weights.entries[kept] = .init(shape: first.shape, dtype: first.dtype) {
            .cat([first.tensor()[0..<keptPositions], rest.tensor()[keptPositions..<first.shape[0]].to(first.dtype)])
        }
    }
}

extension CheckpointLayout {
    /// CLIP as OpenAI's code names its tensors, and Long-CLIP, whose authors publish it so (`longclip-B.pt`,
    /// `longclip-L.pt`).
    static let openAI = CheckpointLayout(
        name: "CLIP's in OpenAI's names (visual.conv1.weight, transformer.resblocks.…), with positional_embedding_res "
            + "where it is a Long-CLIP's",
        recognises: { $0["visual.conv1.weight"] != nil && $0["positional_embedding"] != nil },
        open: { folder, files, weights, loading in
            try TorchRuntime.load()
            var weights = weights
            let configuration = try CLIPConfiguration(openAIWeights: weights)
            try LongCLIP.joinPositions(&weights)
            try CLIPCheckpoint.convert(&weights)
            let model = CLIPModel(configuration)
            try model.load(weights, dtype: loading.dtype, device: loading.device, memory: loading.memory)
            model.setRequiresGrad(false)
            let preprocessing = try ImagePreprocessing.clip(side: configuration.vision.imageSize)
            return try OpenEncoder(
                folder: folder, image: model, text: model, preprocessing: preprocessing, weights: files,
                tokenizer: { try TokenizerFolder.open(folder) },
                writeConfiguration: { out in
                    try AtomicFile.write(configuration.huggingFaceJSON, to: "\(out)/config.json")
                    try AtomicFile.write(preprocessing.huggingFaceJSON(), to: "\(out)/preprocessor_config.json")
                })
        })
}

extension CLIPConfiguration {
    /// The architecture that tensors in OpenAI's names have: sizes by their shapes; heads are 64 wide and the activation is
    /// QuickGELU, as in OpenAI's code.
    init(openAIWeights weights: Weights) throws {
        self.init()
        let patches = try weights.shape(of: "visual.conv1.weight", rank: 4)
        let positions = try weights.shape(of: "visual.positional_embedding", rank: 2)
        let tokens = try weights.shape(of: "token_embedding.weight", rank: 2)
        let side = Int(Double(positions[0] - 1).squareRoot().rounded())
        func expect(_ holds: Bool, _ expected: String, _ got: String) throws {
            guard holds else {
                throw ModelFolderError.unknownLayout(file: weights.source, expected: "\(expected), got \(got)")
            }
        }
        try expect(
            side * side == positions[0] - 1, "positions of a square of patches and a class token", "\(positions[0])")
        try expect(patches[0] % 64 == 0, "an image tower whose width is a multiple of 64", "\(patches[0])")
        try expect(tokens[1] % 64 == 0, "a text tower whose width is a multiple of 64", "\(tokens[1])")
        projectionDimension = try weights.shape(of: "text_projection", rank: 2)[1]
        vision.hiddenSize = patches[0]
        vision.headCount = patches[0] / 64
        vision.patchSize = patches[2]
        vision.imageSize = side * patches[2]
        vision.layerCount = weights.blockCount(below: "visual.transformer.resblocks.")
        vision.intermediateSize = try weights.shape(of: "visual.transformer.resblocks.0.mlp.c_fc.weight", rank: 2)[0]
        text.vocabularySize = tokens[0]
        text.hiddenSize = tokens[1]
        text.headCount = tokens[1] / 64
        text.contextLength = try weights.shape(of: "positional_embedding", rank: 2)[0]
        text.layerCount = weights.blockCount(below: "transformer.resblocks.")
        text.intermediateSize = try weights.shape(of: "transformer.resblocks.0.mlp.c_fc.weight", rank: 2)[0]
        // The last tokens of the vocabulary begin and end a text.
        text.endOfTextID = tokens[0] - 1
        text.startOfTextID = tokens[0] - 2
        text.padID = 0
        try validate(file: weights.source)
    }
}
