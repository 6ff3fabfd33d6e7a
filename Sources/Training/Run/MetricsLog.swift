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
///
/// A full disk does not stop the training: lines wait in memory until there is room, at the latest until the next
/// checkpoint needs them.
public final class MetricsLog {
    public var path: String { file.path }
    private let file: AppendFile
    /// Lines that could not be written yet.
    private var waiting: [UInt8] = []

    public init(path: String) throws { file = try AppendFile(path: path) }

    /// Appends `{"step": …, name: value, …}`.
    /// - Returns: why the line waits in memory; nil when it is in the file.
    @discardableResult
    public func append(step: Int, _ metrics: [Metric]) -> FileError? {
        waiting += Self.line(step: step, metrics)
        do throws(FileError) {
            try flush()
            return nil
        } catch {
            return error
        }
    }

    private func flush() throws(FileError) {
        guard !waiting.isEmpty else { return }
        try file.append(waiting)
        waiting = []
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

    /// Waits until every line is on the device.
    /// - Throws: `FileError` when there is still no room for those that wait.
    public func sync() throws {
        try flush()
        try file.sync()
    }

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
