import Torch
import TorchNN

/// A layer whose weight has a low-rank update that is computed beside it or folded into it.
///
/// It is in one of three states: *adapting* (the update is computed beside the base product), *merged* (one product
/// with the weight and its update), or *disabled* (the base layer). Merging makes a weight of the layer's own; the base
/// weight, which other models may share, is never written.
protocol LowRankLayer: Module {
    var weight: Tensor { get set }
    var down: Tensor { get set }  // A [r, in]
    var up: Tensor { get set }  // B [out, r]
    var scale: Double { get }
    var isEnabled: Bool { get set }
    /// Both weights while the layer is merged.
    var merged: (base: Tensor, sum: Tensor)? { get set }
    /// `scale · B·A`, of the weight's shape, in float32.
    func update() -> Tensor
    /// A layer without an update, with the present weight: merged, or the base.
    func plain() -> Module
}

extension LowRankLayer {
    var isMerged: Bool { merged != nil }

    /// Folds the update into a weight of this layer's own; merging twice has no further effect.
    func merge() {
        guard merged == nil else { return }
        let sum = withoutGradients { (weight.detached().to(.float32) + update()).to(weight.dtype) }
        merged = (weight, sum)
        if isEnabled { weight = sum }
    }

    /// Restores the base weight itself, so that its bits are those from before `merge`.
    func unmerge() {
        guard let merged else { return }
        weight = merged.base
        self.merged = nil
    }

    func setEnabled(_ on: Bool) {
        isEnabled = on
        if let merged { weight = on ? merged.sum : merged.base }
    }

    /// Whether the update is computed beside the product.
    var isAdapting: Bool { isEnabled && merged == nil }

    /// `A` and `B` in the dtype of a product with `x`, for a model in half precision; under autocast the operations
    /// cast by themselves.
    func factors(for x: Tensor) -> (a: Tensor, b: Tensor) {
        let isHalf = weight.dtype != .float32 && x.dtype == weight.dtype
        return isHalf ? (down.to(x.dtype), up.to(x.dtype)) : (down, up)
    }

    /// Draws the initial `A` as PEFT does (Kaiming-uniform with a = √5, which is uniform in ±1/√in) and sets `B` to
    /// zero, so a fresh layer computes what the base layer does, to the bit. Adapters are small and trained, so they
    /// are float32 whatever the weights are.
    /// - Parameter generator: nil leaves `A` zero, to be filled from a file.
    func start(rank: Int, inputSize: Int, outputSize: Int, generator: Generator?) {
        let drawn = Tensor.zeros([rank, inputSize])
        if let generator {
            let bound = 1 / Double(inputSize).squareRoot()
            drawn.uniformInPlace(-bound, bound, generator: generator)
        }
        down = drawn.to(weight.device)
        up = .zeros([outputSize, rank], device: weight.device)
    }
}

/// How an update is computed: the adapter's settings, resolved for one layer.
struct UpdateSettings {
    let rank: Int
    let scale: Double
    let dropout: Double
    /// Draws the dropout masks of training, on the layer's device; without it nothing is dropped.
    let dropoutGenerator: Generator?
}
