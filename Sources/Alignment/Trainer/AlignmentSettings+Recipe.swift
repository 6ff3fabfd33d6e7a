import Adapters
import Encoders
import Torch
import TorchOptim
import Training

extension AlignmentSettings {
    /// The settings in a recipe.
    /// - Parameters:
    ///   - encoder: names the layers that get adapters unless the recipe does.
    ///   - dtype: the meaning of `auto` on the device in use.
    public init(_ recipe: AlignmentRecipe, encoder: any ImageEncoder, dtype: DType) {
        let training = recipe.training
        self.init(
            tuning: Tuning(recipe.adapter, encoder: encoder), projection: ProjectionConfiguration(recipe.projection),
            loss: AlignmentLoss(recipe.loss), learningRate: training.learningRate,
            projectionLearningRate: recipe.projection.learningRate, weightDecay: training.weightDecay,
            // Only schedules that end with the run need its length, which the trainer sets.
            schedule: training.schedule(totalSteps: training.steps ?? 0), clipNorm: training.clipNorm,
            chunkSize: training.microBatchSize, dtype: dtype, seed: UInt64(training.seed))
        trainsTextPositions = recipe.text.trainPositions
        textLearningRate = recipe.text.learningRate
        beta2 = training.beta2
        epsilon = training.epsilon
    }
}

extension Tuning {
    init(_ adapter: AlignmentRecipe.AdapterSettings, encoder: any ImageEncoder) {
        switch adapter.kind {
        case .lora:
            self = .lora(
                LoRAConfiguration(
                    rank: adapter.rank, alpha: adapter.alpha, dropout: adapter.dropout,
                    targets: .names(adapter.targets ?? encoder.adapterTargets, prefix: encoder.imageTower)))
        case .full: self = .full
        case .none: self = .frozen
        }
    }
}

extension ProjectionConfiguration {
    init(_ projection: AlignmentRecipe.ProjectionSettings) {
        let depth =
            switch projection.kind {
            case .none: 0
            case .linear: 1
            case .mlp: 2
            }
        // An MLP cannot start as the identity, because there is a non-linear function between its layers.
        self.init(
            depth: depth, embeddingDimension: projection.dimension, isBatchNormalized: projection.batchNormalization,
            start: depth == 2 || projection.dimension != nil ? .random : .identity)
    }
}

extension AlignmentLoss {
    init(_ loss: AlignmentRecipe.LossSettings) {
        let objective: Objective =
            switch (loss.kind, loss.direction) {
            case (.alignment, .oneWay): .generatedToReal
            case (.alignment, .symmetric): .symmetric
            case (.sigmoid, _): .sigmoid
            case (.mixed, _): .mixed
            case (.none, _), (.meanShift, _), (.coral, _), (.ridge, _): .none
            }
        self.init(
            // A calibrated one is set before the first step.
            objective: objective, temperature: loss.temperature.value ?? 0.07,
            generatedTextWeight: loss.generatedTextWeight,
            realTextWeight: loss.realTextWeight)
        textTemperature = loss.textTemperature
        labelSmoothing = loss.labelSmoothing
        shortCaptionWeight = loss.shortCaptionWeight
        principalComponents = loss.principalComponents
        sigmoid = SigmoidSettings(scale: loss.scale, bias: loss.bias, isTrained: loss.trainScale)
    }
}

extension CLIPFlow {
    public init(_ flow: AlignmentRecipe.EvaluationSettings.CLIPFlow) {
        self = flow == .original ? .original : .tuned
    }
}
