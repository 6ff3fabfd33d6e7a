import Files
import Images
import ModelFolders
import Tokenizers
import Torch
import TorchNN

extension EncoderFamily {
    /// SigLIP, and SigLIP 2 of a fixed resolution, as Hugging Face publishes them (`SiglipModel`).
    public static let sigLIP = EncoderFamily(
        name: "SigLIP",
        recognises: { try $0.modelType() == "siglip" },
        weights: { folder, variant in try folder.weights(variant: variant) },
        open: { folder, files, loading in
            try TorchRuntime.load()
            let configuration = try SigLIPConfiguration(folder: folder.path)
            let model = SigLIPModel(configuration)
            try model.load(
                Weights(files), dtype: loading.dtype, device: loading.device, memory: loading.memory)
            model.setRequiresGrad(false)
            guard let preprocessing = try ImagePreprocessing.inFolder(folder.path, processor: .siglip)?.settings else {
                throw ModelFolderError.missing(
                    path: folder.path, expected: "preprocessor_config.json (or processor_config.json)")
            }
            return try OpenEncoder(
                folder: folder, image: model, text: model, preprocessing: preprocessing, weights: files,
                notes: dropoutNotes([
                    ("image", configuration.vision.attentionDropout), ("text", configuration.text.attentionDropout),
                ]) + capitalNotes(folder),
                tokenizer: { try TokenizerFolder.open(folder) },
                writeConfiguration: { out in
                    try AtomicFile.write(configuration.huggingFaceJSON, to: "\(out)/config.json")
                    try AtomicFile.write(
                        preprocessing.huggingFaceJSON(.siglip), to: "\(out)/preprocessor_config.json")
                })
        })
    /// SigLIP 2's published folders name a tokenizer that keeps capital letters, which its training did not see.
    private static func capitalNotes(_ folder: ModelFolder) throws -> [String] {
        let named = try folder.json("tokenizer_config.json")?.string("tokenizer_class")
        guard let named, ["GemmaTokenizer", "GemmaTokenizerFast"].contains(named) else { return [] }
        return ["texts keep their capital letters, as transformers reads them; SigLIP 2 was trained on lower case"]
    }
}
