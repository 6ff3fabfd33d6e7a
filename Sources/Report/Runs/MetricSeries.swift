import StrictJSON

/// One number over the steps of a run, from `metrics.jsonl`.
public struct MetricSeries: Sendable, Equatable {
    public struct Point: Sendable, Equatable {
        public let step: Int
        /// nil where the run logged NaN or infinity.
        public let value: Double?

        public init(step: Int, value: Double?) {
            self.step = step
            self.value = value
        }
    }

    public let name: String
    /// In order of steps.
    public let points: [Point]

    public init(name: String, points: [Point]) {
        self.name = name
        self.points = points
    }

    /// `validation/loss` belongs to `loss`.
    static let validationPrefix = "validation/"

    var isValidation: Bool { name.hasPrefix(Self.validationPrefix) }

    /// Every number of a log, in the order of their first occurrence.
    /// - Throws: ``ReportError``.
    static func read(_ path: String) throws -> (series: [MetricSeries], isCut: Bool)? {
        guard let (lines, isCut) = try JSONDocument.lines(path) else { return nil }
        var names: [String] = []
        var points: [String: [Point]] = [:]
        for (line, value) in lines {
            guard let step = value["step"]?.integer, step >= 0 else {
                throw ReportError.unexpectedContent(
                    path: path, line: line, expected: "a whole number of 0 or more under 'step'",
                    got: value["step"]?.kind ?? "no such key")
            }
            for member in value.members ?? [] where member.key != "step" {
                let number: Double?
                switch member.value {
                case .number: number = member.value.double.flatMap { $0.isFinite ? $0 : nil }
                case .null: number = nil
                default: continue
                }
                if points[member.key] == nil { names.append(member.key) }
                points[member.key, default: []].append(Point(step: step, value: number))
            }
        }
        let series = names.map { name in
            // A stable sort: values that were logged twice for a step stay in their order.
            MetricSeries(
                name: name,
                points: points[name]!.enumerated().sorted {
                    ($0.element.step, $0.offset) < ($1.element.step, $1.offset)
                }
                .map(\.element))
        }
        return (series, isCut)
    }
}
