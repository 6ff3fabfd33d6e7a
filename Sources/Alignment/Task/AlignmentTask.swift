import Adapters
import Encoders
import Torch
import TorchNN
import TorchOptim
import Training

/// Everything that decides how `f_g` is trained, with the paper's numbers where it gives them.
public struct AlignmentSettings: Sendable, Equatable {
    public var tuning: Tuning
    public var projection: ProjectionConfiguration
    public var loss: AlignmentLoss
    /// Learning rate of the encoder: 1e-4 in the paper.
    public var learningRate: Double
    /// Learning rate of the projections; nil means `learningRate`.
    public var projectionLearningRate: Double?
    public var weightDecay: Double
    /// Whether the text encoder's positions from 20 on are trained; texts then come as token ids.
    public var trainsTextPositions = false
    /// Of the text positions; nil is `learningRate`.
    public var textLearningRate: Double?
    /// AdamW's.
    public var beta2 = 0.999
    /// AdamW's.
    public var epsilon = 1e-8
    public var schedule: Schedule
    /// Largest norm of the gradient of all trained parameters; nil clips nothing.
    public var clipNorm: Double?
    /// Images in one pass with a graph; nil means the whole batch. Smaller parts use gradient caching.
    public var chunkSize: Int?
    /// Dtype of the encoders' matrix products: float32, or bfloat16 under autocast.
    public var dtype: DType
    /// Seeds the initial weights and the dropout masks.
    public var seed: UInt64

    public init(
        tuning: Tuning = .default, projection: ProjectionConfiguration = ProjectionConfiguration(),
        loss: AlignmentLoss = AlignmentLoss(), learningRate: Double = 1e-4, projectionLearningRate: Double? = nil,
        weightDecay: Double = 0.01,
        schedule: Schedule = .cosineWarmRestarts(firstPeriod: 10_000, multiplier: 1, warmup: 0, minimum: 0),
        clipNorm: Double? = 1, chunkSize: Int? = nil, dtype: DType = .float32, seed: UInt64 = 0
    ) {
        self.tuning = tuning
        self.projection = projection
        self.loss = loss
        self.learningRate = learningRate
        self.projectionLearningRate = projectionLearningRate
        self.weightDecay = weightDecay
        self.schedule = schedule
        self.clipNorm = clipNorm
        self.chunkSize = chunkSize
        self.dtype = dtype
        self.seed = seed
    }

    /// Checks how the settings fit together and whether they fit the encoder.
    /// - Throws: `SettingError`, `AlignmentError`, `AdapterError`
    public func validate(input: Int, textInput: Int?) throws {
        if case .lora(let configuration) = tuning { try configuration.validate() }
        try projection.validate(input: input)
        try loss.validate(projection: projection, input: input, textInput: textInput)
        for (name, value) in [
            ("learningRate", learningRate), ("projection.learningRate", projectionLearningRate ?? 0),
            ("text.learningRate", textLearningRate ?? 0),
            ("weightDecay", weightDecay),
        ] { try SettingError.require(value >= 0 && value.isFinite, name, "a number of at least 0", value) }
        if let clipNorm { try SettingError.require(clipNorm > 0, "clipNorm", "a number above 0", clipNorm) }
        if let chunkSize { try SettingError.require(chunkSize > 0, "chunkSize", "a whole number above 0", chunkSize) }
    }
}

/// The alignment itself: towers, projections, loss and optimizer, advanced one batch at a time.
///
/// It knows nothing of files, loaders and logs. The trainer calls `step(_:)`, and `save(to:)` and `load(from:)` around
/// it.
public final class AlignmentTask {
    public internal(set) var settings: AlignmentSettings
    public let towers: ModalityTowers
    public let projection: DualProjection
    /// Of the sigmoid loss; nil for the others.
    public let scale: SigmoidScale?
    /// The text encoder with the positions that are trained; nil where texts come as features.
    public let text: TunedText?
    public let optimizer: AdamW
    public let device: Device
    /// Steps done.
    public internal(set) var step = 0

    /// Draws dropout masks; part of the state.
    let dropoutGenerator: Generator

