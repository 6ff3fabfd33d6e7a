import Torch

/// Keys and values of positions that a decoder has seen, so that each token is computed once.
///
/// One block of memory per layer, `[rows, capacity, 2, heads, d]`: a layer's new keys and values arrive in one copy, and a
/// row's history lies in one piece. The capacity grows in blocks. Inference only: no gradient passes through.
public final class KeyValueCache {
    /// Positions held.
    public private(set) var length = 0
    /// Rows held; 0 before the first use.
    public private(set) var rowCount = 0

    private let headCount: Int
    private let headSize: Int
    private let block: Int
    private var layers: [Tensor]  // [rows, capacity, 2, heads, d]
    private var capacity = 0

    /// - Parameters:
    ///   - headCount: heads of keys and values, which some families have fewer of than of queries.
    ///   - block: positions added at a time when the capacity is used up.
    public init(layerCount: Int, headCount: Int, headSize: Int, block: Int = 32) {
        precondition(layerCount > 0 && headCount > 0 && headSize > 0 && block > 0)
        self.headCount = headCount
        self.headSize = headSize
        self.block = block
        layers = Array(repeating: .empty([0]), count: layerCount)
    }

    /// Makes room for `positions` in all, so that reaching them copies nothing. Takes effect with the next keys when the
    /// cache is empty.
    public func reserve(_ positions: Int) {
        wanted = max(wanted, positions)
    }

    private var wanted = 0

    /// Writes the new keys and values of one layer behind those that are there.
    /// - Parameter new: `[B, T, 2, heads, d]`.
    /// - Returns: keys and values of all positions, `[B, heads, S, d]`, views of the cache.
    public func append(_ new: Tensor, layer: Int) -> (keys: Tensor, values: Tensor) {
        let shape = new.shape
        let end = length + shape[1]
        if length == 0 { rowCount = shape[0] }
        precondition(
            shape[0] == rowCount && Array(shape[2...]) == [2, headCount, headSize],
            "keys and values \(shape) for a cache of \(rowCount) rows, \(headCount) heads of \(headSize)")
        if layer == 0 { grow(to: end) }
        if layers[layer].rank == 1 || layers[layer].size(1) != capacity
            || (length == 0 && layers[layer].size(0) != rowCount)
        {
            let larger = Tensor.empty(
                [rowCount, capacity, 2, headCount, headSize], dtype: new.dtype, device: new.device)
            if length > 0 { larger.slice(1, 0..<length).copy(from: layers[layer].slice(1, 0..<length)) }
            layers[layer] = larger
        }
        let memory = layers[layer]
        memory.slice(1, length..<end).copy(from: new)
        if layer == layers.count - 1 { length = end }
        let seen = memory.slice(1, 0..<end)  // [B, S, 2, heads, d]
        return (seen.select(2, 0).transposed(1, 2), seen.select(2, 1).transposed(1, 2))
    }

    private func grow(to positions: Int) {
        guard positions > capacity else { return }
        capacity = max((positions + block - 1) / block * block, wanted)
    }

    /// Row i becomes what row `rows[i]` was: beams that change places, prompts that become several rows, rows that end.
    ///
    /// Nothing is copied when every row keeps its place; when the number of rows stays, only those that move are.
    public func select(rows: [Int]) {
        precondition(rows.allSatisfy { (0..<rowCount).contains($0) }, "rows \(rows) of a cache of \(rowCount)")
        guard rows != Array(0..<rowCount), length > 0 else { return }
        let moved = rows.indices.filter { rows[$0] != $0 }
        if rows.count == rowCount, moved.count < rowCount {
            let sources = Tensor(moved.map { Int64(rows[$0]) }).to(layers[0].device)
            for layer in layers {
                let kept = layer.slice(1, 0..<length)
                let taken = kept.indexSelect(0, sources)  // [moved, S, 2, heads, d]
                for (index, row) in moved.enumerated() { kept[row].copy(from: taken[index]) }
            }
            return
        }
        let sources = Tensor(rows.map(Int64.init)).to(layers[0].device)
        for index in layers.indices {
            let old = layers[index].slice(1, 0..<length)
            let new = Tensor.empty(
                [rows.count, capacity, 2, headCount, headSize], dtype: old.dtype, device: old.device)
            new.slice(1, 0..<length).copy(from: old.indexSelect(0, sources))
            layers[index] = new
        }
        rowCount = rows.count
    }
}
