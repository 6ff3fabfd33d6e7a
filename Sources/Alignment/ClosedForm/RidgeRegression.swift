import Torch

/// Linear regression with an intercept and a penalty on the weights, whose strength is found on rows set aside.
package struct RidgeRegression {
    /// `[D, K]`: a row of inputs times it gives a row of outputs, apart from the intercept.
    package let weight: Tensor
    package let inputMean: Tensor
    package let outputMean: Tensor
    /// The penalty, as a multiple of the inputs' mean variance times the number of rows.
    package let strength: Double

    /// What is tried, from the weakest.
    package static let strengths = [1e-3, 1e-2, 1e-1, 1, 10]

    /// Tries every strength on the first four fifths of the rows, takes the one whose outputs have the highest mean
    /// cosine with the last fifth (the weakest of equal ones), and fits all rows with it.
    /// - Parameters:
    ///   - x: `[n, D]`, float64, n at least 2.
    ///   - y: `[n, K]`, float64.
    package init(_ x: Tensor, _ y: Tensor) {
        let rows = x.size(0)
        let inner = max(1, rows * 4 / 5)
        var best = (strength: Self.strengths[0], cosine: -Double.infinity)
        let moments = Moments(x[0..<inner], y[0..<inner])
        for strength in Self.strengths {
            let trial = RidgeRegression(moments, strength)
            let cosine = (trial(x[inner..<rows]).normalized() * y[inner..<rows].normalized()).sum(-1).mean().item()
            if cosine > best.cosine { best = (strength, cosine) }
        }
        self.init(Moments(x, y), best.strength)
    }

    private struct Moments {
        let gram: Tensor
        let cross: Tensor
        let inputMean: Tensor
        let outputMean: Tensor

        init(_ x: Tensor, _ y: Tensor) {
            inputMean = x.mean(0, keep: true)
            outputMean = y.mean(0, keep: true)
            let centred = x - inputMean
            gram = centred.transposed(0, 1).matmul(centred)
            cross = centred.transposed(0, 1).matmul(y - outputMean)
        }
    }

    private init(_ moments: Moments, _ strength: Double) {
        let size = moments.gram.size(0)
        let penalty = strength * SymmetricMatrix.trace(moments.gram) / Double(size)
        self.strength = strength
        inputMean = moments.inputMean
        outputMean = moments.outputMean
        // Inputs that are all equal tell nothing: the outputs' mean remains.
        weight =
            SymmetricMatrix.solve(moments.gram + SymmetricMatrix.identity(size) * penalty, moments.cross)
            ?? Tensor.zeros([size, moments.cross.size(1)], dtype: .float64)
    }

    /// `[n, D]` to `[n, K]`
    package func callAsFunction(_ x: Tensor) -> Tensor { (x - inputMean).matmul(weight) + outputMean }
}
