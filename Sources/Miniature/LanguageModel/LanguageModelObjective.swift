import Files
import Foundation
import LanguageModels
import Safetensors
import Tokenizers
import Torch
import TorchNN
import Training

/// Training of the small GPT-2 on captions; each stands alone between two `<|endoftext|>`.
public final class LanguageModelObjective: Objective {
    public let model: GPT2LanguageModel
    public var module: Module { model }

    private let recipe: LanguageModelRecipe
    private let vocabulary: BPETraining
    private let train: Captions
    private let validation: Captions
    private let draws: Draws

    /// Captions of a split as tokens, `<|endoftext|>` at both ends.
    private struct Captions {
        let data: SceneData
        let rows: [[Int]]
        let endID: Int

        init(_ data: SceneData, _ tokenizer: GPT2Tokenizer, limit: Int) throws {
            self.data = data
            endID = tokenizer.endID
            rows = try data.captions.map { caption in
                let row = [tokenizer.endID] + tokenizer.encode(caption).map(Int.init) + [tokenizer.endID]
                guard row.count <= limit else {
                    throw MiniatureError.captionTooLong(caption: caption, limit: limit, what: "the GPT-2")
                }
                return row
            }
        }

        /// Inputs and targets `[B, T]`; targets of the padding are ignored by the loss.
        func batch(_ selected: [Int]) -> (inputs: Tensor, targets: Tensor) {
            let length = (selected.map { rows[$0].count }.max() ?? 1) - 1
            var inputs: [Int] = []
            var targets: [Int] = []
            for row in selected.map({ rows[$0] }) {
                let padding = length - (row.count - 1)
                inputs += row.dropLast() + Array(repeating: endID, count: padding)
                targets += row.dropFirst() + Array(repeating: -100, count: padding)
            }
            let shape = [selected.count, length]
            return (Tensor(inputs, shape: shape), Tensor(targets, shape: shape))
        }
    }

    /// Learns the vocabulary from the train captions and makes fresh weights.
    /// - Parameter scratch: a folder for the tokenizer's files.
    public init(_ recipe: LanguageModelRecipe, train: SceneData, validation: SceneData, scratch: String) throws {
        self.recipe = recipe
        draws = Draws(seed: recipe.training.seed)
        vocabulary = BPETraining(texts: train.captions, mergeLimit: recipe.model.mergeLimit, style: .gpt2)
        try Self.writeTokenizer(vocabulary, contextLength: recipe.model.contextLength, to: scratch)
        let tokenizer = try GPT2Tokenizer(folder: scratch)
        self.train = try Captions(train, tokenizer, limit: recipe.model.contextLength)
        self.validation = try Captions(validation, tokenizer, limit: recipe.model.contextLength)
        var configuration = GPT2Configuration()
        configuration.vocabularySize = vocabulary.vocabulary.count
        configuration.contextLength = recipe.model.contextLength
        configuration.hiddenSize = recipe.model.width
        configuration.layerCount = recipe.model.layers
        configuration.headCount = recipe.model.heads
        // The supply of captions is unlimited, so no dropout is needed against memorising them.
        configuration.residualDropout = 0
        configuration.embeddingDropout = 0
        configuration.attentionDropout = 0
        configuration.beginID = vocabulary.endID
        configuration.endIDs = [vocabulary.endID]
        model = GPT2LanguageModel(configuration)
        model.initialize(generator: draws.weights)
    }

    public func loss(_ batch: SceneBatch, step: Int) -> (loss: Tensor, metrics: [Metric]) {
        var random = draws.choices(step)
        return (loss(train, train.data.captionRows(batch.indices, &random)), [])
    }

    private func loss(_ captions: Captions, _ rows: [Int]) -> Tensor {
        let (inputs, targets) = captions.batch(rows)
        let logits = model(inputs)  // [B, T, V]
        return Functional.crossEntropy(
            logits.reshaped(-1, model.configuration.vocabularySize), targets.reshaped(-1), ignoring: -100)
    }

    /// Cross entropy in nats per token over all validation captions, and its exponential.
    public func validate() -> [Metric] {
        var sum = 0.0
        var tokens = 0
        for first in stride(from: 0, to: validation.rows.count, by: 64) {
            let rows = Array(first..<min(first + 64, validation.rows.count))
            let count = rows.reduce(0) { $0 + validation.rows[$1].count - 1 }
            sum += loss(validation, rows).item() * Double(count)
            tokens += count
        }
        let mean = sum / Double(tokens)
        return [Metric("loss", mean), Metric("perplexity", exp(mean))]
    }

    public func export(to folder: String, dtype: DType) throws {
        try Self.writeTokenizer(vocabulary, contextLength: model.configuration.contextLength, to: folder)
        try AtomicFile.write(model.configuration.huggingFaceJSON, to: "\(folder)/config.json")
        try model.saveWeights(to: "\(folder)/model.safetensors", dtype: dtype)
    }

    /// Writes `vocab.json`, `merges.txt`, `tokenizer_config.json`.
    static func writeTokenizer(_ vocabulary: BPETraining, contextLength: Int, to folder: String) throws {
        try FileSystem.createFolder(folder)
        try AtomicFile.write(vocabulary.vocabularyJSON, to: "\(folder)/vocab.json")
        try AtomicFile.write(vocabulary.mergesText, to: "\(folder)/merges.txt")
        try AtomicFile.write(
            """
            {
              "tokenizer_class": "GPT2Tokenizer",
              "model_max_length": \(contextLength),
              "add_prefix_space": false,
              "bos_token": "<|endoftext|>",
              "eos_token": "<|endoftext|>",
              "unk_token": "<|endoftext|>"
            }

            """, to: "\(folder)/tokenizer_config.json")
    }
}
