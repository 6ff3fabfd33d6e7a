import Training

/// τ of every term of the loss.
public enum LossTemperature: Sendable, Equatable {
    case fixed(Double)
    /// The one that fits the first pairs of the run before anything is trained (``TemperatureFit``).
    case calibrated

    /// nil if it is not known before the run.
    public var value: Double? { if case .fixed(let value) = self { value } else { nil } }
}

extension LossTemperature: NumberOrWord {
    package static var word: String { "calibrated" }
    package init(number: Double?) { self = number.map { .fixed($0) } ?? .calibrated }
    package var number: Double? { value }
}
