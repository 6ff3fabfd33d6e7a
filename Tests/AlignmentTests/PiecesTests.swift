import Datasets
import Encoders
import Files
import Foundation
import Images
import Safetensors
import TestSupport
import Testing
import Torch
import Training

@testable import Alignment

/// Batches that come in pieces, compared with batches in memory that are split: the bits are equal, whether the pieces
/// are views or come from files through the loader.
@Suite struct PiecesTests {
    @Test(arguments: Case.allCases, [1, 4, 6])
    func stepsHaveTheBitsOfTheSplitBatch(run: Case, size: Int) throws {
        func dropout(_ settings: inout AlignmentSettings) {
            guard case .lora(var configuration) = settings.tuning else { return }
            configuration.dropout = 0.3
            settings.tuning = .lora(configuration)
        }
        let split = try run.task {
            dropout(&$0)
            $0.chunkSize = size
        }
        // It does not state the size; the pieces do.
        let whole = try run.task(dropout)
        let batches = try run.batches()
        for step in 0..<3 {
            let batch = batches[step]
            guard case .images(let real)? = batch.real else { return }
            let frozen = split.frozenFeatures(of: batch)
            func piece(_ pixels: Tensor, _ number: Int) -> Tensor? {
                number * size < 6 ? pixels[number * size..<min((number + 1) * size, 6)] : nil
            }
            func captions(_ input: AlignmentBatch.TextInput?) -> Tensor? {
                guard case .tokens(let ids)? = input else { return nil }
                return ids
            }
            var asked: [Int] = []
            let report = try whole.step(
                AlignmentPieces(
                    generated: { number in
                        asked.append(number)
                        return piece(batch.generated.pixels, number).map { Alignment.ImageBatch<Generated>($0) }
                    }, real: { piece(real.pixels, $0).map { Alignment.ImageBatch<Real>($0) } },
                    text: { number in captions(batch.text).flatMap { piece($0, number) } },
                    shortText: { number in captions(batch.shortText).flatMap { piece($0, number) } },
                    pairs: {
                        .init(
                            ids: batch.ids, realIDs: batch.realIDs, real: frozen.real, text: frozen.text,
                            shortText: frozen.shortText)
                    }))
            #expect(try report == split.step(batch))
            // In order, then the end, and in order again if there are several.
            let pieces = Array(0..<(6 + size - 1) / size)
            let isOne = pieces.count == 1 && run != .mixed && run != .longCLIP
            #expect(asked == pieces + [pieces.count] + (isOne ? [] : pieces))
        }
        for (a, b) in zip(split.fixtureTensors, whole.fixtureTensors) {
            #expect(bits(a.tensor) == bits(b.tensor), "\(a.key)")
        }
    }

