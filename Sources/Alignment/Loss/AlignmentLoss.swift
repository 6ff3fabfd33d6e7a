import Files
import Torch
import Training

/// What the alignment minimises: one objective between the modalities, and weighted text terms.
public struct AlignmentLoss: Sendable, Equatable, Codable {
    public enum Objective: String, Sendable, Codable, CaseIterable {
        /// Eq. 1: generated to real.
        case generatedToReal = "generated-to-real"
        /// Eq. 1 in both directions, averaged.
        case symmetric
        /// SigLIP's loss instead of Eq. 1, in every term: each pair is judged by itself.
        case sigmoid
        /// No separation: one encoder and one head read both kinds of image, contrasted with text (the Task2Sim-like
        /// baseline of Table 16).
        case mixed
        /// No alignment term (Table 6): only text terms.
        case none
    }

    public var objective: Objective
    /// τ of every term; the sigmoid loss has its own scale.
    public var temperature: Double
    /// τ of the terms with text; nil is `temperature`.
    public var textTemperature: Double?
    /// Of the terms with text: the share of each target that is spread over the batch.
    public var labelSmoothing = 0.0
    /// Weight of the contrast of generated images, reduced to their principal components, with short captions (Long-CLIP).
    public var shortCaptionWeight = 0.0
    /// How many components.
    public var principalComponents = 32
    /// Of the sigmoid loss.
    public var sigmoid = SigmoidSettings()
    public var alignmentWeight: Double
    /// Weight of the symmetric contrast of generated images with their captions, `D(g(S), h(T))` in the paper.
    public var generatedTextWeight: Double
    /// Weight of the symmetric contrast of real images with their captions, `D(f(R), h(T))`.
    public var realTextWeight: Double

    public init(
        objective: Objective = .generatedToReal, temperature: Double = 0.07, alignmentWeight: Double = 1,
        generatedTextWeight: Double = 0, realTextWeight: Double = 0
    ) {
        self.objective = objective
        self.temperature = temperature
        self.alignmentWeight = alignmentWeight
        self.generatedTextWeight = generatedTextWeight
        self.realTextWeight = realTextWeight
    }

    public var needsText: Bool {
        objective == .mixed || generatedTextWeight > 0 || realTextWeight > 0 || needsShortText
    }
    public var needsShortText: Bool { shortCaptionWeight > 0 }
    public var needsReal: Bool { objective != .none || realTextWeight > 0 }
    /// Whether real images pass through the trained encoder, so that no cache can replace the pass.
    public var needsRealPixels: Bool { objective == .mixed }

    /// - Parameters:
    ///   - input: the encoder's embedding dimension; `textInput`: that of the text encoder, nil without one.
    /// - Throws: `SettingError`, `AlignmentError.nothingToTrain`, `.noText`
    public func validate(projection: ProjectionConfiguration, input: Int, textInput: Int?) throws {
        try SettingError.require(
            temperature > 0 && temperature.isFinite, "loss.temperature", "a number above 0", temperature)
        for (name, weight) in [
            ("alignmentWeight", alignmentWeight), ("generatedTextWeight", generatedTextWeight),
            ("realTextWeight", realTextWeight), ("shortCaptionWeight", shortCaptionWeight),
        ] {
            try SettingError.require(
                weight >= 0 && weight.isFinite, "loss.\(name)", "a number of at least 0", weight)
        }
        try sigmoid.validate()
        if let textTemperature {
            try SettingError.require(
                textTemperature > 0 && textTemperature.isFinite, "loss.textTemperature", "a number above 0",
                textTemperature)
        }
        try SettingError.require(
            (0..<1).contains(labelSmoothing), "loss.labelSmoothing", "0 up to but not 1", labelSmoothing)
        try SettingError.require(
            principalComponents > 0, "loss.principalComponents", "a whole number above 0", principalComponents)
        try SettingError.require(
            objective != .sigmoid || !needsShortText, "loss.shortCaptionWeight",
            "0 with the sigmoid loss, which compares by cosine", shortCaptionWeight)
        let aligns = objective != .none && alignmentWeight > 0
        guard aligns || generatedTextWeight > 0 || realTextWeight > 0 || needsShortText else {
            throw AlignmentError.nothingToTrain(objective: objective.rawValue)
        }
        if objective == .mixed {
            try SettingError.require(
                projection.depth == 0 || projection.isShared, "loss.objective",
                "another one than mixed, or projection.isShared: mixed training has one head", "mixed")
        }
        if needsText {
            guard let textInput else { throw AlignmentError.noText }
            let output = projection.outputDimension(input: input)
            try SettingError.require(
                output == textInput, "projection.embeddingDimension",
                "\(textInput), the text encoder's, because the loss has text terms", output)
        }
    }

