import Files
import Images
import ModelFolders
import StrictJSON
import Torch
import TorchNN

// SynCLR (Tian et al. 2023, arXiv 2312.17742): image encoders trained on synthetic images and captions alone. Reference:
// google-research/syn-rep-learn, `SynCLR/eval`.

extension CheckpointLayout {
    /// SynCLR's `.pth`: a timm vision transformer below `module.visual.` or `visual.`, and a training's other parts.
    static let synCLR = CheckpointLayout(
        name: "SynCLR's (visual.patch_embed.proj.weight, visual.blocks.0.attn.qkv.weight, …)",
        recognises: { weights in prefix(in: weights) != nil },
        open: { folder, files, weights, loading in
            let prefix = prefix(in: weights) ?? ""
            var own: [String: Weights.Entry] = [:]
            var others: [String] = []
            for (key, entry) in weights.entries {
                // The classifier on top belongs to whatever the encoder was last used for; masks were of the training.
                guard key.hasPrefix(prefix) else {
                    others.append(key)
                    continue
                }
                let name = String(key.dropFirst(prefix.count))
                if !name.hasPrefix("head."), name != "mask_token" { own[name] = entry }
            }
            var notes: [String] = []
            if let first = others.min() {
                notes.append(
                    "\(files.path): \(others.count) tensors beside the image encoder are not read, such as '\(first)'")
            }
            return try TimmFolder.open(
                folder, files, Weights(source: weights.source, entries: own), loading,
                preprocessing: { try .imageNet(side: $0) }, notes: notes)
        })

    private static func prefix(in weights: Weights) -> String? {
        ["module.visual.", "visual."].first { prefix in
            ["patch_embed.proj.weight", "cls_token", "blocks.0.attn.qkv.weight", "norm.weight"].allSatisfy {
                weights[prefix + $0] != nil
            }
                // EVA's CLIP names its image tower alike, and has a text tower beside it.
                && !weights.entries.keys.contains { $0.hasPrefix("text.") || $0.hasPrefix("token_embedding.") }
        }
    }
}

extension ImagePreprocessing {
    /// SynCLR's evaluation: shorter side to `side` with bicubic, the middle cut out, ImageNet's mean and deviation.
    static func imageNet(side: Int) throws -> ImagePreprocessing {
        try ImagePreprocessing(
            resize: .shortestEdge(side), crop: ImageSize(width: side, height: side), cropRounding: .torchvision,
            mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225])
    }
}

extension EncoderFamily {
    /// Vision transformers in timm's own folders (`config.json` with `architecture`), as `gmail model convert` writes them.
    static let timm = EncoderFamily(
        name: "timm's vision transformers",
        recognises: { folder in
            try folder.modelType() == nil
                && folder.json("config.json")?.string("architecture")?.hasPrefix("vit_") == true
        },
        weights: { folder, variant in try folder.weights(variant: variant) },
        open: { folder, files, loading in
            guard let file = try folder.json("config.json") else {
                throw ModelFolderError.missing(path: folder.path, expected: "config.json")
            }
            let preprocessing = try TimmFolder.preprocessing(file)
            return try TimmFolder.open(
                folder, files, Weights(files), loading, preprocessing: { _ in preprocessing }, notes: [])
        })
}

/// A timm model's folder: `config.json` as timm writes it, tensors in timm's names.
enum TimmFolder {
    /// - Parameters:
    ///   - weights: in timm's names.
    ///   - preprocessing: for images of a side.
    static func open(
        _ folder: ModelFolder, _ files: WeightFiles, _ weights: Weights, _ loading: WeightLoading,
        preprocessing: (Int) throws -> ImagePreprocessing, notes: [String]
    ) throws -> OpenEncoder {
        try TorchRuntime.load()
        var weights = weights
        let configuration = try TimmViTConfiguration(timmWeights: weights)
        try TimmWeights.toOurs(&weights)
        let model = TimmViT(configuration)
        try model.load(weights, dtype: loading.dtype, device: loading.device, memory: loading.memory)
        model.setRequiresGrad(false)
        let preprocessing = try preprocessing(configuration.imageSize)
        return try OpenEncoder(
            folder: folder, image: model, text: nil, preprocessing: preprocessing, weights: files, notes: notes,
            tokenizer: { throw EncoderError.noText(folder: folder.path) },
            published: TimmWeights.toTimm,
            writeConfiguration: { out in
                try AtomicFile.write(try configuration.timmJSON(preprocessing), to: "\(out)/config.json")
            })
    }

