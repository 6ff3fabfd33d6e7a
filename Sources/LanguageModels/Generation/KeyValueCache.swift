import Torch

/// Keys and values of positions that a decoder has seen, so that each token is computed once.
///
/// Memory is in segments of consecutive positions, each `[slots, capacity, 2, heads, d]` per layer: the new keys and
/// values of a layer arrive in one copy, and growth copies nothing. A table says in which slot the keys of a row's
/// position lie. So rows that change places, multiply or end (`select`) move numbers in the table and no keys, and
/// beams of one prompt share the prompt's keys. It is for inference only: no gradient passes through.
public final class KeyValueCache {
    /// Positions held.
    public private(set) var length = 0
    /// Rows held; 0 before the first use.
    public private(set) var rowCount = 0

    private let headCount: Int
    private let headSize: Int
    private let block: Int
    private let layerCount: Int

    /// Positions from `start` up to the next segment; `layers` are allocated at the first write.
    private struct Segment {
        let start: Int
        let slots: Int
        let capacity: Int
        var layers: [Tensor?]
    }

    private var segments: [Segment] = []
    /// For every row the slots of its positions: `slots[row][position]`.
    private var slots: [[Int32]] = []
    /// Whether row i is in slot i throughout, in one segment.
    private var isDirect = true
    private var wanted = 0

    /// - Parameters:
    ///   - headCount: heads of keys and values; some families have fewer of them than heads of queries.
    ///   - block: positions added at a time when the capacity is used up.
    public init(layerCount: Int, headCount: Int, headSize: Int, block: Int = 32) {
        precondition(layerCount > 0 && headCount > 0 && headSize > 0 && block > 0)
        self.layerCount = layerCount
        self.headCount = headCount
        self.headSize = headSize
        self.block = block
    }

    /// Makes room for `positions` in all, so that no memory is allocated before that number is reached. Takes effect
    /// with the next keys if the cache is empty.
    public func reserve(_ positions: Int) {
        wanted = max(wanted, positions)
    }

    /// Writes the new keys and values of one layer after the existing ones.
    /// - Parameter new: `[B, T, 2, heads, d]`.
    /// - Returns: keys and values of all positions, `[B, heads, S, d]`, views of the cache.
    public func append(_ new: Tensor, layer: Int) -> (keys: Tensor, values: Tensor) {
        let end = length + new.size(1)
        if layer == 0, !isDirect || segments.first.map({ $0.capacity < end }) ?? false { gather(capacity(for: end)) }
        write(new, layer: layer)
        let seen = segments[0].layers[layer]!.slice(0, 0..<rowCount).slice(1, 0..<end)  // [B, S, 2, heads, d]
        return (seen.select(2, 0).transposed(1, 2), seen.select(2, 1).transposed(1, 2))
    }

    /// Writes one new position per row, and lets it attend to all positions of the row.
    /// - Parameters:
    ///   - query: `[B, 1, H, d]`; H is a multiple of the cache's heads, and neighbouring queries share one of them.
    ///   - new: keys and values `[B, 1, 2, heads, d]`.
    ///   - mask: bool `[B, S]`, true = may be attended to; nil is all.
    /// - Returns: `[B, H · d]`; nil, with nothing done, if there is no kernel for it.
    func attend(_ query: Tensor, _ new: Tensor, mask: Tensor?, scale: Double, layer: Int) -> Tensor? {
        guard length > 0, Functional.hasCachedAttention(query) else { return nil }
        write(new, layer: layer)
        let end = slots[0].count
        func attention(_ query: Tensor, _ table: [Int32], _ mask: Tensor?) -> Tensor {
            Functional.cachedAttention(
                query, memory: segments.map { $0.layers[layer]! }, starts: segments.map(\.start), slots: table,
                length: end, mask: mask, scale: scale)
        }
        let shape = query.shape  // [B, 1, H, d]
        guard shape[2] != headCount else { return attention(query.select(1, 0), table(end), mask) }
        // The kernel handles one query per head of keys; further ones become rows of their own with the same slots.
        let group = shape[2] / headCount
        let rows = query.reshaped(rowCount, headCount, group, headSize).transposed(1, 2)
            .reshaped(rowCount * group, headCount, headSize)
        let flat = table(end)
        let shared = (0..<rowCount).flatMap { row in
            (0..<group).flatMap { _ in flat[row * end..<(row + 1) * end] }
        }
        let masks = mask.map { mask in
            mask.size(0) == 1 ? mask : mask.unsqueezed(1).expanded(rowCount, group, end).reshaped(rowCount * group, end)
        }
        return attention(rows, shared, masks).reshaped(rowCount, group, headCount, headSize).transposed(1, 2)
            .reshaped(rowCount, shape[2] * headSize)
    }