    @Test func piecesThatDoNotFitAreNamed() throws {
        let task = try Case.lora.task()
        let batch = try Batches()[0]
        let before = task.fixtureTensors.map { bits($0.tensor) }
        func step(_ pieces: [Int], real: Tensor?) -> String {
            message {
                _ = try task.step(
                    AlignmentPieces(
                        generated: { number in
                            number < pieces.count
                                ? Alignment.ImageBatch<Generated>(batch.generated.pixels[0..<pieces[number]]) : nil
                        },
                        pairs: {
                            .init(
                                ids: batch.ids, realIDs: batch.realIDs, real: real.map { Embeddings<Real>($0) },
                                text: nil)
                        }))
            }
        }
        #expect(step([2, 3], real: .ones([6, 13])) == "a batch of 6 pairs has 5 generated images")
        #expect(step([2, 4], real: .ones([5, 13])) == "a batch of 6 pairs has 5 real features")
        #expect(
            step([2, 4], real: .ones([6, 12]))
                == "real features of shape [6, 12], expected [6, 13] of this encoder")
        #expect(step([2, 4], real: nil) == "the batch has no real images, which the loss compares with")
        #expect(task.fixtureTensors.map { bits($0.tensor) } == before)
        #expect(!task.optimizer.parameters.contains { $0.grad != nil })
        #expect(step([2, 4], real: .ones([6, 13])) == "")
    }

    // MARK: From files

    private let preprocessor = """
        {"do_resize": true, "size": {"shortest_edge": 14}, "resample": 3, "do_center_crop": true, "crop_size": 14,
         "do_rescale": true, "do_normalize": true, "image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.25, 0.27]}
        """

    /// The fixture's model and twelve pairs of pictures.
    private func write(to folder: String) throws {
        try FileManager.default.copyItem(atPath: fixture("base"), toPath: "\(folder)/model")
        try AtomicFile.write(preprocessor, to: "\(folder)/model/preprocessor_config.json")
        var pairs: [Pair] = []
        for index in 0..<12 {
            for (kind, shift) in [("real", 0), ("generated", 9)] {
                let pixels = (0..<30 * 25 * 3).map { UInt8(truncatingIfNeeded: ($0 / 3 + shift) * (index + 3) / 7) }
                let image = try RGBImage(width: 30, height: 25, pixels: pixels)
                try AtomicFile.write(ImageWriter.png(image), to: "\(folder)/\(kind)-\(index).png")
            }
            pairs.append(
                Pair(
                    id: "p\(index)", caption: "scene \(index)", real: "real-\(index).png",
                    generated: "generated-\(index).png"))
        }
        try PairsManifest.write(pairs, to: "\(folder)/pairs.jsonl")
    }

    /// One batch is an epoch: the frozen features of all pairs are computed at once, here as there.
    private func recipe(microBatchSize: Int?, dropout: Double) throws -> AlignmentRecipe {
        var recipe = try AlignmentRecipe("gmail")
        recipe.training.steps = 3
        recipe.training.batchSize = 12
        recipe.training.microBatchSize = microBatchSize
        recipe.training.learningRate = 3e-3
        recipe.training.precision = .float32
        recipe.adapter.dropout = dropout
        return recipe
    }

    private func trainer(_ recipe: AlignmentRecipe, in folder: String) throws -> AlignmentTrainer {
        let trainer = try AlignmentTrainer(
            recipe,
            .init(
                model: "\(folder)/model", pairs: "\(folder)/pairs.jsonl", validation: "\(folder)/pairs.jsonl",
                cache: "\(folder)/cache", hashes: FileHashes(memory: nil), device: .cpu))
        try trainer.prepare()
        return trainer
    }

    /// Trains through the loader.
    private func train(_ trainer: AlignmentTrainer, in folder: String) throws -> [Double] {
        let source = try trainer.batches(from: SamplerPosition(), skipped: [])
        return try (0..<3).map { try trainer.step(try #require(try source.next()), step: $0).loss }
    }

    /// Trains on whole batches of floats in memory, which the task splits.
    private func trainInMemory(_ recipe: AlignmentRecipe, in folder: String) throws -> (task: AlignmentTask, [Double]) {
        let clip = try CLIPModel(folder: "\(folder)/model", memory: .owned)
        let preprocessing = try EncoderFolder.open("\(folder)/model")
            .preprocessing
        func pixels(_ kind: String) throws -> Tensor {
            let images = try (0..<12).flatMap { index in
                let path = "\(folder)/\(kind)-\(index).png"
                return try preprocessing.tensor(readImageFile(path), name: path).values
            }
            return Tensor(images, shape: [12, 3, 14, 14])
        }
        let (generated, real) = (try pixels("generated"), try pixels("real"))
        let features = inferenceMode { clip.imageFeatures(real) }
        let task = try AlignmentTask(trunk: clip, settings: AlignmentSettings(recipe, encoder: clip, dtype: .float32))
        var sampler = try ShuffledSampler(count: 12, batchSize: 12, seed: UInt64(recipe.training.seed))
        let losses = try (0..<3).map { _ in
            let indices = sampler.next()!.indices
            return try task.step(
                AlignmentBatch(
                    ids: indices.map { "p\($0)" }, realIDs: indices.map { ExactString("real-\($0).png") },
                    generated: Alignment.ImageBatch<Generated>(generated.indexSelect(0, Tensor(indices))),
                    real: .features(Embeddings<Real>(features.indexSelect(0, Tensor(indices)))))
            ).loss
        }
        return (task, losses)
    }

    /// Single images are excluded: the last bits of their products depend on where in memory the image starts, and that
    /// differs between a view of a batch and a separate piece.
    @Test(arguments: [nil, 3, 4, 12])
    func theLoadersPiecesHaveTheBitsOfTheSplitBatch(microBatchSize: Int?) throws {
        try withTemporaryFolder { folder in
            try write(to: folder)
            let recipe = try recipe(microBatchSize: microBatchSize, dropout: 0.3)
            let trainer = try trainer(recipe, in: folder)
            let losses = try train(trainer, in: folder)
            let (task, expected) = try trainInMemory(recipe, in: folder)
            #expect(losses == expected)
            for (a, b) in zip(trainer.task.fixtureTensors, task.fixtureTensors) {
                #expect(a.key == b.key && bits(a.tensor) == bits(b.tensor), "\(a.key)")
            }
        }
    }

    /// Dropout draws its masks part by part, so the full batch is compared without it.
    @Test(arguments: [1, 3, 4])
    func theLoadersPiecesEqualTheFullBatch(microBatchSize: Int) throws {
        try withTemporaryFolder { folder in
            try write(to: folder)
            let whole = try trainer(try recipe(microBatchSize: nil, dropout: 0), in: folder)
            let parts = try trainer(try recipe(microBatchSize: microBatchSize, dropout: 0), in: folder)
            for (a, b) in zip(try train(whole, in: folder), try train(parts, in: folder)) {
                #expect(abs(a - b) < tolerance)
            }
            for (a, b) in zip(whole.task.fixtureTensors, parts.task.fixtureTensors) {
                #expect(maximumDifference(a.tensor, b.tensor) < tolerance, "\(a.key)")
            }
            let metrics = try zip(whole.validate(), parts.validate())
            for (a, b) in metrics { #expect(a.name == b.name && abs(a.value - b.value) < tolerance) }
        }
    }
}

/// float32 sums in another order, three optimizer steps long.
private let tolerance = 1e-5