    /// `pretrained_cfg`: what timm's evaluation does to an image.
    static func preprocessing(_ file: JSONFile) throws -> ImagePreprocessing {
        try file.refuseUnknown(
            ["architecture", "num_classes", "global_pool", "model_args", "pretrained_cfg"],
            harmless: ["num_features", "license"])
        try file.require("num_classes", only: .number("0"))
        try file.require("global_pool", only: .string("token"))
        if let arguments = try file.object("model_args") {
            // Sizes are told by the tensors.
            try arguments.refuseUnknown(
                [], harmless: ["img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "num_classes"])
        }
        guard let settings = try file.object("pretrained_cfg") else {
            throw file.invalid("pretrained_cfg", expected: "an object that says how images are prepared")
        }
        try settings.require("crop_mode", only: .string("center"))
        let filters: [String: ResampleFilter] = ["bicubic": .bicubic, "bilinear": .bilinear]
        guard let sizes = try settings.integers("input_size"), sizes.count == 3, sizes[1] == sizes[2],
            let mean = try settings.numbers("mean"), let std = try settings.numbers("std"),
            let filter = try settings.value(
                "interpolation", expected: "\"bicubic\" or \"bilinear\"", { $0.string.flatMap { filters[$0] } })
        else {
            throw file.invalid(
                "pretrained_cfg", expected: "an object with input_size, mean, std and interpolation")
        }
        let side = sizes[1]
        // timm resizes so that the crop is this share of the shorter side.
        let share = try settings.positive("crop_pct") ?? 0.875
        return try ImagePreprocessing(
            resize: .shortestEdge(Int((Double(side) / share).rounded(.down))), filter: filter,
            crop: ImageSize(width: side, height: side), cropRounding: .torchvision, mean: mean, std: std)
    }
}

extension TimmViTConfiguration {
    /// The architecture that tensors in timm's names have: sizes by their shapes; heads are 64 wide, as in ViT-S, B, L.
    init(timmWeights weights: Weights) throws {
        let patches = try weights.shape(of: "patch_embed.proj.weight", rank: 4)
        let positions = try weights.shape(of: "pos_embed", rank: 3)
        let side = Int(Double(positions[1] - 1).squareRoot().rounded())
        guard side * side == positions[1] - 1, patches[0] % 64 == 0 else {
            throw ModelFolderError.unknownLayout(
                file: weights.source,
                expected:
                    "a vision transformer with a class token over a square of patches, of a width that is a multiple of "
                    + "64; got positions \(positions) and width \(patches[0])")
        }
        self.init(
            hiddenSize: patches[0],
            intermediateSize: try weights.shape(of: "blocks.0.mlp.fc1.weight", rank: 2)[0],
            layerCount: weights.blockCount(below: "blocks."), headCount: patches[0] / 64,
            imageSize: side * patches[2], patchSize: patches[2])
    }

    /// timm's `config.json`.
    func timmJSON(_ preprocessing: ImagePreprocessing) throws -> String {
        guard case .shortestEdge(let edge) = preprocessing.resize, let mean = preprocessing.mean,
            let std = preprocessing.std
        else {
            throw EncoderError.anotherImageSize(
                folder: "config.json", expected: imageSize, got: "a resize that timm has not")
        }
        func list(_ values: [Double]) -> String { "[" + values.map(\.description).joined(separator: ", ") + "]" }
        // timm knows architectures by name; the sizes below the name are what counts.
        let name = hiddenSize == 1024 && patchSize == 14 ? "vit_large_patch14_224" : "vit_base_patch16_224"
        return """
            {
              "architecture": "\(name)",
              "num_classes": 0,
              "num_features": \(hiddenSize),
              "global_pool": "token",
              "model_args": {
                "img_size": \(imageSize),
                "patch_size": \(patchSize),
                "embed_dim": \(hiddenSize),
                "depth": \(layerCount),
                "num_heads": \(headCount),
                "mlp_ratio": \(Double(intermediateSize) / Double(hiddenSize))
              },
              "pretrained_cfg": {
                "input_size": [3, \(imageSize), \(imageSize)],
                "fixed_input_size": true,
                "interpolation": "\(preprocessing.filter == .bilinear ? "bilinear" : "bicubic")",
                "crop_pct": \(Double(imageSize) / Double(edge)),
                "crop_mode": "center",
                "mean": \(list(mean)),
                "std": \(list(std)),
                "num_classes": 0,
                "pool_size": null,
                "first_conv": "patch_embed.proj",
                "classifier": "head"
              }
            }

            """
    }
}
