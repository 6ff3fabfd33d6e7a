import Adapters
import Encoders
import Files
import Foundation
import TestSupport
import Testing
import Torch
import TorchNN
import Training

@testable import Alignment

@Suite struct AlignmentTaskTests {
    @Test func permutingTheBatchChangesNothing() throws {
        let order = [4, 2, 5, 0, 3, 1]
        for run in Case.allCases {
            let (task, other) = (try run.task(), try run.task())
            let batches = try run.batches()
            task.setTraining(true)
            other.setTraining(true)
            let (a, b) = (try task.backward(batches[0]), try other.backward(batches.permuted(0, order)))
            #expect(abs(a.loss - b.loss) < 1e-5)
            for (x, y) in zip(task.fixtureTensors, other.fixtureTensors) {
                guard let first = x.tensor.grad, let second = y.tensor.grad else { continue }
                #expect(maximumDifference(first, second) / max(1, first.abs().max().item()) < 1e-5, "\(x.key)")
            }
        }
    }

    @Test func cachedFeaturesGiveTheSameStep() throws {
        let (task, other) = (try Case.loraText.task(), try Case.loraText.task())
        let batch = try Batches()[0]
        let frozen = other.frozenFeatures(of: batch)
        let cached = AlignmentBatch(
            ids: batch.ids, realIDs: batch.realIDs, generated: batch.generated,
            real: .features(try #require(frozen.real)), text: .features(try #require(frozen.text)))
        #expect(try task.step(batch) == other.step(cached))
        for (a, b) in zip(task.fixtureTensors, other.fixtureTensors) { #expect(bits(a.tensor) == bits(b.tensor)) }
    }

    @Test(arguments: Case.allCases)
    func resumingIsExact(run: Case) throws {
        try withTemporaryFolder { folder in
            let batches = try run.batches()
            func change(_ settings: inout AlignmentSettings) {
                if case .lora(var configuration) = settings.tuning {
                    configuration.dropout = 0.2
                    settings.tuning = .lora(configuration)
                }
            }
            let whole = try run.task(change)
            var reports: [StepReport] = []
            for step in 0..<5 {
                if step == 2 {
                    try whole.save(to: folder, baseModel: "base")
                    try JSONEncoder().encode(whole.progress).write(to: URL(fileURLWithPath: "\(folder)/state.json"))
                }
                reports.append(try whole.step(batches[step]))
            }
            let resumed = try AlignmentTask(trunk: run.trunk(), settings: whole.settings)
            try resumed.load(from: folder)
            resumed.progress = try JSONDecoder().decode(
                AlignmentTask.Progress.self, from: Data(contentsOf: URL(fileURLWithPath: "\(folder)/state.json")))
            #expect(resumed.step == 2)
            for step in 2..<5 { #expect(try resumed.step(batches[step]) == reports[step]) }
            for (a, b) in zip(whole.fixtureTensors, resumed.fixtureTensors) {
                #expect(bits(a.tensor) == bits(b.tensor), "\(a.key)")
            }
            for (a, b) in zip(whole.optimizer.stateTensors, resumed.optimizer.stateTensors) {
                #expect(a.key == b.key && bits(a.tensor) == bits(b.tensor), "\(a.key)")
            }
        }
    }

    @Test func groupsAndReport() throws {
        let task = try Case.lora.task()
        #expect(task.optimizer.groups.map(\.name) == ["adapter", "projection"])
        #expect(task.optimizer.groups.map(\.elementCount) == [8 * 4 * 48, 2 * (13 * 13 + 13)])
        let batches = try Batches()
        _ = try task.step(batches[0])
        let report = try task.step(batches[1])
        #expect(task.step == 2)
        let factor = task.settings.schedule.factor(at: 1)
        #expect(
            report.metrics.map(\.name) == [
                "gradient_norm", "paired_cosine", "learning_rate/adapter", "learning_rate/projection",
            ])
        #expect(report["learning_rate/adapter"] == 2e-3 * factor && report["learning_rate/projection"] == 1e-3 * factor)
        #expect(try #require(report["paired_cosine"]) > -1)
        #expect(try Case.full.task().optimizer.groups.map(\.name) == ["encoder"])
    }

    @Test func aLossThatIsNotFiniteStopsBeforeTheStep() throws {
        let task = try Case.loraText.task()
        let batches = try Batches()
        _ = try task.step(batches[0])
        let good = batches[1]
        // Read before the snapshot, because a forward pass in training mode changes the running statistics.
        let realText = realText(task, good)
        // Running statistics of the batch normalisation are among them.
        let weights = task.fixtureTensors.map { bits($0.tensor) }
        let state = task.optimizer.stateTensors.map { bits($0.tensor) }
        let broken = good.generated.pixels.clone()
        broken[2].fillInPlace(.nan)
        let batch = AlignmentBatch(
            ids: good.ids, realIDs: good.realIDs, generated: ImageBatch(broken), real: good.real, text: good.text)
        #expect(
            message { _ = try task.step(batch) }
                == "step 2: the loss is not finite (align nan, generated_text nan, real_text \(realText));"
                + " no weight was changed. Samples: pair-1-0, pair-1-1, pair-1-2, pair-1-3, pair-1-4, pair-1-5. Look at"
                + " their images, or lower the learning rate")
        #expect(task.step == 1)
        let sameWeights = task.fixtureTensors.map { bits($0.tensor) } == weights
        let sameState = task.optimizer.stateTensors.map { bits($0.tensor) } == state
        #expect(sameWeights)
        #expect(sameState)
        #expect(!task.optimizer.parameters.contains { $0.grad != nil })
    }

    /// The one term without the broken image.
    private func realText(_ task: AlignmentTask, _ batch: AlignmentBatch) -> Double {
        task.setTraining(true)
        defer { task.setTraining(false) }
        return withoutGradients {
            let frozen = task.frozenFeatures(of: batch)
            let terms = task.settings.loss(
                generated: Embeddings(frozen.text!), real: frozen.real.map { task.projection($0) }, text: frozen.text,
                realIDs: batch.realIDs)
            return terms.parts[2].value.item()
        }
    }

    @Test func aGradientThatIsNotFiniteStopsBeforeTheStep() throws {
        // A loss near 1e37 still fits into float32, but the square of its gradient does not.
        let task = try Case.lora.task { $0.loss.temperature = 1e-37 }
        let before = task.fixtureTensors.map { bits($0.tensor) }
        let got = message { _ = try task.step(try Batches()[0]) }
        #expect(
            got
                == "step 1: the gradient is not finite (norm inf); no weight was changed. Samples: pair-0-0, pair-0-1,"
                + " pair-0-2, pair-0-3, pair-0-4, pair-0-5. Look at their images, or lower the learning rate")
        #expect(task.fixtureTensors.map { bits($0.tensor) } == before)
        #expect(task.step == 0 && task.optimizer.stateTensors.isEmpty)
    }

    @Test func validationEqualsTheFullMatrix() throws {
        let task = try Case.lora.task()
        let batches = try Batches()
        for step in 0..<4 { _ = try task.step(batches[step]) }
        let report = try task.validate((0..<3).map { batches[$0] }, ranks: [1, 2, 15])
        // The same in one piece.
        var generated: [Tensor] = []
        var real: [Tensor] = []
        var names: [ExactString] = []
        var losses: [Double] = []
        try withoutGradients {
            for index in 0..<3 {
                let parts = try task.embeddings(of: batches[index])
                generated.append(parts.generated.tensor.normalized())
                real.append(parts.real!.tensor.normalized())
                names += batches[index].realIDs
                losses.append(
                    task.settings.loss(
                        generated: parts.generated, real: parts.real, text: nil, realIDs: batches[index].realIDs
                    ).total.item())
            }
        }
        let x = Tensor.cat(generated)
        let y = Tensor.cat(real)
        let similarity = x.matmul(y.transposed(0, 1)).array(of: Float.self)
        let kept = names.indices.filter { names.firstIndex(of: names[$0]) == $0 }
        #expect(report.pairCount == 18 && report.realCount == kept.count && kept.count == 14)
        for recall in report.recall {
            let found = names.indices.filter { row in
                let ranked = kept.sorted {
                    (-similarity[row * 18 + $0], $0) < (-similarity[row * 18 + $1], $1)
                }
                return ranked.prefix(recall.k).contains(names.firstIndex(of: names[row])!)
            }
            #expect(recall.value == Double(found.count) / 18, "recall@\(recall.k)")
        }
        #expect(report.recall.last?.value == 1)
        #expect(abs(report.loss - losses.reduce(0, +) / 3) < 1e-6)
        #expect(abs(report.pairedCosine! - (x * y).sum(-1).mean().item()) < 1e-6)
    }

    @Test func equalEmbeddingsAreNeverFoundFirst() {
        var retrieval = PairedRetrieval()
        let same = Tensor.ones([4, 3])
        retrieval.add(generated: Embeddings(same), real: Embeddings(same), realIDs: ["a", "b", "c", "d"])
        #expect(retrieval.recall([1, 2, 4]).map(\.value) == [0.25, 0.5, 1])
        #expect(abs(retrieval.meanCosine! - 1) < 1e-6)
    }

    @Test func trainingBringsThePairsTogether() throws {
        let task = try Case.full.task()
        let batches = try Batches()
        let before = try task.validate((0..<3).map { batches[$0] }, ranks: [1])
        for step in 0..<20 { _ = try task.step(batches[step]) }
        let after = try task.validate((0..<3).map { batches[$0] }, ranks: [1])
        #expect(after.loss < before.loss / 2)
        #expect(after.pairedCosine! > before.pairedCosine! + 0.05)
        #expect(after.recall[0].value > before.recall[0].value)
    }
}

@Suite struct AlignmentErrorTests {
    private func make(_ change: (inout AlignmentSettings) -> Void) throws -> String {
        let base = try trunk()
        var settings = AlignmentSettings()
        change(&settings)
        return message { _ = try AlignmentTask(trunk: base, settings: settings) }
    }

