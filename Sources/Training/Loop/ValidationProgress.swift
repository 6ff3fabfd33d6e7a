/// What a run remembers of its validations, in every checkpoint, so that a resumed run ends where an uninterrupted one
/// does.
public struct ValidationProgress: Sendable, Equatable, Codable {
    public struct Best: Sendable, Equatable, Codable {
        public let step: Int
        public let value: Double
    }

    /// The best value of the metric that the recipe names; nil without one.
    public private(set) var best: Best?
    /// Validations after the best one.
    public private(set) var sinceBest = 0
    /// Of the training losses since the last validation.
    private var lossSum = 0.0
    private var lossCount = 0

    public init() {}

    mutating func add(trainingLoss: Double) {
        lossSum += trainingLoss
        lossCount += 1
    }

    /// The mean training loss since the last validation, and a new beginning; nil before the first step.
    mutating func takeTrainingLoss() -> Double? {
        let mean = lossCount > 0 ? lossSum / Double(lossCount) : nil
        (lossSum, lossCount) = (0, 0)
        return mean
    }

    /// - Parameter name: the metric that decides; nil decides nothing.
    /// - Returns: whether its value is better than all before. A value that is not finite never is.
    /// - Throws: ``TrainingError/noBestMetric(name:known:)``.
    mutating func record(_ metrics: [Metric], best name: String?, step: Int) throws -> Bool {
        guard let name else { return false }
        guard let value = metrics.first(where: { $0.name == name })?.value else {
            throw TrainingError.noBestMetric(name: name, known: metrics.map(\.name))
        }
        let isBetter =
            value.isFinite && (best.map { Self.isLowerBetter(name) ? value < $0.value : value > $0.value } ?? true)
        if isBetter {
            best = Best(step: step, value: value)
            sinceBest = 0
        } else {
            sinceBest += 1
        }
        return isBetter
    }

    /// Losses, distances and ranks should fall; everything else that is measured should rise.
    static func isLowerBetter(_ name: String) -> Bool {
        name.hasPrefix("loss") || name.hasSuffix("distance") || name.hasSuffix("rank")
    }
}
