/// Settings against metrics: mean and standard deviation over the runs of a setting, and the best of each column.
///
/// Printed for a terminal (``text(width:)``), as Markdown (``markdown``), and by `gmail report` as HTML.
///
///     var table = ResultTable(columns: [.init(metric: "Bleu_4"), .init(metric: "CIDEr")], corner: "captioner trained on")
///     table.append("real", values: ["Bleu_4": [0.41, 0.42], "CIDEr": [1.02, 1.05]])
///     table.append("GMAIL", published: ["BLEU-4": 38.12, "CIDEr": 119.53], note: "Table 6")
///     print(table.text())
public struct ResultTable: Sendable, Equatable {
    public struct Column: Sendable, Equatable {
        public enum Better: String, Sendable {
            case higher, lower
        }

        /// The metric's name in its file.
        public let id: String
        public let title: String
        /// Measured values are multiplied by it for display; published numbers already are.
        public let scale: Double
        public let decimals: Int
        /// nil if no value is better than another.
        public let better: Better?
        /// The numbers of this column were not made by one protocol, so no best is named.
        public var isMixed = false

        public init(
            id: String, title: String, scale: Double = 1, decimals: Int = 2, better: Better? = .higher,
            isMixed: Bool = false
        ) {
            self.id = id
            self.title = title
            self.scale = scale
            self.decimals = decimals
            self.better = better
            self.isMixed = isMixed
        }

        /// A column for a metric of `metrics.json`, titled and scaled (times 100) as in papers. An unknown metric stays
        /// as it is, with four decimals.
        public init(metric id: String) {
            if let known = MetricName.known(id) {
                self.init(id: id, title: known.title, scale: 100, decimals: 2, better: .higher)
            } else {
                self.init(id: id, title: id, decimals: 4, better: nil)
            }
        }
    }

    public struct Row: Sendable, Equatable {
        public let label: String
        /// By column id: one value per run, unscaled; no entry if nothing was measured.
        public let values: [String: [Double]]
        /// By column id: numbers that others published, scaled; such a row does not take part in the comparison.
        public let published: [String: Double]?
        public let note: String?
    }

    /// The heading over the labels.
    public let corner: String
    public private(set) var columns: [Column]
    public private(set) var rows: [Row] = []

    public init(columns: [Column], corner: String = "") {
        self.columns = columns
        self.corner = corner
    }

    /// Adds a setting.
    /// - Parameter values: by metric name, one value per run. Names without a column are ignored.
    public mutating func append(_ label: String, values: [String: [Double]], note: String? = nil) {
        rows.append(Row(label: label, values: values, published: nil, note: note))
    }

    /// Adds a row of published numbers.
    /// - Parameter published: by metric, in any spelling (`BLEU-4`, `Bleu_4`).
    public mutating func append(_ label: String, published: [String: Double], note: String? = nil) {
        var byColumn: [String: Double] = [:]
        for (metric, value) in published {
            if let column = columns.first(where: { MetricName.isSame($0.id, metric) }) { byColumn[column.id] = value }
        }
        rows.append(Row(label: label, values: [:], published: byColumn, note: note))
    }

    public func statistics(row: Int, column: Int) -> SampleStatistics? {
        SampleStatistics((rows[row].values[columns[column].id] ?? []).filter(\.isFinite))
    }

    /// Rows whose mean is the best of the column as shown; empty if there are fewer than two to compare.
    public func best(column: Int) -> Set<Int> {
        guard let better = columns[column].better, !columns[column].isMixed else { return [] }
        let shown = rows.indices.compactMap { row in
            statistics(row: row, column: column).map { (row, rounded($0.mean, columns[column])) }
        }
        guard shown.count > 1 else { return [] }
        let winner = better == .higher ? shown.map(\.1).max() : shown.map(\.1).min()
        let best = shown.filter { $0.1 == winner }
        return best.count == shown.count ? [] : Set(best.map(\.0))
    }

    /// Values that print the same are equal: a difference that is not visible wins nothing.
    private func rounded(_ value: Double, _ column: Column) -> Double {
        var unit = 1.0
        for _ in 0..<column.decimals { unit *= 10 }
        return (value * column.scale * unit).rounded() / unit
    }

    /// A cell's text: `38.12`, `38.12 ± 0.31`, or `–` where nothing was measured.
    public func text(row: Int, column: Int) -> String {
        let column = (index: column, shape: columns[column])
        if let published = rows[row].published {
            return published[column.shape.id].map { Number.fixed($0, column.shape.decimals) } ?? "–"
        }
        guard let statistics = statistics(row: row, column: column.index) else { return "–" }
        let mean = Number.fixed(statistics.mean * column.shape.scale, column.shape.decimals)
        guard let deviation = statistics.standardDeviation else { return mean }
        return "\(mean) ± \(Number.fixed(deviation * column.shape.scale, column.shape.decimals))"
    }
}

/// Numbers as texts, the same on every machine and in every locale.
enum Number {
    static func fixed(_ value: Double, _ decimals: Int) -> String {
        guard value.isFinite else { return "–" }
        var unit = 1.0
        for _ in 0..<decimals { unit *= 10 }
        let scaled = (abs(value) * unit).rounded()
        guard scaled < 1e15 else { return "\(value)" }
        let whole = Int(scaled)
        let digits = String(whole)
        let sign = value < 0 && whole != 0 ? "−" : ""
        guard decimals > 0 else { return sign + digits }
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        return sign + padded.dropLast(decimals) + "." + padded.suffix(decimals)
    }

    /// `60 000`: groups of three, separated by a narrow space from five digits on.
    static func grouped(_ value: Int) -> String {
        let digits = String(value.magnitude)
        guard digits.count > 4 else { return (value < 0 ? "−" : "") + digits }
        var out = ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { out += "\u{202F}" }
            out.append(digit)
        }
        return (value < 0 ? "−" : "") + out
    }
}
