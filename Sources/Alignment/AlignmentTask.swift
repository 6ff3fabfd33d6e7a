import Adapters
import Torch
import TorchNN
import TorchOptim

/// Number format of the encoders' matrix products.
public enum Precision: String, Sendable, Codable, CaseIterable {
    case float32
    /// Autocast: weights, projections and loss stay float32.
    case bfloat16
}

/// Everything that decides how `f_g` is trained; the paper's numbers where it states them.
public struct AlignmentSettings: Sendable, Equatable {
    public var tuning: Tuning
    public var projection: ProjectionConfiguration
    public var loss: AlignmentLoss
    /// Of the encoder: 1e-4 in the paper.
    public var learningRate: Double
    /// Of the projections; nil is `learningRate`.
    public var projectionLearningRate: Double?
    public var weightDecay: Double
    public var schedule: Schedule
    /// Largest norm of the gradient of everything trained; nil clips nothing.
    public var clipNorm: Double?
    /// Images that one pass with a graph holds; nil is the whole batch. Smaller parts use gradient caching.
    public var chunkSize: Int?
    public var precision: Precision
    /// Seeds the initial weights and the dropout masks.
    public var seed: UInt64

    public init(
        tuning: Tuning = .default, projection: ProjectionConfiguration = ProjectionConfiguration(),
        loss: AlignmentLoss = AlignmentLoss(), learningRate: Double = 1e-4, projectionLearningRate: Double? = nil,
        weightDecay: Double = 0.01,
        schedule: Schedule = .cosineWarmRestarts(firstPeriod: 10_000, multiplier: 1, warmup: 0, minimum: 0),
        clipNorm: Double? = 1, chunkSize: Int? = nil, precision: Precision = .float32, seed: UInt64 = 0
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
        self.precision = precision
        self.seed = seed
    }

    /// - Throws: `AlignmentError`, `AdapterError`
    public func validate(input: Int) throws {
        func require(_ holds: Bool, _ setting: String, _ expected: String, _ got: String) throws {
            if !holds { throw AlignmentError.invalidSetting(setting: setting, expected: expected, got: got) }
        }
        if case .lora(let configuration) = tuning { try configuration.validate() }
        try projection.validate(input: input)
        try loss.validate(projection: projection, input: input)
        try require(
            learningRate >= 0 && learningRate.isFinite, "learningRate", "a number of at least 0", "\(learningRate)")
        if let rate = projectionLearningRate {
            try require(rate >= 0 && rate.isFinite, "projectionLearningRate", "a number of at least 0", "\(rate)")
        }
        try require(weightDecay >= 0 && weightDecay.isFinite, "weightDecay", "a number of at least 0", "\(weightDecay)")
        if let clipNorm { try require(clipNorm > 0, "clipNorm", "a number above 0", "\(clipNorm)") }
        if let chunkSize { try require(chunkSize > 0, "chunkSize", "a whole number above 0", "\(chunkSize)") }
    }
}

/// What one step did.
public struct StepReport: Sendable, Equatable {
    /// 0 for the first.
    public let step: Int
    public let loss: Double
    /// Terms of the loss before their weights, in order.
    public let terms: [Term]
    /// Norm of all gradients before clipping.
    public let gradientNorm: Double
    /// Of each parameter group.
    public let learningRates: [Term]
    /// Mean cosine of the batch's generated and real embeddings in the shared space; nil without real images.
    public let pairedCosine: Double?

    public struct Term: Sendable, Equatable {
        public let name: String
        public let value: Double
    }
}

/// The alignment itself: towers, projections, loss and optimizer, advanced one batch at a time.
///
/// Knows nothing of files, loaders and logs. The trainer calls `step(_:)`, and `save(to:)` and `load(from:)` around it.
public final class AlignmentTask {
    public let settings: AlignmentSettings
    public let towers: ModalityTowers
    public let projection: DualProjection
    public let optimizer: AdamW
    public let device: Device
    /// Steps done.
    public internal(set) var step = 0

    /// Draws dropout masks; part of the state.
    let dropoutGenerator: Generator

