// What the loop knows of a task and of its data; everything else is the task's own business.

import Datasets

/// A batch as the loop sees it.
public protocol TrainingBatch {
    /// Where the sampler stands once the batch is used.
    var next: SamplerPosition { get }
    /// Pairs in it.
    var count: Int { get }
    /// Their ids, for errors.
    var ids: [String] { get }
}

/// Where batches come from.
public protocol BatchSource {
    associatedtype Batch: TrainingBatch
    /// The next batch; nil at the end of the data.
    func next() throws -> Batch?
    /// Time spent in `next()` waiting, so far.
    var waited: Duration { get }
    /// Samples left out so far, those before a resume included.
    var skipped: [SkippedSample] { get }
}

extension PiecewiseBatch: TrainingBatch {}
extension PiecewiseLoader: BatchSource {}

/// What one optimizer step did.
public struct StepReport: Sendable, Equatable {
    /// Mean over the batch, before the step.
    public var loss: Double
    /// Further numbers to log, such as the gradient's norm and the learning rate; functions of the training alone, never
    /// of the clock.
    public var metrics: [Metric]

    public init(loss: Double, metrics: [Metric] = []) {
        self.loss = loss
        self.metrics = metrics
    }
}

/// A model, its loss and its optimizer: what `TrainingLoop` drives.
///
/// Bit-exact resume is a contract between both: everything that influences later steps is either a function of the step
/// number, or written by `save` / named in `generatorStates`.
public protocol TrainingTask: AnyObject {
    associatedtype Batch: TrainingBatch

    /// Makes optimizer step number `step` (0 for the first): forward, loss, backward, clip, step.
    /// - Throws: ``TrainingError/nonFiniteLoss(step:value:samples:)`` before the optimizer step when the loss or the
    ///   gradient is not finite.
    func step(_ batch: Batch, step: Int) throws -> StepReport

    /// Numbers on the validation data; must leave parameters, optimizer and generators as they are. Empty when the task
    /// has none.
    func validate() throws -> [Metric]

    /// Writes parameters and optimizer state into `folder`, which is empty (`adapter_model.safetensors`,
    /// `projections.safetensors`, `optimizer.safetensors`, …), and syncs them.
    func save(to folder: String) throws

    /// Takes over what `save` wrote, strictly.
    func load(from folder: String) throws

    /// State of every random generator that steps draw from, by name.
    var generatorStates: [String: [UInt8]] { get }

    /// Takes over the states; the names have been checked to be those of `generatorStates`.
    func restoreGenerators(_ states: [String: [UInt8]]) throws
}
