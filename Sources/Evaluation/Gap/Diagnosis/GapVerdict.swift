import Alignment
import Foundation

/// What kind of gap it is, in the end.
public enum GapVerdict: String, Sendable, Codable, CaseIterable {
    /// Closed already: an alignment has little to win.
    case none
    /// One map for all images closes it: what differs is how images look.
    case style
    /// One map for all closes a part of it.
    case styleAndContent = "style-and-content"
    /// No map for all images helps: they show other things than the captions say.
    case content
    case tooFewPairs = "too-few-pairs"

    /// What a verdict rests on.
    struct Evidence {
        /// Distinct real images.
        let images: Int
        let closure: Double?
        let interval: [Double]?
        let gains: [Gain]

        /// The repair that gains most.
        var best: Gain? { gains.max { $0.value < $1.value } }
    }

    /// By how much a closed form raises closure, and the lower end of the interval.
    struct Gain {
        let kind: ClosedFormMap.Kind
        let value: Double
        let lower: Double
    }

    static let fewestImages = 50
    /// An interval of closure that is wider says nothing.
    static let widestInterval = 0.5
    /// A gain in closure that counts, if its interval is above 0 as well: without any gap ridge regression adds 0.02, since
    /// it also averages over what differs from image to image.
    static let leastGain = 0.05
    /// From this closure on there is hardly a gap.
    static let closed = 0.9

    init(_ evidence: Evidence) {
        let width = evidence.interval.map { $0[1] - $0[0] }
        guard evidence.images >= Self.fewestImages, let best = evidence.best, width ?? 0 <= Self.widestInterval else {
            self = .tooFewPairs
            return
        }
        let now = evidence.closure
        if best.value >= Self.leastGain, best.lower > 0 {
            self = now.map { $0 + best.value < Self.closed } ?? false ? .styleAndContent : .style
        } else {
            self = now.map { $0 >= Self.closed } ?? false ? .none : .content
        }
    }

    func sentence(_ evidence: Evidence) -> String {
        func two(_ value: Double) -> String { String(format: "%.2f", value) }
        let now = evidence.closure.map { "closure \(two($0))" } ?? "closure unknown"
        let gain = evidence.best.map { "\($0.kind.title) adds \(two($0.value))" } ?? ""
        return switch self {
        case .none: "hardly a gap (\(now)): alignment has little to close"
        case .style: "a gap of style: alignment can help (\(now), \(gain))"
        case .styleAndContent:
            "a gap of style and of content: alignment can help (\(now), \(gain)); for the rest mend prompts or generator"
        case .content:
            "content: mend prompts or generator first (\(now), and neither mean shift, CORAL nor ridge regression adds "
                + "\(two(Self.leastGain)))"
        case .tooFewPairs:
            evidence.images < Self.fewestImages
                ? "too few pairs to say: \(evidence.images) distinct real images, expected \(Self.fewestImages) or more"
                : "too few pairs to say: the interval of closure is wider than \(two(Self.widestInterval))"
        }
    }
}

extension ClosedFormMap.Kind {
    /// For readers.
    var title: String {
        switch self {
        case .meanShift: "mean shift"
        case .coral: "CORAL"
        case .ridge: "ridge regression"
        }
    }
}