    /// - Parameter trunk: the pretrained model, on the device to train on; is frozen.
    /// - Throws: `AlignmentError`, `AdapterError`, `OptimizerError`
    public init(trunk: any AlignableEncoder, settings: AlignmentSettings) throws {
        try settings.validate(input: trunk.embeddingDimension)
        self.settings = settings
        device = trunk.namedParameters().first?.tensor.device ?? .cpu
        // Two sequences of their own: another kind of projection must not change the adapter's start.
        let adapterGenerator = Generator(seed: settings.seed)
        let projectionGenerator = Generator(seed: settings.seed &+ 0x9E37_79B9)
        dropoutGenerator = Generator(seed: settings.seed &+ 0x5851_F42D, device: device)
        towers = try ModalityTowers(
            trunk: trunk, tuning: settings.tuning, generator: adapterGenerator, dropoutGenerator: dropoutGenerator)
        projection = try DualProjection(
            settings.projection, input: trunk.embeddingDimension, generator: projectionGenerator, device: device)
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
        optimizer = try AdamW(groups)
    }

    /// One optimizer step on a batch: forward, loss, backward, clip, AdamW.
    /// - Throws: `AlignmentError`: a batch that does not fit the loss, or a loss or gradient that is not finite; no
    ///   weight is changed then.
    public func step(_ batch: AlignmentBatch) throws -> StepReport {
        try step { try self.backward(batch) }
    }

    /// The same for a batch that comes in pieces: one piece is an ordinary full batch, several are passed through the
    /// encoder one at a time (`GradientCaching`), whatever `chunkSize` says.
    /// - Throws: also what the pieces throw; no weight is changed then.
    public func step(_ batch: AlignmentPieces) throws -> StepReport {
        try step { try self.backward(batch) }
    }

    private func step(_ backward: () throws -> Outcome) throws -> StepReport {
        setTraining(true)
        defer { setTraining(false) }
        optimizer.zeroGradients()
        let outcome = try packingFrozenWeights(backward)
        let norm = clipGradientNorm(optimizer.parameters, maximum: settings.clipNorm ?? .infinity)
        guard norm.isFinite else {
            optimizer.zeroGradients()
            throw AlignmentError.nonFiniteGradient(step: step, norm: "\(norm)", samples: outcome.ids)
        }
        let factor = settings.schedule.factor(at: step)
        optimizer.step(scale: factor)
        optimizer.zeroGradients()
        defer { step += 1 }
        return StepReport(
            step: step, loss: outcome.loss, terms: outcome.terms, gradientNorm: norm,
            learningRates: optimizer.groups.map { .init(name: $0.name, value: $0.learningRate * factor) },
            pairedCosine: outcome.pairedCosine)
    }

    struct Outcome {
        let ids: [String]
        let loss: Double
        let terms: [StepReport.Term]
        let pairedCosine: Double?
    }

    /// Adds the gradient of the batch's loss to every trained parameter.
    func backward(_ batch: AlignmentBatch) throws -> Outcome { try backward(pieces(of: batch)) }

    func backward(_ batch: AlignmentPieces) throws -> Outcome {
        let parts = parts(of: batch)
        return try GradientCaching.backward(
            part: { try parts[$0] }, generator: dropoutGenerator, encode: encode,
            loss: { features in
                let pairs = try self.pairs(of: batch, parts)
                let count = pairs.ids.count
                let tunedReal: Embeddings<Real>? =
                    self.settings.loss.needsRealPixels ? Embeddings<Real>(features[count..<2 * count]) : nil
                return try self.loss(
                    generated: Embeddings<Generated>(features[0..<count]), real: tunedReal ?? pairs.real, pairs)
            })
    }

    /// A batch in memory, in pieces of at most `chunkSize`; what needs no gradient is computed.
    /// - Throws: `AlignmentError`: parts of different lengths, or missing for the loss.
    func pieces(of batch: AlignmentBatch) throws -> AlignmentPieces {
        try batch.validate(
            for: settings.loss, embeddingDimension: towers.trunk.embeddingDimension, step: step)
        let frozen = frozenFeatures(of: batch)
        let pairs = AlignmentPieces.Pairs(
            ids: batch.ids, realIDs: batch.realIDs, real: frozen.real, text: frozen.text)
        func piece(_ chunks: [Tensor]) -> (Int) -> Tensor? { { $0 < chunks.count ? chunks[$0] : nil } }
        let generated = piece(GradientCaching.split(batch.generated.pixels, size: settings.chunkSize))
        var real = piece([])
        if settings.loss.needsRealPixels, case .images(let images)? = batch.real {
            real = piece(GradientCaching.split(images.pixels, size: settings.chunkSize))
        }
        return AlignmentPieces(
            generated: { generated($0).map { ImageBatch<Generated>($0) } },
            real: { [real] in real($0).map { ImageBatch<Real>($0) } }, pairs: { pairs })
    }

