@_spi(Training) import CaptionMetrics

/// An averaged perceptron that grows rows as it makes mistakes.
final class PerceptronTrainer {
    let classCount: Int
    private var rows: [UInt32: Int32] = [:]
    private var keys: [UInt32] = []
    private var weights: [Float] = []
    private var totals: [Float] = []
    private var stamps: [Int32] = []
    private var step: Int32 = 0

    init(classCount: Int) {
        self.classCount = classCount
    }

    func scores(of features: FeatureBuffer, into scores: inout [Float]) {
        for c in 0..<classCount { scores[c] = 0 }
        for key in features.keys {
            guard let row = rows[key] else { continue }
            let start = Int(row) * classCount
            for c in 0..<classCount { scores[c] += weights[start + c] }
        }
    }

    /// Moves one unit of every feature from the predicted class to the right one.
    func update(_ features: FeatureBuffer, right: Int, predicted: Int) {
        if right == predicted { return }
        for key in features.keys {
            let row: Int32
            if let known = rows[key] {
                row = known
            } else {
                row = Int32(keys.count)
                rows[key] = row
                keys.append(key)
                weights.append(contentsOf: repeatElement(0, count: classCount))
                totals.append(contentsOf: repeatElement(0, count: classCount))
                stamps.append(contentsOf: repeatElement(step, count: classCount))
            }
            change(Int(row) * classCount + right, by: 1)
            change(Int(row) * classCount + predicted, by: -1)
        }
    }

    /// Counts one decision, right or wrong: weights are averaged over decisions.
    func tick() { step += 1 }

    private func change(_ place: Int, by amount: Float) {
        totals[place] += Float(step - stamps[place]) * weights[place]
        stamps[place] = step
        weights[place] += amount
    }

    /// The averaged model; weights below `threshold` (in updates) are dropped.
    func model(threshold: Float) -> SparseLinearModel {
        var averaged = [Float](repeating: 0, count: weights.count)
        var largest: Float = 1e-6
        for i in weights.indices {
            let total = totals[i] + Float(step - stamps[i]) * weights[i]
            averaged[i] = total / Float(max(step, 1))
            largest = max(largest, abs(averaged[i]))
        }
        let scale = largest / 32000
        var result: [SparseLinearModel.Row] = []
        for (row, key) in keys.enumerated() {
            var entries: [(class: UInt8, weight: Int16)] = []
            for c in 0..<classCount {
                let weight = averaged[row * classCount + c]
                if abs(weight) >= threshold { entries.append((UInt8(c), Int16((weight / scale).rounded()))) }
            }
            if !entries.isEmpty { result.append(SparseLinearModel.Row(key: key, entries: entries)) }
        }
        return SparseLinearModel(classCount: classCount, scale: scale, rows: result.sorted { $0.key < $1.key })
    }
}