    /// - Parameters:
    ///   - trunk: the pretrained model, on the training device; it is frozen.
    ///   - textDimension: dimension of the text encoder's embeddings; nil if there is none and no loss has text terms.
    /// - Throws: `SettingError`, `AlignmentError`, `AdapterError`, `OptimizerError`
    public init(trunk: any ImageEncoder, textDimension: Int?, settings: AlignmentSettings) throws {
        try settings.validate(input: trunk.embeddingDimension, textInput: textDimension)
        self.settings = settings
        device = trunk.device
        // Two independent sequences: another kind of projection must not change the adapter's initial values.
        let adapterGenerator = Generator(seed: settings.seed)
        let projectionGenerator = Generator(seed: settings.seed &+ 0x9E37_79B9)
        dropoutGenerator = Generator(seed: settings.seed &+ 0x5851_F42D, device: device)
        towers = try ModalityTowers(
            trunk: trunk, tuning: settings.tuning, generator: adapterGenerator, dropoutGenerator: dropoutGenerator)
        projection = try DualProjection(
            settings.projection, input: trunk.embeddingDimension, generator: projectionGenerator, device: device)
        let own = trunk.learnedScale, sigmoid = settings.loss.sigmoid
        scale =
            settings.loss.objective == .sigmoid
            ? SigmoidScale(
                scale: sigmoid.scale ?? own?.scale ?? 10, bias: sigmoid.bias ?? own?.bias ?? -10, device: device) : nil
        scale?.setRequiresGrad(sigmoid.isTrained)
        var groups: [ParameterGroup] = []
        if settings.tuning != .frozen {
            groups.append(
                ParameterGroup(
                    name: towers.adapter == nil ? "encoder" : "adapter", parameters: towers.trainedParameters,
                    learningRate: settings.learningRate, weightDecay: settings.weightDecay))
        }
        let heads = projection.namedParameters(prefix: "projection")
        if !heads.isEmpty {
            groups.append(
                ParameterGroup(
                    name: "projection", parameters: heads,
                    learningRate: settings.projectionLearningRate ?? settings.learningRate,
                    weightDecay: settings.weightDecay))
        }
        text = settings.trainsTextPositions && settings.loss.needsText ? try TunedText(towers.tuned) : nil
        if let text {
            groups.append(
                ParameterGroup(
                    name: "text_positions", parameters: text.namedParameters(prefix: "text"),
                    learningRate: settings.textLearningRate ?? settings.learningRate,
                    weightDecay: settings.weightDecay))
        }
        if let scale, sigmoid.isTrained {
            // Decay would pull the scale to 1 and the bias to 0, which are no resting places.
            groups.append(
                ParameterGroup(
                    name: "loss", parameters: scale.namedParameters(prefix: "loss"),
                    learningRate: settings.learningRate, weightDecay: 0))
        }
        optimizer = try AdamW(groups, beta2: settings.beta2, eps: settings.epsilon)
    }

    /// One optimizer step on a batch: forward, loss, backward, clip, AdamW.
    ///
    /// A batch of one piece is an ordinary full batch; several pieces pass through the encoder one at a time
    /// (`GradientCaching`).
    /// - Returns: the loss before the step, and as metrics `gradient_norm` (before clipping), `paired_cosine` (of the batch's
    ///   generated and real embeddings in the shared space, where there are real images), `loss/…` for every term before its
    ///   weight where there are several, `logit_scale` and `logit_bias` of the
    ///   sigmoid loss after the step, and `learning_rate/…` for every parameter group.
    /// - Throws: `AlignmentError`: a batch that does not fit the loss, or a loss or gradient that is not finite; what the
    ///   pieces throw. No weight and no running statistic is changed then.
    public func step(_ batch: AlignmentPieces) throws -> StepReport {
        setTraining(true)
        defer { setTraining(false) }
        optimizer.zeroGradients()
        // Batch normalisation updates its statistics in the forward pass, before it is known whether the step is taken.
        let statistics = projection.bufferValues()
        do {
            let outcome = try packingFrozenWeights { try backward(batch) }
            let norm = clipGradientNorm(optimizer.parameters, maximum: settings.clipNorm ?? .infinity)
            guard norm.isFinite else {
                throw AlignmentError.nonFiniteGradient(step: step + 1, norm: "\(norm)", samples: outcome.ids)
            }
            let factor = settings.schedule.factor(at: step)
            optimizer.step(scale: factor)
            optimizer.zeroGradients()
            step += 1
            return report(outcome, norm: norm, factor: factor)
        } catch {
            optimizer.zeroGradients()
            statistics.restore()
            throw error
        }
    }

    private func report(_ outcome: Outcome, norm: Double, factor: Double) -> StepReport {
        var metrics = [Metric("gradient_norm", norm)]
        if let cosine = outcome.pairedCosine { metrics.append(Metric("paired_cosine", cosine)) }
        if outcome.terms.count > 1 { metrics += outcome.terms.map { Metric("loss/\($0.name)", $0.value) } }
        if let scale {
            metrics += [Metric("logit_scale", scale.logarithm.exp().item()), Metric("logit_bias", scale.bias.item())]
        }
        metrics += optimizer.groups.map { Metric("learning_rate/\($0.name)", $0.learningRate * factor) }
        return StepReport(loss: outcome.loss, metrics: metrics)
    }