    func parts(of batch: AlignmentPieces) -> AlignmentPieces.Parts {
        AlignmentPieces.Parts(batch, readsReal: settings.loss.needsRealPixels)
    }

    /// What belongs to a batch all of whose parts have come.
    func pairs(of batch: AlignmentPieces, _ parts: AlignmentPieces.Parts) throws -> AlignmentPieces.Pairs {
        var pairs = try batch.pairs()
        try pairs.validate(
            for: settings.loss, embeddingDimension: towers.trunk.embeddingDimension, step: step,
            generated: parts.generatedCount, realImages: settings.loss.needsRealPixels ? parts.realCount : nil)
        pairs.real = pairs.real.map { Embeddings<Real>($0.tensor.detached().to(device).to(.float32)) }
        pairs.text = pairs.text?.detached().to(device).to(.float32)
        return pairs
    }

    /// A part of a batch through the trained encoder: `[b, E]`, float32.
    func encode(_ part: AlignmentPieces.Part) -> Tensor {
        computing {
            switch part {
            case .generated(let images): towers.generated(images).tensor
            case .real(let images): towers.real(images, reading: .tuned).tensor
            }
        }.to(.float32)
    }

    /// The loss on encoder outputs, with the projections between.
    private func loss(
        generated: Embeddings<Generated>, real: Embeddings<Real>?, _ pairs: AlignmentPieces.Pairs
    ) throws -> (value: Tensor, result: Outcome) {
        let projectedGenerated = projection(generated)
        let projectedReal = real.map { projection($0) }
        let terms = settings.loss(
            generated: projectedGenerated, real: projectedReal, text: pairs.text, realIDs: pairs.realIDs)
        let loss = terms.total.item()
        let parts = terms.parts.map { StepReport.Term(name: $0.name, value: $0.value.item()) }
        guard loss.isFinite else {
            throw AlignmentError.nonFiniteLoss(
                step: step, terms: parts.map { "\($0.name) \($0.value)" }.joined(separator: ", "), samples: pairs.ids)
        }
        let cosine = projectedReal.map { pairedCosine(projectedGenerated, $0).mean().item() }
        return (terms.total, Outcome(ids: pairs.ids, loss: loss, terms: parts, pairedCosine: cosine))
    }

    /// What needs no gradient: embeddings of real images and of texts, given or computed now.
    func frozenFeatures(of batch: AlignmentBatch) -> (real: Embeddings<Real>?, text: Tensor?) {
        func chunked(_ input: Tensor, _ encode: (Tensor) -> Tensor) -> Tensor {
            let parts = GradientCaching.split(input, size: settings.chunkSize).map { part in
                computing { encode(part) }.to(.float32)
            }
            return parts.count == 1 ? parts[0] : .cat(parts)
        }
        var real: Embeddings<Real>?
        switch batch.real {
        case .features(let features)? where settings.loss.needsReal:
            real = Embeddings<Real>(features.tensor.detached().to(device).to(.float32))
        case .images(let images)? where settings.loss.needsReal && !settings.loss.needsRealPixels:
            real = Embeddings<Real>(chunked(images.pixels) { self.towers.real(ImageBatch<Real>($0)).tensor })
        default: break
        }
        var text: Tensor?
        switch batch.text {
        case .features(let features)? where settings.loss.needsText: text = features.detached().to(device).to(.float32)
        case .tokens(let ids)? where settings.loss.needsText: text = chunked(ids) { self.towers.text($0) }
        default: break
        }
        return (real, text)
    }

    /// Runs an encoder in the precision of the settings.
    func computing(_ body: () -> Tensor) -> Tensor {
        switch settings.precision {
        case .float32: body()
        case .bfloat16: autocast(.bfloat16, device: device, body)
        }
    }

    func setTraining(_ on: Bool) {
        towers.setTraining(on)
        projection.setTraining(on)
    }
}

/// Cosine of each generated embedding with the real one of its pair: `[B]`, without gradient.
public func pairedCosine(_ generated: Embeddings<Generated>, _ real: Embeddings<Real>) -> Tensor {
    withoutGradients { (generated.tensor.normalized() * real.tensor.normalized()).sum(-1) }
}
