/// Points of a curve, for drawing.
enum Curve {
    struct Point: Equatable {
        let x: Double
        let y: Double
    }

    /// How many logged points a moving average covers: a twenty-fifth of them, odd; 1 (none) for a short curve.
    static func window(_ count: Int) -> Int { count < 40 ? 1 : max(3, count / 25 | 1) }

    /// The centred moving average over `window` points (odd). Towards the ends it covers fewer points, as many on both
    /// sides, but at least a sixth of the window on the inner side, because the last value alone would be noise again.
    static func smoothed(_ points: [Point], window: Int) -> [Point] {
        guard window > 1 else { return points }
        var sums = [0.0]
        for point in points { sums.append(sums[sums.count - 1] + point.y) }
        return points.indices.map { index in
            let reach = max(min(window / 2, index, points.count - 1 - index), window / 6)
            let (first, last) = (max(0, index - reach), min(points.count - 1, index + reach))
            return Point(x: points[index].x, y: (sums[last + 1] - sums[first]) / Double(last - first + 1))
        }
    }

    /// About `2 * buckets` points at most that look the same: the lowest and the highest of each stretch, the first and
    /// the last.
    static func thinned(_ points: [Point], buckets: Int) -> [Point] {
        guard points.count > 2 * buckets + 2 else { return points }
        var kept = [points[0]]
        for bucket in 0..<buckets {
            let inner = points.count - 2
            let range = (1 + inner * bucket / buckets)..<(1 + inner * (bucket + 1) / buckets)
            guard let low = range.min(by: { points[$0].y < points[$1].y }),
                let high = range.max(by: { points[$0].y < points[$1].y })
            else { continue }
            kept += Set([low, high]).sorted().map { points[$0] }
        }
        return kept + [points[points.count - 1]]
    }

    /// Splits the curve where a value is missing.
    static func pieces(_ series: MetricSeries) -> [[Point]] {
        var pieces: [[Point]] = [[]]
        for point in series.points {
            if let value = point.value {
                pieces[pieces.count - 1].append(Point(x: Double(point.step), y: value))
            } else if !pieces[pieces.count - 1].isEmpty {
                pieces.append([])
            }
        }
        return pieces.filter { !$0.isEmpty }
    }

    /// The range of all but a hundredth of the values, which the axis of a noisy curve shows.
    static func bulk(_ values: [Double]) -> [Double] {
        guard values.count >= 40 else { return values }
        let sorted = values.sorted()
        let cut = sorted.count / 200
        return [sorted[cut], sorted[sorted.count - 1 - cut]]
    }
}
