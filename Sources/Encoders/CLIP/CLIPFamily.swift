import Files
import Images
import ModelFolders
import StrictJSON
import Tokenizers
import Torch
import TorchNN

extension EncoderFamily {
    /// CLIP, as Hugging Face and open_clip publish it, and its image tower alone (`CLIPVisionModel`,
    /// `CLIPVisionModelWithProjection`, the image encoder of IP-Adapter and others).
    public static let clip = EncoderFamily(
        name: "CLIP",
        recognises: { folder in
            guard folder.has("config.json") else { return folder.has("open_clip_config.json") }
            return try ["clip", "clip_vision_model", nil].contains(folder.modelType())
        },
        weights: { folder, variant in try CLIPCheckpoint.files(folder, variant) },
        open: { folder, files, loading in
            try TorchRuntime.load()
            if try folder.modelType() == "clip_vision_model" { return try openVision(folder, files, loading) }
            let configuration = try CLIPConfiguration(folder: folder.path)
            let model = CLIPModel(configuration)
            try model.load(
                CLIPCheckpoint.weights(files), dtype: loading.dtype, device: loading.device, memory: loading.memory)
            model.setRequiresGrad(false)
            let preprocessing = try CLIPPreprocessing.read(folder, side: configuration.vision.imageSize)
            return try OpenEncoder(
                folder: folder, image: model, text: model, preprocessing: preprocessing, weights: files,
                notes: dropoutNotes([
                    ("image", configuration.vision.attentionDropout), ("text", configuration.text.attentionDropout),
                ]),
                tokenizer: { try TokenizerFolder.open(folder) },
                writeConfiguration: { out in
                    try AtomicFile.write(configuration.huggingFaceJSON, to: "\(out)/config.json")
                    try AtomicFile.write(preprocessing.huggingFaceJSON, to: "\(out)/preprocessor_config.json")
                })
        })

    private static func openVision(
        _ folder: ModelFolder, _ files: WeightFiles, _ loading: WeightLoading
    ) throws -> OpenEncoder {
        var weights = try Weights(files)
        CLIPVisionModel.nameAsBefore(&weights)
        let configuration = try CLIPVisionConfiguration(
            folder: folder, hasProjection: weights["visual_projection.weight"] != nil)
        let model = CLIPVisionModel(configuration)
        try model.load(
            weights, dtype: loading.dtype, device: loading.device, memory: loading.memory,
            ignoring: CLIPVisionModel.isOfTheTextSide)
        model.setRequiresGrad(false)
        let preprocessing = try CLIPPreprocessing.read(folder, side: configuration.vision.imageSize)
        return try OpenEncoder(
            folder: folder, image: model, text: nil, preprocessing: preprocessing, weights: files,
            notes: dropoutNotes([("image", configuration.vision.attentionDropout)]),
            tokenizer: { throw EncoderError.noText(folder: folder.path) },
            writeConfiguration: { out in
                try AtomicFile.write(configuration.huggingFaceJSON, to: "\(out)/config.json")
                try AtomicFile.write(preprocessing.huggingFaceJSON, to: "\(out)/preprocessor_config.json")
            })
    }

    private static func dropoutNotes(_ towers: [(name: String, dropout: Double)]) -> [String] {
        towers.filter { $0.dropout > 0 }.map {
            "the \($0.name) tower's attention_dropout of \($0.dropout) has no effect here, in training neither"
        }
    }
}

/// The preprocessing of CLIP's image tower.
public enum CLIPPreprocessing {
    /// Hugging Face's `processor_config.json` or `preprocessor_config.json`, or `preprocess_cfg` of `open_clip_config.json`.
    /// - Parameter side: side of the model's images, the default of open_clip's `size`.
    public static func read(_ folder: ModelFolder, side: Int) throws -> ImagePreprocessing {
        if let own = try ImagePreprocessing.inFolder(folder.path) { return own.settings }
        guard !folder.has("config.json"), let file = try folder.json("open_clip_config.json") else {
            throw ModelFolderError.missing(
                path: folder.path, expected: "preprocessor_config.json (or processor_config.json)")
        }
        guard let settings = try file.object("preprocess_cfg") else { return try .openCLIP(side: side) }
        try settings.refuseUnknown(
            ["size", "mode", "mean", "std", "interpolation", "resize_mode"],
            // The colour with which another resize mode fills empty areas.
            harmless: ["fill_color"])
        try settings.require("mode", only: .string("RGB"))
        try settings.require("resize_mode", only: .string("shortest"))
        let filters: [String: ResampleFilter] = ["bicubic": .bicubic, "bilinear": .bilinear]
        let filter = try settings.value("interpolation", expected: "\"bicubic\" or \"bilinear\"") { found in
            found.string.flatMap { filters[$0] }
        }
        func channels(_ key: String) throws -> [Double]? {
            guard let values = try settings.numbers(key) else { return nil }
            guard values.count == 3 else { throw settings.invalid(key, expected: "three numbers") }
            return values
        }
        return try .openCLIP(
            side: settings.square("size") ?? side, filter: filter ?? .bicubic, mean: channels("mean"),
            std: channels("std"))
    }
}

extension ImagePreprocessing {
    /// open_clip's image transform: the shorter side is resized in the file's own colours, then the middle is cut out.
    ///
    /// There is one difference: images are turned upright by EXIF. open_clip leaves that to its caller. `orientation:
    /// .ignore` gives open_clip's own pixels.
    static func openCLIP(
        side: Int, filter: ResampleFilter = .bicubic, mean: [Double]? = nil, std: [Double]? = nil
    ) throws -> ImagePreprocessing {
        let standard = try ImagePreprocessing.clip(side: side)
        return try ImagePreprocessing(
            resize: .shortestEdge(side), filter: filter, crop: ImageSize(width: side, height: side),
            cropRounding: .torchvision, mean: mean ?? standard.mean, std: std ?? standard.std,
            transparency: .openCLIP)
    }
}
