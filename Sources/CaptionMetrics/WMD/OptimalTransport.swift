/// Exact optimal transport between two small histograms.
///
/// The masses are integers, so the shortest-augmenting-path method ends after finitely many exact steps. Every step
/// sends as much as possible along the cheapest residual path, and the flow of each total is optimal among those with
/// that total.
enum OptimalTransport {
    /// The least cost of moving `supply` onto `demand`.
    ///
    /// - Parameters:
    ///   - supply: mass at each source, at least 0.  - demand: mass at each sink, with the same sum.
    ///   - cost: `[sources, sinks]`, row-major, at least 0.
    /// - Returns: Σ mass · cost, in units of the masses.
    static func cost(supply: [Int], demand: [Int], cost: [Double]) -> Double {
        precondition(supply.reduce(0, +) == demand.reduce(0, +) && cost.count == supply.count * demand.count)
        let (n, m) = (supply.count, demand.count)
        var (supply, demand) = (supply, demand)
        var flow = [Int](repeating: 0, count: n * m)
        // Potentials of sources, then sinks: they keep reduced costs at or above zero.
        var potential = [Double](repeating: 0, count: n + m)
        var remaining = supply.reduce(0, +)
        var distance = [Double](repeating: 0, count: n + m)
        var previous = [Int](repeating: -1, count: n + m)
        var isDone = [Bool](repeating: false, count: n + m)

        while remaining > 0 {
            // Dijkstra over the residual graph from every source with mass left to the nearest sink that needs some.
            for node in 0..<n + m {
                distance[node] = node < n && supply[node] > 0 ? 0 : .infinity
                previous[node] = -1
                isDone[node] = false
            }
            var sink = -1
            while true {
                var node = -1
                for candidate in 0..<n + m
                where !isDone[candidate] && distance[candidate] < .infinity
                    && (node < 0 || distance[candidate] < distance[node])
                {
                    node = candidate
                }
                precondition(node >= 0, "masses balance, so a sink can be reached")
                isDone[node] = true
                if node >= n, demand[node - n] > 0 {
                    sink = node
                    break
                }
                if node < n {
                    for j in 0..<m where !isDone[n + j] {
                        let reduced = max(0, cost[node * m + j] + potential[node] - potential[n + j])
                        if distance[node] + reduced < distance[n + j] {
                            distance[n + j] = distance[node] + reduced
                            previous[n + j] = node
                        }
                    }
                } else {
                    for i in 0..<n where !isDone[i] && flow[i * m + node - n] > 0 {
                        let reduced = max(0, -cost[i * m + node - n] + potential[node] - potential[i])
                        if distance[node] + reduced < distance[i] {
                            distance[i] = distance[node] + reduced
                            previous[i] = node
                        }
                    }
                }
            }
            for node in 0..<n + m { potential[node] += min(distance[node], distance[sink]) }

            // Sends as much as the path allows.
            var amount = demand[sink - n]
            var node = sink
            while previous[node] >= 0 {
                let before = previous[node]
                if node < n { amount = min(amount, flow[node * m + before - n]) }
                node = before
            }
            amount = min(amount, supply[node])
            supply[node] -= amount
            demand[sink - n] -= amount
            remaining -= amount
            node = sink
            while previous[node] >= 0 {
                let before = previous[node]
                if node >= n { flow[before * m + node - n] += amount } else { flow[node * m + before - n] -= amount }
                node = before
            }
        }
        var total = 0.0
        for index in 0..<n * m where flow[index] > 0 { total += Double(flow[index]) * cost[index] }
        return total
    }
}
