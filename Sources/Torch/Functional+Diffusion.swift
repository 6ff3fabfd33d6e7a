import CTorch

extension Functional {
    /// Nearest-neighbour resizing of `[B, C, H, W]` to `[B, C, height, width]`, with the neighbours that
    /// `interpolate(size:)` chooses.
    public static func upsampleNearest(
        _ x: Tensor, height: Int, width: Int, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("upsampleNearest", file, line) {
            ct_upsample_nearest2d_to(x.handle, Int64(height), Int64(width), $0)
        }
    }

    /// `a · gelu(g)` of the halves `[a, g]` of the last dimension: `[..., 2 F]` gives `[..., F]` (GEGLU, Shazeer 2020).
    public static func gatedGELU(_ x: Tensor, file: StaticString = #fileID, line: UInt = #line) -> Tensor {
        Tensor.make("gatedGELU", file, line) { ct_gated_gelu(x.handle, $0) }
    }
}

extension Functional {
    /// The dtype of the activations in a model with weights of this dtype: the same, except float32 for bfloat16
    /// weights on a CPU that does not multiply bfloat16. There libtorch emulates every product, at a tenth of the rate.
    /// Linear layers, convolutions and norms on float32 widen each weight as they read it, so the weights still take
    /// half of float32's memory.
    public static func activationDType(
        of weight: Tensor, file: StaticString = #fileID, line: UInt = #line
    ) -> DType {
        guard weight.dtype == .bfloat16, weight.device == .cpu else { return weight.dtype }
        var isNative = true
        check(ct_cpu_bf16_is_native(&isNative), "activationDType", file, line)
        return isNative ? .bfloat16 : .float32
    }

    /// Group normalisation of `x`, or of `x + added`, with SiLU after it: `x` `[B, C, H, W]`, `added` `[B, C]` or `[1, C]`.
    ///
    /// In float32 on the CPU, with channels last in memory and no gradient to record, this takes three passes over
    /// memory where separate operations need seven. Elsewhere it runs the separate operations.
    public static func groupNormSiLU(
        _ x: Tensor, adding added: Tensor? = nil, groups: Int, weight: Tensor, bias: Tensor, eps: Double,
        file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("groupNormSiLU", file, line) {
            ct_group_norm_silu(
                x.handle, added?.handle, Int64(groups), weight.handle, bias.handle, eps, true, $0)
        }
    }
}

/// A 3x3 convolution with padding 1 by Winograd's method (Lavin & Gray 2016): float32 on the CPU, inference only.
///
/// Tiles of 2x2 outputs need 4/9 of the products of the plain sum, tiles of 4x4 a quarter. The transformed filters take
/// 16/9 or 4 times the memory of the plain ones. The sums are reordered, so results differ from the plain ones in the
/// last digits: for tiles of 4x4 by about 1e-6 of the largest value.
public final class WinogradConvolution {
    private let filters: Tensor  // [t², in, out]
    private let bias: Tensor  // [out]

    /// - Parameters:
    ///   - weight: `[out, in, 3, 3]`, float32 on the CPU; `in` and `out` multiples of 16.
    ///   - tile: sides of a tile of outputs, 2 or 4.
    public init(weight: Tensor, bias: Tensor?, tile: Int, file: StaticString = #fileID, line: UInt = #line) {
        filters = Tensor.make("WinogradConvolution", file, line) { ct_winograd_pack(weight.handle, Int32(tile), $0) }
        self.bias = bias ?? .zeros([weight.size(0)])
    }

    /// Whether a convolution with this weight can be computed in this way, and the kernel is not switched off.
    public static func fits(weight: Tensor) -> Bool {
        guard CPUKernel.isUsed("winograd") else { return false }
        let shape = weight.shape
        return weight.dtype == .float32 && weight.device == .cpu && shape[2...] == [3, 3] && shape[0] % 16 == 0
            && shape[1] % 16 == 0
    }

    /// The convolution of `x` `[B, in, H, W]`, plus `other` `[B, out, H, W]` if given; channels last in memory.
    public func callAsFunction(
        _ x: Tensor, adding other: Tensor? = nil, file: StaticString = #fileID, line: UInt = #line
    ) -> Tensor {
        Tensor.make("WinogradConvolution", file, line) {
            ct_winograd_conv2d(x.handle, filters.handle, bias.handle, other?.handle, $0)
        }
    }
}
