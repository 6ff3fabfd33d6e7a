import Torch
import TorchNN

/// GPT-2's linear layer with a low-rank update: `x·W + bias + scale · dropout(x)·Aᵀ·Bᵀ` with `W` `[in, out]`.
///
/// `A` and `B` have the shapes of a ``LoRALinear``, as PEFT writes them (`fan_in_fan_out`). At inference the base
/// product uses the kernel that the model chose for it.
public final class LoRAConv1D: Conv1D, LowRankLayer {
    @Parameter("lora_A.weight") public var down: Tensor  // A [r, in]
    @Parameter("lora_B.weight") public var up: Tensor  // B [out, r]

    public let rank: Int
    public let scale: Double
    public let dropout: Double
    /// Whether the update is used; switched by `LoRAAdapter.isEnabled`.
    public internal(set) var isEnabled = true
    var merged: (base: Tensor, sum: Tensor)?
    private let generator: Generator?

    /// - Parameters:
    ///   - layer: stays usable; its tensors are shared, and this layer never writes them.
    ///   - generator: draws `A` now; nil leaves it to be filled from a file.
    init(adapting layer: Conv1D, _ settings: UpdateSettings, generator: Generator?) {
        rank = settings.rank
        scale = settings.scale
        dropout = settings.dropout
        self.generator = settings.dropoutGenerator
        super.init(sharing: layer)
        start(rank: rank, inputSize: weight.size(0), outputSize: weight.size(1), generator: generator)
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        let product = super.callAsFunction(x)
        guard isAdapting else { return product }
        var branch = x
        if dropout > 0, isTraining, let generator { branch = Functional.dropout(x, p: dropout, generator: generator) }
        let (a, b) = factors(for: x)
        return product + Functional.linear(Functional.linear(branch, weight: a), weight: b) * scale
    }

    /// `scale · (B·A)ᵀ`, `[in, out]` in float32.
    public func update() -> Tensor {
        withoutGradients { (up.to(.float32).matmul(down.to(.float32)) * scale).transposed().contiguous() }
    }

    func plain() -> Module { Conv1D(sharing: self) }
}
