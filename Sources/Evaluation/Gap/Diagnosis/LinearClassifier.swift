import Alignment
import Torch

/// How well a linear classifier tells real from generated images that it has not seen.
///
/// The classifier is Fisher's, with the covariance drawn a tenth of the way to a multiple of the identity: a closed
/// form, so that the number has no learning rate and no random start.
enum LinearClassifier {
    static let shrinkage = 0.1

    /// The mean over the parts of the area under the curve, each part judged by what the others teach; nil if nothing
    /// varies.
    ///
    /// Both images of a pair are in one part; otherwise the classifier could know the scene.
    static func areaUnderCurve(_ space: PairedSpace, _ folds: PairFolds) -> Double? {
        let (real, generated) = (space.real.normalized(), space.generated.normalized())
        var areas: [Double] = []
        for part in 0..<folds.count {
            func rows(_ tensor: Tensor, _ isIn: (Int) -> Bool) -> Tensor {
                tensor.indexSelect(0, Tensor((0..<tensor.size(0)).filter(isIn)))
            }
            let heldReal = rows(real) { folds.ofImage[$0] == part }
            let heldGenerated = rows(generated) { folds.ofImage[space.realRow[$0]] == part }
            guard heldReal.size(0) > 0, heldGenerated.size(0) > 0,
                let direction = direction(
                    real: rows(real) { folds.ofImage[$0] != part },
                    generated: rows(generated) { folds.ofImage[space.realRow[$0]] != part })
            else { return nil }
            areas.append(
                area(
                    positive: heldGenerated.matmul(direction).array(of: Double.self),
                    negative: heldReal.matmul(direction).array(of: Double.self)))
        }
        return areas.reduce(0, +) / Double(areas.count)
    }

    /// `[D, 1]`, along which generated images score higher.
    private static func direction(real: Tensor, generated: Tensor) -> Tensor? {
        let (realMean, generatedMean) = (real.mean(0, keep: true), generated.mean(0, keep: true))
        let size = real.size(1)
        let centred = Tensor.cat([real - realMean, generated - generatedMean])
        let covariance = centred.transposed(0, 1).matmul(centred) / Double(centred.size(0))
        let mean = SymmetricMatrix.trace(covariance) / Double(size)
        guard mean > 0 else { return nil }
        return SymmetricMatrix.solve(
            covariance * (1 - shrinkage) + SymmetricMatrix.identity(size) * (shrinkage * mean),
            (generatedMean - realMean).transposed(0, 1))
    }

    /// The share of pairs of one positive and one negative in which the positive scores higher; a tie counts half.
    static func area(positive: [Double], negative: [Double]) -> Double {
        let sorted = negative.sorted()
        func below(_ value: Double, orEqual: Bool) -> Int {
            var (low, high) = (0, sorted.count)
            while low < high {
                let middle = (low + high) / 2
                if sorted[middle] < value || (orEqual && sorted[middle] == value) {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            return low
        }
        let wins = positive.reduce(0.0) {
            $0 + Double(below($1, orEqual: false) + below($1, orEqual: true)) / 2
        }
        return wins / Double(positive.count * negative.count)
    }
}
