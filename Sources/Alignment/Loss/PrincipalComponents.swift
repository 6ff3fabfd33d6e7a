import Torch

/// Image features with nothing left but the directions in which a batch differs most: what Long-CLIP compares with short
/// captions (Zhang et al. 2024, sec. 3.2; `model/model_longclip.py`, `PCA`).
enum PrincipalComponents {
    /// Features projected onto the first principal components of the batch, the mean put back: `[B, D]` to `[B, D]`.
    ///
    /// The components are those of the batch, and the gradient knows it: it is that of a singular value decomposition. But no
    /// decomposition is differentiated. With the eigenvectors U of K = X Xᵀ (X without its mean) the projector onto the first k of
    /// them is P = Uₖ Uₖᵀ, and a change dK moves it by U (F ∘ Uᵀ dK U) Uᵀ, where F is 1 / (λᵢ - λⱼ) between a kept and a dropped
    /// direction and 0 elsewhere. So P plus that expression in K - K₀, whose value is zero, has the value of P and its gradient.
    /// Directions whose values are nearly equal are held apart by a ridge: their split is chance, and its gradient has no bound.
    ///
    /// A batch of at most `count` + 1 rows has no more components, and stays as it is.
    /// - Parameters:
    ///   - features: `[B, D]`.
    ///   - count: how many components are kept.
    static func reconstruct(_ features: Tensor, count: Int) -> Tensor {
        let batch = features.size(0)
        guard count < batch - 1 else { return features }
        let mean = features.mean(0, keep: true)  // [1, D]
        let centred = features - mean
        let products = centred.to(.float64).matmul(centred.to(.float64).transposed(0, 1))  // [B, B]
        let fixed = products.detached()
        let rows = fixed.to(.cpu).array(of: Double.self)
        let matrix = (0..<batch).map { Array(rows[$0 * batch..<($0 + 1) * batch]) }
        guard let eigen = SymmetricEigen(matrix) else {
            // Not finite: the loss will be neither, and is refused with the names of its pairs.
            return features * .nan
        }
        let ridge = 1e-9 * max(eigen.values[0], .leastNormalMagnitude)
        var apart = [Double](repeating: 0, count: batch * batch)
        for i in 0..<count {
            for j in count..<batch {
                let value = 1 / (max(eigen.values[i] - eigen.values[j], 0) + ridge)
                apart[i * batch + j] = value
                apart[j * batch + i] = value
            }
        }
        let vectors = Tensor(eigen.vectors.flatMap(\.self), shape: [batch, batch]).to(features.device)  // Uᵀ
        let kept = vectors[0..<count]
        let start = kept.transposed(0, 1).matmul(kept)  // [B, B]
        let inside = vectors.matmul(products - fixed).matmul(vectors.transposed(0, 1))
        let moved = vectors.transposed(0, 1).matmul(inside * Tensor(apart, shape: [batch, batch]).to(features.device))
            .matmul(vectors)
        return (start + moved).to(features.dtype).matmul(centred) + mean
    }
}
