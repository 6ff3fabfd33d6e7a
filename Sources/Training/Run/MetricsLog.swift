import Files
import Foundation
import StrictJSON

/// A named number of one step.
public struct Metric: Sendable, Hashable {
    public let name: String
    public let value: Double

    public init(_ name: String, _ value: Double) {
        self.name = name
        self.value = value
    }
}

/// `metrics.jsonl`: one object per logged step, in the order logged, the same bytes for the same training.
///
/// It holds no times and no rates (those are in `timings.jsonl`), so that the file of a resumed run equals that of an
/// uninterrupted one. Numbers are written with the fewest digits that are read back as the same number; a value that is
/// not finite becomes null.
public final class MetricsLog {
    public var path: String { file.path }
    private let file: AppendFile

    public init(path: String) throws { file = try AppendFile(path: path) }

    /// Appends `{"step": …, name: value, …}`.
    public func append(step: Int, _ metrics: [Metric]) throws {
        try file.append(Self.line(step: step, metrics))
    }

    /// Bytes in the file; a checkpoint records the number.
    public func size() throws -> Int { try file.size() }

    /// Cuts the file back to its length at a checkpoint.
    /// - Throws: ``TrainingError/metricsShorter(path:expected:got:)`` if it is shorter than that.
    public func truncate(to size: Int) throws {
        let got = try file.size()
        guard got >= size else { throw TrainingError.metricsShorter(path: path, expected: size, got: got) }
        try file.truncate(to: size)
    }

    public func sync() throws { try file.sync() }

    static func line(step: Int, _ metrics: [Metric]) -> [UInt8] {
        var out = Array("{\"step\": \(step)".utf8)
        for metric in metrics {
            out.append(contentsOf: ", ".utf8)
            StrictJSON.append(string: metric.name, to: &out)
            out.append(contentsOf: ": ".utf8)
            out.append(contentsOf: (metric.value.isFinite ? "\(metric.value)" : "null").utf8)
        }
        out.append(contentsOf: "}\n".utf8)
        return out
    }
}
