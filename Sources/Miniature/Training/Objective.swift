import Safetensors
import Torch
import TorchNN
import TorchOptim
import Training

/// Defines the training of one kind of model: its loss, its validation, its files.
///
/// All random numbers of a step follow from its number (see `draws`), so a resumed run needs no generator state.
public protocol Objective: AnyObject {
    /// The module that is trained.
    var module: Module { get }

    /// Scalar mean loss of a batch, and further numbers to log.
    func loss(_ batch: SceneBatch, step: Int) throws -> (loss: Tensor, metrics: [Metric])

    /// Called without gradients after each step.
    func constrain()

    /// Numbers on the validation split, for the present weights of `module`.
    func validate() throws -> [Metric]

    /// Writes the model folder with the present weights of `module`.
    func export(to folder: String, dtype: DType) throws
}

extension Objective {
    public func constrain() {}
}

/// Seeds of the random numbers of a training.
struct Draws {
    let seed: Int

    /// For fresh weights.
    var weights: Generator { Generator(seed: SplitMix(seed: UInt64(seed), stream: 21).first) }

    /// For choices in a step: which caption of a scene, which is left out.
    func choices(_ step: Int) -> SplitMix { SplitMix(seed: UInt64(seed) &+ 0x5EED, stream: UInt64(step)) }

    /// For noise tensors in a step; -1 is for numbers that belong to no step.
    func noise(_ step: Int) -> Generator {
        Generator(seed: SplitMix(seed: UInt64(seed) &+ 0xA15E, stream: UInt64(bitPattern: Int64(step))).first)
    }
}

extension SplitMix {
    /// The next number, without advancing.
    var first: UInt64 {
        var copy = self
        return copy.next()
    }
}

/// Trains an objective's module with AdamW; `TrainingLoop` drives it for all four small models.
public final class ObjectiveTask: TrainingTask {
    public let objective: any Objective
    public let settings: TrainingSettings
    public let optimizer: AdamW
    private let schedule: Schedule
    private let average: WeightAverage?

    private enum Files {
        static let model = "model.safetensors"
        static let average = "average.safetensors"
        static let optimizer = "optimizer.safetensors"
    }

    /// - Throws: `OptimizerError`.
    public init(_ objective: any Objective, settings: TrainingSettings) throws {
        self.objective = objective
        self.settings = settings
        schedule = settings.schedule(totalSteps: settings.steps ?? 0)
        let module = objective.module
        module.setRequiresGrad(true)
        module.setTraining(true)
        let parameters = module.namedParameters()
        func isDecayed(_ entry: NamedTensor) -> Bool {
            entry.tensor.rank > 1 && !entry.key.contains("embedding") && !entry.key.contains("wte")
                && !entry.key.contains("wpe")
        }
        optimizer = try AdamW(
            [
                ParameterGroup(
                    name: "matrices", parameters: parameters.filter(isDecayed), learningRate: settings.learningRate,
                    weightDecay: settings.weightDecay),
                ParameterGroup(
                    name: "others", parameters: parameters.filter { !isDecayed($0) },
                    learningRate: settings.learningRate, weightDecay: 0),
            ], beta2: settings.beta2)
        average = settings.averageDecay > 0 ? WeightAverage(of: parameters, decay: settings.averageDecay) : nil
    }

    public func step(_ batch: SceneBatch, step: Int) throws -> StepReport {
        let (loss, metrics) = try objective.loss(batch, step: step)
        let value = loss.item()
        guard value.isFinite else {
            throw TrainingError.nonFiniteLoss(step: step + 1, value: "\(value)", samples: batch.ids)
        }
        loss.backward()
        let norm = clipGradientNorm(optimizer.parameters, maximum: settings.clipNorm ?? .infinity)
        guard norm.isFinite else {
            throw TrainingError.nonFiniteLoss(
                step: step + 1, value: "\(value), its gradient's norm \(norm)", samples: batch.ids)
        }
        let factor = schedule.factor(at: step)
        optimizer.step(scale: factor)
        optimizer.zeroGradients()
        withoutGradients {
            objective.constrain()
            average?.update(step: step)
        }
        return StepReport(
            loss: value,
            metrics: metrics + [
                Metric("gradient_norm", norm), Metric("learning_rate", settings.learningRate * factor),
            ])
    }

    public func validate() throws -> [Metric] {
        try finished { try objective.validate() }
    }

    /// Writes the model folder, with the averaged weights if there is an average.
    public func export(to folder: String, dtype: DType) throws {
        try finished { try objective.export(to: folder, dtype: dtype) }
    }

    /// Runs `body` in inference with the weights that are kept.
    private func finished<Result>(_ body: () throws -> Result) rethrows -> Result {
        let module = objective.module
        module.setTraining(false)
        module.weightsDidChange()
        defer {
            module.setTraining(true)
            module.weightsDidChange()
        }
        return try withoutGradients {
            guard let average else { return try body() }
            average.exchange()
            defer { average.exchange() }
            return try body()
        }
    }

    public func save(to folder: String) throws {
        try objective.module.save(to: "\(folder)/\(Files.model)", metadata: ["format": "pt"])
        if let average { try Weights.save(average.tensors, to: "\(folder)/\(Files.average)") }
        try Weights.save(optimizer.stateTensors, to: "\(folder)/\(Files.optimizer)")
    }

    public func load(from folder: String) throws {
        // Copied into place: the optimizer holds these tensors.
        try objective.module.overwrite(from: Weights(path: "\(folder)/\(Files.model)"))
        if let average {
            try average.tensors.map { NamedTensor(key: $0.key, tensor: $0.tensor) }
                .overwrite(from: Weights(path: "\(folder)/\(Files.average)"), model: "average")
        }
        try optimizer.loadState(Weights(path: "\(folder)/\(Files.optimizer)"))
    }

    public var generatorStates: [String: [UInt8]] { [:] }
    public func restoreGenerators(_ states: [String: [UInt8]]) {}
}

/// A moving average of weights, which is smoother than the weights of any single step, because a constant learning rate
/// keeps those moving.
final class WeightAverage {
    /// The averages by key.
    let tensors: [(key: String, tensor: Tensor)]
    private let weights: [Tensor]
    private let decay: Double

    /// - Parameter decay: per step; it is smaller in the first steps, so that the initial weights are soon forgotten.
    init(of parameters: [NamedTensor], decay: Double) {
        weights = parameters.map(\.tensor)
        tensors = withoutGradients { parameters.map { ($0.key, $0.tensor.detached().clone()) } }
        self.decay = decay
    }

    func update(step: Int) {
        let decay = min(decay, Double(step + 1) / Double(step + 10))
        for (average, weight) in zip(tensors, weights) {
            average.tensor.scaleInPlace(decay)
            average.tensor.addInPlace(weight.detached(), alpha: 1 - decay)
        }
    }

    /// Swaps weights and average.
    func exchange() {
        for (average, weight) in zip(tensors, weights) {
            let kept = weight.detached().clone()
            weight.copy(from: average.tensor)
            average.tensor.copy(from: kept)
        }
    }
}