    /// The flat table of this step, which is the same for every layer.
    private func table(_ end: Int) -> [Int32] {
        if flat.count != rowCount * end || isFlatStale {
            flat = slots.flatMap { $0 }
            isFlatStale = false
        }
        return flat
    }

    private var flat: [Int32] = []
    private var isFlatStale = true

    private func write(_ new: Tensor, layer: Int) {
        let shape = new.shape
        let end = length + shape[1]
        if length == 0, layer == 0 {
            rowCount = shape[0]
            slots = Array(repeating: [], count: rowCount)
            segments = []
            isDirect = true
        }
        precondition(
            shape[0] == rowCount && Array(shape[2...]) == [2, headCount, headSize],
            "keys and values \(shape) for a cache of \(rowCount) rows, \(headCount) heads of \(headSize)")
        if layer == 0 { open(end) }
        let last = segments.count - 1
        let segment = segments[last]
        let memory =
            segment.layers[layer]
            ?? Tensor.empty(
                [segment.slots, segment.capacity, 2, headCount, headSize], dtype: new.dtype, device: new.device)
        segments[last].layers[layer] = memory
        memory.slice(0, 0..<rowCount).slice(1, length - segment.start..<end - segment.start).copy(from: new)
        if layer == layerCount - 1 { length = end }
    }

    /// Gives the positions up to `end` a place: row i writes into slot i of the last segment, or of a new one.
    private func open(_ end: Int) {
        let fits = segments.last.map { $0.slots >= rowCount && end <= $0.start + $0.capacity } ?? false
        if !fits {
            segments.append(
                Segment(
                    start: length, slots: rowCount, capacity: capacity(for: end) - length,
                    layers: Array(repeating: nil, count: layerCount)))
            isDirect = isDirect && segments.count == 1
        }
        for row in 0..<rowCount { slots[row] += Array(repeating: Int32(row), count: end - length) }
        isFlatStale = true
    }

    private func capacity(for positions: Int) -> Int {
        max((positions + block - 1) / block * block, wanted)
    }

    /// Row i becomes a copy of row `rows[i]`: for beams that change places, prompts that become several rows, rows that
    /// end. Nothing is copied now; keys are gathered when `append` must return them in one piece.
    public func select(rows: [Int]) {
        precondition(rows.allSatisfy { (0..<rowCount).contains($0) }, "rows \(rows) of a cache of \(rowCount)")
        guard rows != Array(0..<rowCount), length > 0 else { return }
        slots = rows.map { slots[$0] }
        rowCount = rows.count
        isDirect = false
        isFlatStale = true
    }

    /// Copies everything into one segment with row i in slot i.
    private func gather(_ capacity: Int) {
        var whole = Segment(
            start: 0, slots: rowCount, capacity: capacity, layers: Array(repeating: nil, count: layerCount))
        let parts = segments.enumerated().map { index, segment in
            let end = index + 1 < segments.count ? segments[index + 1].start : length
            return (segment: segment, range: segment.start..<end)
        }
        for layer in 0..<layerCount {
            let first = segments[0].layers[layer]!
            let memory = Tensor.empty(
                [rowCount, capacity, 2, headCount, headSize], dtype: first.dtype, device: first.device)
            for (segment, range) in parts where !range.isEmpty {
                let places = slots.flatMap { row in
                    range.map { Int64(row[$0]) * Int64(segment.capacity) + Int64($0 - segment.start) }
                }
                let taken = segment.layers[layer]!.reshaped(-1, 2, headCount, headSize)
                    .indexSelect(0, Tensor(places).to(first.device))
                    .reshaped(rowCount, range.count, 2, headCount, headSize)
                memory.slice(1, range).copy(from: taken)
            }
            whole.layers[layer] = memory
        }
        segments = [whole]
        slots = (0..<rowCount).map { Array(repeating: Int32($0), count: length) }
        isDirect = true
        isFlatStale = true
    }
}
