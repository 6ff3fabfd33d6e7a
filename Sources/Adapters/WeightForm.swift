import Torch
import TorchNN

/// How the weight of an updated module is stored, and which tensors an adapter keeps for it.
///
/// Every update is one product in the form of a matrix `[out, rest]`: `B` `[out, r]` times `A` `[r, rest]`.
enum WeightForm {
    /// `Linear`: `[out, in]`.
    case outputFirst
    /// GPT-2's `Conv1D`: `[in, out]`.
    case inputFirst
    /// `Conv2d`: `[out, in, k, k]`.
    case convolution
    /// `Embedding`: `[V, D]`, where `D` is the output and `V` the input.
    case embedding

    /// - Returns: nil for a module that has no update.
    init?(_ module: Module) {
        switch module {
        case is Linear: self = .outputFirst
        case is Conv1D: self = .inputFirst
        case is Conv2d: self = .convolution
        case is Embedding: self = .embedding
        default: return nil
        }
    }

    /// Whether there is a layer that computes the update beside the product. Otherwise the update is folded into the
    /// weight, which models read directly (patches are multiplied as matrices, positions are added as rows).
    var isLinear: Bool { self == .outputFirst || self == .inputFirst }

    /// The names below the module, as PEFT stores them.
    var names: (down: String, up: String, upBias: String, magnitude: String) {
        let magnitude = "lora_magnitude_vector"
        return self == .embedding
            ? ("lora_embedding_A", "lora_embedding_B", "lora_embedding_B.bias", magnitude)
            : ("lora_A.weight", "lora_B.weight", "lora_B.bias", magnitude)
    }

    /// - Parameter weight: shape of the module's weight.
    func shapes(weight: [Int], rank: Int) -> (down: [Int], up: [Int], magnitude: [Int]) {
        switch self {
        case .outputFirst: ([rank, weight[1]], [weight[0], rank], [weight[0]])
        case .inputFirst, .embedding: ([rank, weight[0]], [weight[1], rank], [weight[1]])
        case .convolution: ([rank] + weight[1...], [weight[0], rank, 1, 1], [1, weight[0], 1, 1])
        }
    }

    /// Rows of the weight as a matrix, that is its outputs.
    func outputCount(_ weight: [Int]) -> Int { shapes(weight: weight, rank: 1).up[0] }

    /// The weight with its update, in its own shape and dtype.
    ///
    /// With magnitudes (DoRA, eq. 5) every output of the sum is scaled to its own length: `m · (W + ΔW) / ‖W + ΔW‖`,
    /// with the norm over everything that the output reads.
    func updated(_ weight: Tensor, down: Tensor, up: Tensor, scale: Double, magnitude: Tensor?) -> Tensor {
        withoutGradients {
            let rank = down.size(0)
            // [out, rest]
            let product = up.to(.float32).reshaped(-1, rank).matmul(down.to(.float32).reshaped(rank, -1))
            // [out, rest]
            var sum = matrix(weight.detached().to(.float32)) + product * scale
            if let magnitude {
                sum = sum * (magnitude.to(.float32).reshaped(-1, 1) / sum.norm(1, keep: true))
            }
            let shaped = isTransposed ? sum.transposed() : sum
            return shaped.reshaped(weight.shape).contiguous().to(weight.dtype)
        }
    }

    private var isTransposed: Bool { self == .inputFirst || self == .embedding }

    /// `[out, rest]`
    private func matrix(_ weight: Tensor) -> Tensor {
        isTransposed ? weight.transposed() : weight.reshaped(weight.size(0), -1)
    }
}
