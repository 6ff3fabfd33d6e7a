import Encoders
import Foundation
import Images
import ModelFolders
import Safetensors
import Tokenizers
import Torch
import TorchNN
import Training

/// Contrastive training of the small CLIP (Radford et al. 2021, fig. 3) on scenes and one caption of each.
public final class CLIPObjective: Objective {
    public let model: CLIPModel
    public var module: Module { model }

    private let recipe: CLIPRecipe
    private let train: Texts
    private let validation: Texts
    private let vocabulary: BPETraining
    private let preprocessing: ImagePreprocessing
    private let draws: Draws

    /// A split with its captions as tokens.
    private struct Texts {
        let data: SceneData
        /// `[N · K, T]`, int64.
        let ids: Tensor
        /// The number of each distinct caption: equal captions have equal numbers.
        let textClass: [Int]

        init(_ data: SceneData, _ reader: TextReader) throws {
            self.data = data
            let (ids, truncated) = try reader.tokens(data.captions)
            if let row = truncated.first {
                throw MiniatureError.captionTooLong(
                    caption: data.captions[row], limit: reader.contextLength, what: "the CLIP")
            }
            self.ids = ids
            var classes: [String: Int] = [:]
            textClass = data.captions.map { text in
                let number = classes[text] ?? classes.count
                classes[text] = number
                return number
            }
        }
    }

    /// Learns the vocabulary from the train captions and makes fresh weights.
    /// - Parameter scratch: a folder for the tokenizer's files.
    public init(_ recipe: CLIPRecipe, train: SceneData, validation: SceneData, scratch: String) throws {
        self.recipe = recipe
        draws = Draws(seed: recipe.training.seed)
        vocabulary = BPETraining(texts: train.captions, mergeLimit: recipe.mergeLimit)
        let configuration = MiniatureCLIP.configuration(vocabulary: vocabulary, sizes: recipe.model)
        try MiniatureCLIP.writeFiles(configuration, vocabulary: vocabulary, to: scratch)
        let files = try ModelFolder(scratch)
        preprocessing = try CLIPPreprocessing.read(files, side: configuration.vision.imageSize)
        model = CLIPModel(configuration)
        model.initialize(generator: draws.weights)
        let reader = TextReader(encoder: model, tokenizer: try TokenizerFolder.open(files))
        self.train = try Texts(train, reader)
        self.validation = try Texts(validation, reader)
    }

    public func loss(_ batch: SceneBatch, step: Int) -> (loss: Tensor, metrics: [Metric]) {
        var random = draws.choices(step)
        let texts = captions(of: batch.indices, &random)
        let loss = contrastiveLoss(
            image: model.imageFeatures(train.data.pictures(batch.indices, preprocessing)),
            text: model.textFeatures(train.ids.indexSelect(0, Tensor(texts))), logitScale: model.logitScale)
        return (loss, [Metric("temperature", exp(-model.logitScale.item()))])
    }

    /// One caption of each scene. No caption comes twice as long as a scene has another one to offer, because a pair
    /// must not be its own negative.
    private func captions(of scenes: [Int], _ random: inout SplitMix) -> [Int] {
        let count = train.data.captionsPerScene
        var used: Set<Int> = []
        return scenes.map { scene in
            let first = random.integer(below: count)
            let rows = (0..<count).map { scene * count + (first + $0) % count }
            let row = rows.first { !used.contains(train.textClass[$0]) } ?? rows[0]
            used.insert(train.textClass[row])
            return row
        }
    }

    public func constrain() {
        // With a larger scale, single pairs would dominate the gradient (Radford et al., section 2.5).
        model.logitScale.copy(from: model.logitScale.detached().clamped(-.infinity, log(100)))
    }

    /// Recall among the validation scenes: an image counts if any of its captions is the nearest of all.
    public func validate() -> [Metric] {
        let count = validation.data.count
        let perScene = validation.data.captionsPerScene
        func chunks(_ total: Int) -> [Range<Int>] {
            stride(from: 0, to: total, by: 256).map { $0..<min($0 + 256, total) }
        }
        let images = Tensor.cat(
            chunks(count).map {
                model.imageFeatures(validation.data.pictures(Array($0), preprocessing)).normalized()
            })
        let texts = Tensor.cat(
            chunks(count * perScene).map { model.textFeatures(validation.ids.slice(0, $0)).normalized() })
        let scores = images.matmul(texts.transposed(0, 1))  // [N, N · K]
        let nearestText: [Int64] = scores.argmax(1).array()
        let nearestImage: [Int64] = scores.argmax(0).array()
        let found = nearestText.enumerated().count { Int($1) / perScene == $0 }
        let foundBack = nearestImage.enumerated().count { Int($1) == $0 / perScene }
        return [
            Metric("image_to_text_R@1", Double(found) / Double(count)),
            Metric("text_to_image_R@1", Double(foundBack) / Double(count * perScene)),
        ]
    }

    public func export(to folder: String, dtype: DType) throws {
        try MiniatureCLIP.writeFiles(model.configuration, vocabulary: vocabulary, to: folder)
        try model.saveWeights(to: "\(folder)/model.safetensors", dtype: dtype)
    }
}

extension Module {
    /// Writes the weights in another precision than that of the training.
    func saveWeights(to path: String, dtype: DType, prefix: String = "") throws {
        let tensors = namedTensors(prefix: prefix).filter { $0.kind != .derived }.map { entry in
            (
                key: entry.key,
                tensor: entry.tensor.dtype.isFloatingPoint ? entry.tensor.detached().to(dtype) : entry.tensor
            )
        }
        try Weights.save(tensors, metadata: ["format": "pt"], to: path)
    }
}
