import Alignment
import Randomness
import Torch

/// Embeddings of pairs in one space, as float64 tensors, with what can be said of each pair by itself.
struct PairedSpace {
    /// `[m, D]`, one row per distinct real image, as the encoder gives it.
    let real: Tensor
    /// `[n, D]`, one row per pair.
    let generated: Tensor
    /// For each pair, its row of `real`.
    let realRow: [Int]

    var images: Int { real.size(0) }
    var dimension: Int { real.size(1) }

    /// `[n, D]`: the real image of every pair.
    var pairedReal: Tensor { real.indexSelect(0, Tensor(realRow)) }

    /// The cosine of every pair.
    func cosines(_ generated: Tensor) -> [Double] {
        (generated.normalized() * pairedReal.normalized()).sum(-1).array(of: Double.self)
    }

    /// For every generated image, the mean cosine with all real images but its own: what a random pair has.
    func floors(_ generated: Tensor) -> [Double] {
        let sum = real.normalized().sum(0, keep: true)  // [1, D]
        let all = generated.normalized().matmul(sum.transposed(0, 1)).reshaped(generated.size(0))
            .array(of: Double.self)
        return zip(all, cosines(generated)).map { ($0 - $1) / Double(images - 1) }
    }

    /// The place (from 1) of every generated image's real image among all real ones, by cosine. Of equal ones the image
    /// that comes first is ahead, so that equal embeddings never count as found.
    func ranks(_ generated: Tensor) -> [Int] {
        let gallery = real.normalized().transposed(0, 1)  // [D, m]
        let order = Tensor.arange(0, images).unsqueezed(0)  // [1, m]
        let queries = generated.normalized()
        var ranks: [Int] = []
        for start in stride(from: 0, to: realRow.count, by: 1024) {
            let end = min(start + 1024, realRow.count)
            let similarity = queries[start..<end].matmul(gallery)  // [b, m]
            let target = Tensor(Array(realRow[start..<end])).unsqueezed(1)  // [b, 1]
            let own = similarity.gather(1, target)
            let ahead =
                (similarity .> own).to(.int64).sum(1) + ((similarity .== own) .& (order .< target)).to(.int64).sum(1)
            ranks += ahead.array(of: Int.self).map { $0 + 1 }
        }
        return ranks
    }

    /// ‖mean difference‖² / mean ‖difference‖² of normalised pairs; nil if no pair differs.
    var meanShiftShare: Double? {
        let difference = generated.normalized() - pairedReal.normalized()
        let total = difference.square().sum(-1).mean().item()
        return total > 0 ? difference.mean(0).square().sum().item() / total : nil
    }
}

/// Pairs cut into parts, of which each is predicted from the others; pairs of one real image are in one part.
struct PairFolds {
    /// The part of each distinct real image.
    let ofImage: [Int]
    let count: Int

    /// As equal in images as possible, in random order: neighbours in a file often share a theme.
    init(images: Int, count: Int = 5, seed: UInt64 = 0) {
        var order = Array(0..<images)
        var random = SplitMix64(seed: seed)
        for index in order.indices.dropLast() {
            order.swapAt(index, index + Int(random.next(below: UInt64(images - index))))
        }
        var parts = [Int](repeating: 0, count: images)
        for (place, image) in order.enumerated() { parts[image] = place % count }
        ofImage = parts
        self.count = count
    }

    init(ofImage: [Int], count: Int) {
        self.ofImage = ofImage
        self.count = count
    }

    /// Every row predicted by what the rows of the other parts teach: `[n, K]`.
    /// - Parameters:
    ///   - realRow: the real image of each row.
    ///   - fit: rows to learn from, to a function of the others.
    func predict(
        _ x: Tensor, _ y: Tensor, realRow: [Int], fit: (_ x: Tensor, _ y: Tensor) -> (Tensor) -> Tensor
    ) -> Tensor {
        var pieces: [Tensor] = []
        var order: [Int] = []
        for part in 0..<count {
            let held = realRow.indices.filter { ofImage[realRow[$0]] == part }
            guard !held.isEmpty else { continue }
            let others = Tensor(realRow.indices.filter { ofImage[realRow[$0]] != part })
            let map = fit(x.indexSelect(0, others), y.indexSelect(0, others))
            pieces.append(map(x.indexSelect(0, Tensor(held))))
            order += held
        }
        var places = [Int](repeating: 0, count: order.count)
        for (row, index) in order.enumerated() { places[index] = row }
        return Tensor.cat(pieces).indexSelect(0, Tensor(places))
    }
}
