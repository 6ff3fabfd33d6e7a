import Torch

/// A linear map from generated to real embeddings that no training finds but a formula: the baselines that any
/// alignment has to beat.
public struct ClosedFormMap {
    public enum Kind: String, Sendable, CaseIterable, Codable {
        /// Moves the mean of generated embeddings to that of real ones.
        case meanShift
        /// Gives generated embeddings the mean and the covariance of real ones (CORAL, Sun et al. 2016); the pairs do
        /// not matter.
        case coral
        /// Ridge regression of the real embedding on the generated one of the same pair.
        case ridge
    }

    /// `[E, E]`, float64: row `i` gives output `i`, as in a linear layer.
    public let weight: Tensor
    /// `[E]`, float64
    public let bias: Tensor

    /// CORAL adds this share of the mean variance to every variance, so that directions without variance do no harm.
    static let coralFloor = 0.01

    /// - Parameters:
    ///   - generated: `[n, E]`, n at least 2: the encoder's output, not normalised.
    ///   - real: `[n, E]`; row i is the real image of the same caption.
    public init(_ kind: Kind, generated: Tensor, real: Tensor) {
        let (x, y) = (generated.to(.cpu).to(.float64), real.to(.cpu).to(.float64))
        let (from, to) = (x.mean(0, keep: true), y.mean(0, keep: true))  // [1, E]
        let size = x.size(1)
        switch kind {
        case .meanShift:
            weight = SymmetricMatrix.identity(size)
            bias = (to - from).reshaped(size)
        case .coral:
            let map = SymmetricMatrix.roots(Self.covariance(x - from)).inverseRoot
                .matmul(SymmetricMatrix.roots(Self.covariance(y - to)).root)
            weight = map.transposed(0, 1).contiguous()
            bias = (to - from.matmul(map)).reshaped(size)
        case .ridge:
            let fit = RidgeRegression(x, y)
            weight = fit.weight.transposed(0, 1).contiguous()
            bias = (fit.outputMean - fit.inputMean.matmul(fit.weight)).reshaped(size)
        }
    }

    private static func covariance(_ centred: Tensor) -> Tensor {
        let size = centred.size(1)
        let covariance = centred.transposed(0, 1).matmul(centred) / Double(centred.size(0))
        let mean = SymmetricMatrix.trace(covariance) / Double(size)
        // Rows that are all equal have no variance; then the map is the identity.
        return covariance + SymmetricMatrix.identity(size) * (mean > 0 ? coralFloor * mean : 1)
    }

    /// `[n, E]` to `[n, E]`, float64
    public func callAsFunction(_ generated: Tensor) -> Tensor {
        generated.to(.cpu).to(.float64).matmul(weight.transposed(0, 1)) + bias
    }
}
