import Torch
import TorchNN

/// A linear layer with a low-rank update: `x·Wᵀ + bias + scale · dropout(x)·Aᵀ·Bᵀ`.
///
/// Shares the weight and bias of the layer it adapts, under the same keys; its own tensors are `lora_A.weight` and
/// `lora_B.weight`, as PEFT names them on disk. `A` starts as PEFT starts it (Kaiming-uniform with a = √5, that is uniform in ±1/√in) and `B` as zero: a
/// fresh layer computes what the base layer does, to the bit.
///
/// In one of three states: *adapting* (the update is computed beside the base product), *merged* (one product with
/// `W + scale · B·A`), or *disabled* (the base layer).
public final class LoRALinear: Linear {
    @Parameter("lora_A.weight") public var down: Tensor  // A [r, in]
    @Parameter("lora_B.weight") public var up: Tensor  // B [out, r]

    public let rank: Int
    public let scale: Double
    public let dropout: Double
    /// Whether the update takes part; switched through `LoRAAdapter.isEnabled`.
    public internal(set) var isEnabled = true
    public var isMerged: Bool { base != nil }

    /// The base weight, kept while `weight` is the merged one.
    private var base: Tensor?
    private let generator: Generator?

    /// - Parameters:
    ///   - linear: stays usable; its tensors are shared, and never written by this layer.
    ///   - generator: draws `A` now; nil leaves `A` unset for a file to fill.
    ///   - dropoutGenerator: draws the dropout masks of training, on the layer's device; without it nothing is dropped.
    init(
        adapting linear: Linear, _ configuration: LoRAConfiguration, generator: Generator?, dropoutGenerator: Generator?
    ) {
        rank = configuration.rank
        scale = configuration.scale
        dropout = configuration.dropout
        self.generator = dropoutGenerator
        super.init(sharing: linear)
        let device = linear.weight.device
        // Adapters are small and trained: float32, whatever the base weights are.
        let drawn = Tensor.zeros([rank, inputSize])
        if let generator {
            let bound = 1 / Double(inputSize).squareRoot()
            drawn.uniformInPlace(-bound, bound, generator: generator)
        }
        down = drawn.to(device)
        up = .zeros([outputSize, rank], device: device)
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        guard isEnabled else { return Functional.linear(x, weight: base ?? weight, bias: bias) }
        guard !isMerged else { return Functional.linear(x, weight: weight, bias: bias) }
        guard dropout > 0, isTraining, let generator else { return Functional.loraLinears(x, [operands(for: x)])[0] }
        let dropped = Functional.dropout(x, p: dropout, generator: generator)
        return Functional.loraLinears(x, dropped: dropped, [operands(for: x)])[0]
    }

    /// Several adapted layers in one operation, which keeps the input once and gathers its gradient in one buffer.
    public override func callAsFunction(_ x: Tensor, with others: [Linear]) -> [Tensor] {
        let layers = [self] + others.compactMap { $0 as? LoRALinear }
        guard layers.count == others.count + 1, layers.allSatisfy({ $0.isPlainlyAdapting }) else {
            return super.callAsFunction(x, with: others)
        }
        return Functional.loraLinears(x, layers.map { $0.operands(for: x) })
    }

    /// Whether the layer reads its input as it is and adds its update.
    private var isPlainlyAdapting: Bool { isEnabled && !isMerged && !(dropout > 0 && isTraining && generator != nil) }

    /// `A` and `B` go in the dtype of a model kept in half precision; under autocast the operation casts by itself.
    private func operands(for x: Tensor) -> LoRAOperands {
        let isHalf = weight.dtype != .float32 && x.dtype == weight.dtype
        return LoRAOperands(
            weight: weight, bias: bias, a: isHalf ? down.to(x.dtype) : down, b: isHalf ? up.to(x.dtype) : up,
            scale: scale)
    }

    /// `scale · B·A`, `[out, in]` in float32.
    public func update() -> Tensor {
        withoutGradients { up.to(.float32).matmul(down.to(.float32)) * scale }
    }

    /// Folds the update into a weight of this layer's own; merging twice is merging once.
    func merge() {
        guard base == nil else { return }
        base = weight
        withoutGradients {
            weight = (weight.detached().to(.float32) + update()).to(weight.dtype)
        }
    }

    /// Puts back the base weight itself, so that its bits are those from before `merge`.
    func unmerge() {
        guard let base else { return }
        weight = base
        self.base = nil
    }

    /// A plain layer with the weight as it is now: merged, or the base.
    func plain() -> Linear { Linear(sharing: self) }
}
