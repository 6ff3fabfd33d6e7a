import CTorch

/// The inner steps of optimizers, over lists of tensors at once; none records gradients.
public enum Optimization {
    /// libtorch's fused AdamW over `parameters`; `steps` (float32 scalars) are counted up first.
    public static func adamWStep(
        parameters: [Tensor], gradients: [Tensor], means: [Tensor], squares: [Tensor], steps: [Tensor],
        learningRate: Double, beta1: Double, beta2: Double, eps: Double, weightDecay: Double,
        file: StaticString = #fileID, line: UInt = #line
    ) {
        func handles(_ tensors: [Tensor]) -> [CTTensor?] { tensors.map(\.handle) }
        withExtendedLifetime((parameters, gradients, means, squares, steps)) {
            _ = check(
                ct_adamw_step(
                    handles(parameters), handles(gradients), handles(means), handles(squares), handles(steps),
                    Int32(parameters.count), learningRate, beta1, beta2, eps, weightDecay),
                "adamWStep", file, line)
        }
    }

    /// Euclidean norm of all tensors taken together, in float32.
    public static func totalNorm(_ tensors: [Tensor], file: StaticString = #fileID, line: UInt = #line) -> Double {
        var norm = Double.nan
        let handles: [CTTensor?] = tensors.map(\.handle)
        withExtendedLifetime(tensors) {
            _ = check(ct_grad_norm(handles, Int32(handles.count), &norm), "totalNorm", file, line)
        }
        return norm
    }

    /// Multiplies every tensor by `factor` in place.
    public static func scale(_ tensors: [Tensor], by factor: Double, file: StaticString = #fileID, line: UInt = #line) {
        let handles: [CTTensor?] = tensors.map(\.handle)
        withExtendedLifetime(tensors) {
            _ = check(ct_scale_(handles, Int32(handles.count), factor), "scale", file, line)
        }
    }
}
