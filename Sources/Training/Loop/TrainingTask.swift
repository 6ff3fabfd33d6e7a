// What the loop knows of a task and of its data; everything else is up to the task.

import Datasets

/// A batch in the loop's terms.
public protocol TrainingBatch {
    /// The position of the sampler after the batch.
    var next: SamplerPosition { get }
    /// The number of pairs in it.
    var count: Int { get }
    /// Their ids, for errors.
    var ids: [String] { get }
}

/// Where batches come from.
public protocol BatchSource {
    associatedtype Batch: TrainingBatch
    /// The next batch; nil at the end of the data.
    func next() throws -> Batch?
    /// Time spent waiting in `next()` so far.
    var waited: Duration { get }
    /// Samples left out so far, including those before a resume.
    var skipped: [SkippedSample] { get }
}

extension PiecewiseBatch: TrainingBatch {}
extension PiecewiseLoader: BatchSource {}

/// The result of one optimizer step.
public struct StepReport: Sendable, Equatable {
    /// Mean over the batch, before the step.
    public var loss: Double
    /// Further numbers to log, such as the gradient's norm and the learning rate; they depend only on the training,
    /// never on the time.
    public var metrics: [Metric]

    public init(loss: Double, metrics: [Metric] = []) {
        self.loss = loss
        self.metrics = metrics
    }
}

/// A model, its loss and its optimizer: what `TrainingLoop` drives.
///
/// Bit-exact resume is a contract between both: everything that influences later steps is either a function of the step
/// number, or written by `save`, or named in `generatorStates`.
public protocol TrainingTask: AnyObject {
    associatedtype Batch: TrainingBatch

    /// Takes optimizer step number `step` (0 for the first): forward, loss, backward, clip, step.
    /// - Throws: ``TrainingError/nonFiniteLoss(step:value:samples:)`` before the optimizer step when the loss or the
    ///   gradient is not finite.
    func step(_ batch: Batch, step: Int) throws -> StepReport

    /// Numbers on the validation data; must not change parameters, optimizer and generators. Empty if the task has no
    /// validation data.
    func validate() throws -> [Metric]

    /// Writes parameters and optimizer state into `folder`, which is empty (`adapter_model.safetensors`,
    /// `projections.safetensors`, `optimizer.safetensors`, …), and syncs them.
    func save(to folder: String) throws

    /// Takes over what `save` wrote, strictly.
    func load(from folder: String) throws

    /// State of every random generator from which steps draw, by name.
    var generatorStates: [String: [UInt8]] { get }

    /// Takes over the states; their names are known to be those of `generatorStates`.
    func restoreGenerators(_ states: [String: [UInt8]]) throws
}
