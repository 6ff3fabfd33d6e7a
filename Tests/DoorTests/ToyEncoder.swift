import Encoders
import Files
import Images
import ModelFolders
import StrictJSON
import Tokenizers
import Torch
import TorchNN

// A family of encoders in one file, as another program would add it; no floor above Encoders knows it.
//
// Shapes: B batch, S image side, T bands of an image, D width, E embedding.

/// Reads an image in bands of rows, and a text by its bytes.
final class ToyEncoder: Module, ImageEncoder, TextEncoder {
    struct Sizes: Sendable {
        var side = 12
        var bands = 3
        var width = 8
        var embedding = 6
    }

    @Child("tower") var tower: ToyTower
    @Child("image_projection") var imageProjection: Linear
    @Child("words") var words: Embedding
    @Child("text_projection") var textProjection: Linear
    let sizes: Sizes

    init(_ sizes: Sizes) {
        self.sizes = sizes
        super.init()
        tower = ToyTower(sizes)
        imageProjection = Linear(sizes.width, sizes.embedding)
        words = Embedding(256, sizes.width)
        textProjection = Linear(sizes.width, sizes.embedding)
    }

    var embeddingDimension: Int { sizes.embedding }
    var textEmbeddingDimension: Int { sizes.embedding }
    var contextLength: Int { 24 }
    var imageSize: Int { sizes.side }
    var imageLayerCount: Int { 2 }
    var imageStateSize: Int { sizes.width }
    var imageStateCount: Int { sizes.bands }
    var imageModules: [String] { ["tower", "image_projection"] }
    var imageTower: String { "tower" }
    var adapterTargets: [String] { ["mix"] }

    func imageStates(_ pixels: Tensor, layer: Int) -> Tensor { tower(pixels, layers: layerNumber(layer)) }

    func imageFeatures(_ pixels: Tensor) -> Tensor { imageProjection(imageStates(pixels, layer: -1).mean(1)) }

    func textFeatures(_ ids: Tensor) -> Tensor { textProjection(words(ids).mean(1).tanh()) }

    func unfilled() -> ToyEncoder { ToyEncoder(sizes) }

    func prepareForInference() throws -> LinearKernel.Choice? { nil }
}

final class ToyTower: Module {
    @Child("stem") var stem: Linear
    @Child("mix") var mix: Linear
    @Child("out") var out: Linear
    private let sizes: ToyEncoder.Sizes

    init(_ sizes: ToyEncoder.Sizes) {
        self.sizes = sizes
        super.init()
        stem = Linear(3 * sizes.side * sizes.side / sizes.bands, sizes.width)
        mix = Linear(sizes.width, sizes.width)
        out = Linear(sizes.width, sizes.width)
    }

    func callAsFunction(_ pixels: Tensor, layers: Int) -> Tensor {
        let bands = pixels.reshaped(pixels.size(0), 3, sizes.bands, -1).permuted(0, 2, 1, 3)  // [B, T, 3, S·S/T]
        var states = stem(bands.reshaped(pixels.size(0), sizes.bands, -1))  // [B, T, D]
        if layers > 0 { states = states + mix(states).tanh() }
        if layers > 1 { states = states + out(states).tanh() }
        return states
    }
}

extension EncoderFamily {
    static let toy = EncoderFamily(
        name: "toy",
        recognises: { try $0.modelType() == "toy" },
        weights: { folder, variant in try folder.weights(variant: variant) },
        open: { folder, files, loading in
            let file = try JSONFile(folder.file("config.json"))
            try file.refuseUnknown(["model_type", "width"])
            var sizes = ToyEncoder.Sizes()
            sizes.width = try file.integer("width") ?? sizes.width
            let (model, width) = (ToyEncoder(sizes), sizes.width)
            try model.load(
                Weights(files), dtype: loading.dtype, device: loading.device, memory: loading.memory)
            model.setRequiresGrad(false)
            return try OpenEncoder(
                folder: folder, image: model, text: model, preprocessing: .clip(side: sizes.side), weights: files,
                tokenizer: { ToyTokenizer() },
                writeConfiguration: { out in
                    try AtomicFile.write("{\"model_type\": \"toy\", \"width\": \(width)}", to: "\(out)/config.json")
                })
        })
}

/// Bytes, cut or filled up with 0.
private struct ToyTokenizer: TextTokenizer {
    var vocabularySize: Int { 256 }
    var startID: Int? { nil }
    var endID: Int { 0 }
    var paddingID: Int? { 0 }
    var contextLength: Int? { 24 }

    func encode(_ text: String) -> [Int32] { text.utf8.map(Int32.init) }

    func encode(
        _ texts: [String], contextLength: Int?, truncation: Truncation
    ) throws(TokenizerError) -> TokenBatch {
        let width = contextLength ?? 24
        let rows = texts.map { text in
            Array((encode(text).map(Int64.init) + Array(repeating: 0, count: width)).prefix(width))
        }
        return TokenBatch(
            ids: rows.flatMap { $0 }, attentionMask: rows.flatMap { $0.map { $0 == 0 ? 0 : 1 } },
            rowCount: texts.count, contextLength: width,
            truncatedRows: texts.indices.filter { texts[$0].utf8.count > width })
    }

    func decode(_ ids: some Sequence<Int>, skippingSpecial: Bool) -> String {
        String(decoding: ids.map { UInt8(truncatingIfNeeded: $0) }, as: UTF8.self)
    }

    func bytes(of id: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: id)] }
}