    @Test func settings() throws {
        #expect(try make { _ in } == "")
        #expect(
            try make { $0.loss.temperature = 0 } == "setting 'loss.temperature' is 0.0, expected a number above 0")
        #expect(
            try make { $0.loss.generatedTextWeight = -1 }
                == "setting 'loss.generatedTextWeight' is -1.0, expected a number of at least 0")
        #expect(
            try make { $0.loss.objective = .none }
                == "objective 'none' without a weighted text term trains nothing; use the base model as it is, or give"
                + " loss.generatedTextWeight or loss.realTextWeight a value above 0")
        #expect(
            try make {
                $0.loss.objective = .none
                $0.loss.generatedTextWeight = 1
            } == "")
        #expect(
            try make { $0.loss.objective = .mixed }
                == "setting 'loss.objective' is mixed, expected another one than mixed, or projection.isShared: mixed"
                + " training has one head")
        #expect(
            try make { $0.projection = ProjectionConfiguration(depth: 2) }
                == "setting 'projection.start' is identity, expected random: an identity needs one layer, dimension 13 and"
                + " no batch normalisation")
        #expect(
            try make {
                $0.projection = ProjectionConfiguration(embeddingDimension: 8, start: .random)
                $0.loss.realTextWeight = 1
            }
                == "setting 'projection.embeddingDimension' is 8, expected 13, the text encoder's, because the loss has"
                + " text terms")
        #expect(
            try make { $0.projection = ProjectionConfiguration(depth: 0, embeddingDimension: 8) }
                == "setting 'projection.embeddingDimension' is 8, expected 13, the encoder's, without a projection (depth 0)"
        )
        #expect(try make { $0.chunkSize = 0 } == "setting 'chunkSize' is 0, expected a whole number above 0")
        #expect(try make { $0.learningRate = -1 } == "setting 'learningRate' is -1.0, expected a number of at least 0")
        #expect(try make { $0.clipNorm = 0 } == "setting 'clipNorm' is 0.0, expected a number above 0")
        #expect(
            try make { $0.tuning = .lora(LoRAConfiguration(rank: -1)) }
                == "LoRA setting 'rank' is -1, expected a whole number above 0")
    }

    @Test func batches() throws {
        let task = try Case.loraText.task()
        let good = try Batches()[0]
        func step(
            _ task: AlignmentTask, ids: [String]? = nil, realIDs: [ExactString]? = nil,
            generated: ImageBatch<Generated>? = nil, real: AlignmentBatch.RealInput? = .none,
            text: AlignmentBatch.TextInput? = .none
        ) -> String {
            message {
                _ = try task.step(
                    AlignmentBatch(
                        ids: ids ?? good.ids, realIDs: realIDs ?? good.realIDs,
                        generated: generated ?? good.generated, real: real, text: text))
            }
        }
        #expect(step(task, real: good.real, text: good.text) == "")
        #expect(step(task, text: good.text) == "the batch has no real images, which the loss compares with")
        #expect(step(task, real: good.real) == "the batch has no texts, which the loss compares with")
        #expect(step(task, realIDs: ["a"], real: good.real, text: good.text) == "a batch of 6 pairs has 1 real ids")
        #expect(
            step(task, generated: ImageBatch(good.generated.pixels[0..<4]), real: good.real, text: good.text)
                == "a batch of 6 pairs has 4 generated images")
        #expect(
            step(task, real: .features(Embeddings(.ones([5, 13]))), text: good.text)
                == "a batch of 6 pairs has 5 real features")
        #expect(
            step(task, real: .features(Embeddings(.ones([6, 12]))), text: good.text)
                == "real features of shape [6, 12], expected [6, 13] of this encoder")
        #expect(
            step(task, ids: ["one"], real: good.real, text: good.text)
                == "step 1: a batch of 1 has no negatives to contrast with; 2 pairs are the least")
        #expect(
            step(try Case.mixed.task(), real: .features(Embeddings(.ones([6, 13]))), text: good.text)
                == "the batch has no real images (only their features), which mixed training passes through the trained"
                + " encoder")
        #expect(message { _ = try task.validate([]) } == "the batch has no pairs, which validation needs at least 2 of")
    }

    @Test func checkpoints() throws {
        try withTemporaryFolder { folder in
            let task = try Case.lora.task()
            #expect(
                message { try task.load(from: folder) }
                    == "checkpoint '\(folder)' has no optimizer.safetensors; is it complete?")
            _ = try task.step(try Batches()[0])
            try task.save(to: folder)
            let other = try AlignmentTask(
                trunk: trunk(),
                settings: AlignmentSettings(projection: ProjectionConfiguration(depth: 2, start: .random)))
            let before = other.fixtureTensors.map { bits($0.tensor) }
            let got = message { try other.load(from: folder) }
            #expect(got.contains("projections.safetensors does not fit DualProjection:"), "\(got)")
            #expect(got.contains("generated.layers.1.weight [13, 13]"), "\(got)")
            #expect(before.count == other.fixtureTensors.count)
            try FileManager.default.removeItem(atPath: "\(folder)/projections.safetensors")
            #expect(
                message { try task.load(from: folder) }
                    == "checkpoint '\(folder)' has no projections.safetensors; is it complete?")
        }
    }
}