    /// The weighted sum, and each term by itself.
    /// - Parameters:
    ///   - generated: `[B, D]`, projected.
    ///   - real: `[B, D]`, projected; needed by every objective but `.none`.
    ///   - text: `[B, D]`; needed by the text terms and `.mixed`.
    ///   - shortText: `[B, D]`, of short captions; needed by `shortCaptionWeight`.
    ///   - realIDs: which real image each pair shows; repeated ones are not negatives of each other in any term, since
    ///     their captions describe one image too.
    ///   - scale: of the sigmoid loss; needed by it.
    public func callAsFunction(
        generated: Embeddings<Generated>, real: Embeddings<Real>?, text: Tensor?, shortText: Tensor? = nil,
        realIDs: [ExactString], scale: SigmoidScale? = nil
    ) -> LossTerms {
        let device = generated.tensor.device
        let excluded = ContrastiveLoss.repeats(of: realIDs, device: device)
        var terms: [(name: String, weight: Double, value: Tensor)] = []
        func wanted<Value>(_ value: Value?, _ name: String) -> Value {
            guard let value else { preconditionFailure("this loss needs \(name) embeddings") }
            return value
        }
        let textTemperature = textTemperature ?? temperature
        func contrast(_ a: Tensor, _ b: Tensor, _ temperature: Double, smoothing: Double = 0) -> Tensor {
            objective == .sigmoid
                ? SigmoidLoss.loss(a, b, scale: wanted(scale, "scaled"), excluding: excluded)
                : ContrastiveLoss.symmetric(
                    a, b, temperature: temperature, excluding: excluded, smoothing: smoothing)
        }
        if alignmentWeight > 0 {
            switch objective {
            case .generatedToReal:
                terms.append(
                    (
                        "align", alignmentWeight,
                        ContrastiveLoss.oneDirection(
                            generated.tensor, wanted(real, "real").tensor, temperature: temperature,
                            excluding: excluded)
                    ))
            case .symmetric, .sigmoid:
                terms.append(
                    ("align", alignmentWeight, contrast(generated.tensor, wanted(real, "real").tensor, temperature)))
            case .mixed:
                let text = wanted(text, "text")
                terms.append(
                    (
                        "mixed", alignmentWeight,
                        ContrastiveLoss.symmetric(
                            .cat([generated.tensor, wanted(real, "real").tensor]), .cat([text, text]),
                            temperature: temperature,
                            excluding: ContrastiveLoss.repeats(of: realIDs + realIDs, device: device))
                    ))
            case .none: break
            }
        }
        if generatedTextWeight > 0 {
            terms.append(
                (
                    "generated_text", generatedTextWeight,
                    contrast(generated.tensor, wanted(text, "text"), textTemperature, smoothing: labelSmoothing)
                ))
        }
        if realTextWeight > 0 {
            terms.append(
                (
                    "real_text", realTextWeight,
                    contrast(
                        wanted(real, "real").tensor, wanted(text, "text"), textTemperature, smoothing: labelSmoothing)
                ))
        }
        if needsShortText {
            // What is left of an image has no unit length any more, and its length says how much is left.
            let images = PrincipalComponents.reconstruct(
                generated.tensor.to(.float32).normalized(), count: principalComponents)
            let texts = wanted(shortText, "short text").to(.float32).normalized()
            terms.append(
                (
                    "short_text", shortCaptionWeight,
                    ContrastiveLoss.symmetric(
                        logits: images.matmul(texts.transposed(0, 1)) / textTemperature, excluding: excluded,
                        smoothing: labelSmoothing)
                ))
        }
        let weighted = terms.map { $0.weight == 1 ? $0.value : $0.value * $0.weight }
        return LossTerms(total: weighted.dropFirst().reduce(weighted[0], +), parts: terms.map { ($0.name, $0.value) })
    }
}

/// A loss and its terms.
public struct LossTerms {
    /// A scalar with its graph.
    public let total: Tensor
    /// Each term before its weight: `align` or `mixed`, `generated_text`, `real_text`, `short_text`.
    public let parts: [(name: String, value: Tensor)]
}