    struct Outcome {
        let ids: [String]
        let loss: Double
        let terms: [Metric]
        let pairedCosine: Double?
    }

    /// Adds the gradient of the batch's loss to every trained parameter.
    func backward(_ batch: AlignmentPieces) throws -> Outcome {
        let parts = parts(of: batch)
        return try GradientCaching.backward(
            part: { try parts[$0] }, generator: dropoutGenerator, encode: encode,
            loss: { features in
                var pairs = try self.pairs(of: batch, parts)
                // As many rows of each as there are pairs, in the order of the parts.
                var rest = features
                func next() -> Tensor {
                    defer { rest = rest[pairs.ids.count..<rest.size(0)] }
                    return rest[0..<pairs.ids.count]
                }
                let generated = Embeddings<Generated>(next())
                if self.settings.loss.needsRealPixels { pairs.real = Embeddings<Real>(next()) }
                if self.text != nil { pairs.text = next() }
                if self.readsShortText { pairs.shortText = next() }
                return try self.loss(generated: generated, real: pairs.real, pairs)
            })
    }

    func parts(of batch: AlignmentPieces) -> AlignmentPieces.Parts {
        AlignmentPieces.Parts(
            batch, readsReal: settings.loss.needsRealPixels, readsText: text != nil, readsShortText: readsShortText)
    }

    /// Whether short captions pass through the text encoder in every step.
    private var readsShortText: Bool { text != nil && settings.loss.needsShortText }

    /// What belongs to a batch all of whose parts have come.
    func pairs(of batch: AlignmentPieces, _ parts: AlignmentPieces.Parts) throws -> AlignmentPieces.Pairs {
        var pairs = try batch.pairs()
        try pairs.validate(
            for: settings.loss, embeddingDimension: towers.trunk.embeddingDimension, step: step,
            generated: parts.count(of: .generated),
            realImages: settings.loss.needsRealPixels ? parts.count(of: .real) : nil,
            texts: text == nil ? nil : parts.count(of: .text),
            shortTexts: readsShortText ? parts.count(of: .shortText) : nil)
        pairs.real = pairs.real.map { Embeddings<Real>($0.tensor.detached().to(device).to(.float32)) }
        pairs.text = pairs.text?.detached().to(device).to(.float32)
        pairs.shortText = pairs.shortText?.detached().to(device).to(.float32)
        return pairs
    }

    /// A part of a batch through the trained encoder: `[b, E]`, float32.
    func encode(_ part: AlignmentPieces.Part) -> Tensor {
        computing {
            switch part {
            case .generated(let images): towers.generated(images).tensor
            case .real(let images): towers.real(images, reading: .tuned).tensor
            case .text(let ids), .shortText(let ids): text!.features(ids.to(device))
            }
        }.to(.float32)
    }

    /// The loss on encoder outputs, through the projections.
    private func loss(
        generated: Embeddings<Generated>, real: Embeddings<Real>?, _ pairs: AlignmentPieces.Pairs
    ) throws -> (value: Tensor, result: Outcome) {
        let projectedGenerated = projection(generated)
        let projectedReal = real.map { projection($0) }
        let terms = settings.loss(
            generated: projectedGenerated, real: projectedReal, text: pairs.text, shortText: pairs.shortText,
            realIDs: pairs.realIDs, scale: scale)
        let loss = terms.total.item()
        let parts = terms.parts.map { Metric($0.name, $0.value.item()) }
        guard loss.isFinite else {
            throw AlignmentError.nonFiniteLoss(
                step: step + 1, terms: parts.map { "\($0.name) \($0.value)" }.joined(separator: ", "),
                samples: pairs.ids)
        }
        let cosine = projectedReal.map { pairedCosine(projectedGenerated, $0).mean().item() }
        return (terms.total, Outcome(ids: pairs.ids, loss: loss, terms: parts, pairedCosine: cosine))
    }

    /// Runs an encoder in the precision of the settings.
    func computing(_ body: () -> Tensor) -> Tensor { Torch.computing(in: settings.dtype, on: device, body) }

    func setTraining(_ on: Bool) {
        towers.setTraining(on)
        projection.setTraining(on)
    }
}

/// Cosine of each generated embedding with the real one of its pair: `[B]`, without gradient.
public func pairedCosine(_ generated: Embeddings<Generated>, _ real: Embeddings<Real>) -> Tensor {
    withoutGradients { (generated.tensor.normalized() * real.tensor.normalized()).sum(-1) }
}
