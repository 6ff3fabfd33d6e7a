import CTorch

extension Functional {
    /// Nearest-neighbour resizing of `[B, C, H, W]` to `[B, C, height, width]`, as `interpolate(size:)` chooses neighbours.
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
