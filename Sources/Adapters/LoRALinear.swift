import Torch
import TorchNN

/// A linear layer with a low-rank update: `x·Wᵀ + bias + scale · dropout(x)·Aᵀ·Bᵀ`.
///
/// It shares the weight and bias of the layer that it adapts, under the same keys; its own tensors are `lora_A.weight`
/// and `lora_B.weight`, PEFT's names in files.
public final class LoRALinear: Linear, LowRankLayer {
    @Parameter("lora_A.weight") public var down: Tensor  // A [r, in]
    @Parameter("lora_B.weight") public var up: Tensor  // B [out, r]

    public let rank: Int
    public let scale: Double
    public let dropout: Double
    /// Whether the update takes part; switched through `LoRAAdapter.isEnabled`.
    public internal(set) var isEnabled = true
    var merged: (base: Tensor, sum: Tensor)?
    private let generator: Generator?

    /// - Parameters:
    ///   - linear: stays usable; its tensors are shared, and this layer never writes them.
    ///   - generator: draws `A` now; nil leaves it to be filled from a file.
    init(adapting linear: Linear, _ settings: UpdateSettings, generator: Generator?) {
        rank = settings.rank
        scale = settings.scale
        dropout = settings.dropout
        self.generator = settings.dropoutGenerator
        super.init(sharing: linear)
        start(rank: rank, inputSize: inputSize, outputSize: outputSize, generator: generator)
    }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        guard isAdapting else { return Functional.linear(x, weight: weight, bias: bias) }
        guard dropout > 0, isTraining, let generator else { return Functional.loraLinears(x, [operands(for: x)])[0] }
        let dropped = Functional.dropout(x, p: dropout, generator: generator)
        return Functional.loraLinears(x, dropped: dropped, [operands(for: x)])[0]
    }

    /// Several adapted layers in one operation, which keeps the input once and collects its gradient in one buffer.
    public override func callAsFunction(_ x: Tensor, with others: [Linear]) -> [Tensor] {
        let layers = [self] + others.compactMap { $0 as? LoRALinear }
        guard layers.count == others.count + 1, layers.allSatisfy({ $0.isPlainlyAdapting }) else {
            return super.callAsFunction(x, with: others)
        }
        return Functional.loraLinears(x, layers.map { $0.operands(for: x) })
    }

    /// Whether the layer reads its input unchanged and adds its update.
    private var isPlainlyAdapting: Bool { isAdapting && !(dropout > 0 && isTraining && generator != nil) }

    private func operands(for x: Tensor) -> LoRAOperands {
        let (a, b) = factors(for: x)
        return LoRAOperands(weight: weight, bias: bias, a: a, b: b, scale: scale)
    }

    /// `scale · B·A`, `[out, in]` in float32.
    public func update() -> Tensor {
        withoutGradients { up.to(.float32).matmul(down.to(.float32)) * scale }
    }

    func plain() -> Module { Linear(sharing: self) }
}
