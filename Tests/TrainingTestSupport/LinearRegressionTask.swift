// The smallest task that has everything a checkpoint must keep: parameters, optimizer moments, a schedule, a random
// generator that steps draw from, and a sampler.

import Datasets
import Foundation
import Terminal
import Torch
import TorchNN
import TorchOptim
import Training

public struct IndexBatch: TrainingBatch {
    public let indices: [Int]
    public let next: SamplerPosition
    public var count: Int { indices.count }
    public var ids: [String] { indices.map { "sample-\($0)" } }
}

/// Batches of bare indices.
public final class IndexSource: BatchSource {
    private var sampler: ShuffledSampler
    public let waited: Duration = .zero
    public let skipped: [SkippedSample]

    public init(position: SamplerPosition, skipped: [SkippedSample] = []) throws {
        sampler = try ShuffledSampler(count: 37, batchSize: 8, seed: 3, position: position)
        self.skipped = skipped
    }

    public func next() -> IndexBatch? {
        sampler.next().map { IndexBatch(indices: $0.indices, next: $0.next) }
    }
}

/// Fits `y = W x + b` to a fixed map, with noise on the inputs.
public final class LinearRegressionTask: TrainingTask {
    public let model = Linear(5, 3)
    private let optimizer: AdamW
    private let generator: Generator
    private let schedule = Schedule.cosineWarmRestarts(firstPeriod: 7, multiplier: 2, warmup: 3, minimum: 0.1)
    /// The step (from 0) whose loss is made infinite; for tests.
    public var poisonedStep: Int?
    /// What validation reports as `score` after so many steps; for tests.
    public var scores: [Int: Double] = [:]
    private var stepsDone = 0
    /// Thrown by `save` when set; for tests.
    public var saveError: (any Error)?

    public init(seed: UInt64 = 11) throws {
        model.initialize(generator: Generator(seed: seed))
        model.setRequiresGrad(true)
        optimizer = try AdamW([
            ParameterGroup(
                name: "linear", parameters: model.namedParameters(), learningRate: 0.05, weightDecay: 0.01)
        ])
        generator = Generator(seed: seed &+ 1)
    }

    private func data(_ indices: [Int]) -> (x: Tensor, y: Tensor) {
        let x = indices.flatMap { index in (0..<5).map { Float(sin(Double(index * 5 + $0))) } }
        let inputs = Tensor(x, shape: [indices.count, 5])
        let weight = Tensor((0..<15).map { Float($0) * 0.1 - 0.7 }, shape: [3, 5])
        return (inputs, inputs.matmul(weight.transposed()))
    }

    public func step(_ batch: IndexBatch, step: Int) throws -> StepReport {
        stepsDone = step + 1
        let (x, y) = data(batch.indices)
        let noisy = x + Tensor.randn(x.shape, generator: generator) * 0.01
        let loss = Functional.meanSquaredError(model(noisy), y)
        let value: Double = step == poisonedStep ? .infinity : loss.item()
        guard value.isFinite else {
            throw TrainingError.nonFiniteLoss(step: step + 1, value: "\(value)", samples: batch.ids)
        }
        optimizer.zeroGradients()
        loss.backward()
        let norm = clipGradientNorm(optimizer.parameters, maximum: 1)
        let factor = schedule.factor(at: step)
        optimizer.step(scale: factor)
        return StepReport(
            loss: value, metrics: [Metric("gradient_norm", norm), Metric("learning_rate", 0.05 * factor)])
    }

    public func validate() throws -> [Metric] {
        let (x, y) = data(Array(100..<116))
        let loss = Metric("loss", withoutGradients { Functional.meanSquaredError(model(x), y).item() })
        return [loss] + (scores[stepsDone].map { [Metric("score", $0)] } ?? [])
    }

    public func save(to folder: String) throws {
        if let saveError { throw saveError }
        try model.save(to: "\(folder)/model.safetensors")
        try Weights.save(optimizer.stateTensors, to: "\(folder)/optimizer.safetensors")
    }

    public func load(from folder: String) throws {
        try model.overwrite(from: Weights(path: "\(folder)/model.safetensors"))
        try optimizer.loadState(Weights(path: "\(folder)/optimizer.safetensors"))
    }

    public var generatorStates: [String: [UInt8]] { ["noise": generator.state] }

    public func restoreGenerators(_ states: [String: [UInt8]]) throws { generator.state = states["noise"]! }

    /// Runs the task in `folder`, from wherever it is, to `steps`.
    @discardableResult
    public static func run(
        folder path: String, steps: Int, stop: StopSignal = StopSignal(), checkpointEvery: Int = 5, keep: Int = 2,
        best: String? = nil, patience: Int? = nil, scores: [Int: Double] = [:],
        afterEachBatch: @escaping (Int) -> Void = { _ in }
    ) throws -> LoopOutcome {
        let run =
            RunFolder.exists(path) ? try RunFolder.resume(path) : try RunFolder.create(path, recipe: ToyRecipe())
        let task = try LinearRegressionTask()
        task.scores = scores
        let loop = TrainingLoop(
            task: task, run: run,
            settings: LoopSettings(
                totalSteps: steps, logEvery: 1, validationEvery: 4, checkpointEvery: checkpointEvery,
                keepCheckpoints: keep, bestMetric: best, patience: patience),
            stop: stop
        ) { position, skipped in try NotifyingSource(IndexSource(position: position, skipped: skipped), afterEachBatch)
        }
        return try loop.run()
    }
}

/// Tells after every batch how many there were.
public final class NotifyingSource: BatchSource {
    private let source: IndexSource
    private let notify: (Int) -> Void
    private var count = 0

    public init(_ source: IndexSource, _ notify: @escaping (Int) -> Void) {
        self.source = source
        self.notify = notify
    }

    public var waited: Duration { source.waited }
    public var skipped: [SkippedSample] { source.skipped }

    public func next() -> IndexBatch? {
        notify(count)
        count += 1
        return source.next()
    }
}
