import Torch

/// An operation that a kernel of ours is for.
struct Operation: Sendable {
    let name: String
    /// For the table.
    let shape: String
    /// Makes the operands; what it gives runs the operation once.
    let make: @Sendable (Generator) -> () -> Void
}

let operations: [Operation] = [
    Operation(name: "onednn-products", shape: "3200x768 by 768x3072, float32") { generator in
        let (x, w) = (
            Tensor.randn([3200, 768], generator: generator), Tensor.randn([3072, 768], generator: generator)
        )
        return { inferenceMode { _ = Functional.linear(x, weight: w) } }
    },
    Operation(name: "packed-layers", shape: "3200x768 by 768x3072 with GELU, bfloat16") { generator in
        let x = Tensor.randn([3200, 768], generator: generator).to(.bfloat16)
        let w = Tensor.randn([3072, 768], generator: generator).to(.bfloat16)
        let bias = Tensor.randn([3072], generator: generator).to(.bfloat16)
        guard isUsed("packed-layers") else {
            return { inferenceMode { _ = Functional.linear(x, weight: w, bias: bias).gelu() } }
        }
        let layer = PackedLinear(weight: w, bias: bias, activation: .gelu)
        return { inferenceMode { _ = layer(x) } }
    },
    Operation(name: "packed-weights", shape: "3200x768 by 768x768 forward and backward, bfloat16 by autocast") {
        generator in
        let x = Tensor.randn([3200, 768], generator: generator)
        let w = Tensor.randn([768, 768], generator: generator)
        x.requiresGrad = true
        return {
            packingFrozenWeights {
                let y = autocast(.bfloat16, device: .cpu) { Functional.linear(x, weight: w, bias: nil) }
                y.to(.float32).sum().backward()
            }
            x.grad = nil
        }
    },
    Operation(name: "wide-products", shape: "3200x768 by 768x768, bfloat16") { generator in
        let x = Tensor.randn([3200, 768], generator: generator).to(.bfloat16)
        let w = Tensor.randn([768, 768], generator: generator).to(.bfloat16)
        return { inferenceMode { _ = Functional.linear(x, weight: w) } }
    },
    Operation(name: "head-attention", shape: "64 images, 50 positions, 12 heads of 64, float32") { generator in
        let joined = Tensor.randn([64, 50, 3, 768], generator: generator)
        return {
            inferenceMode {
                _ = Functional.attention(joined.select(2, 0), joined.select(2, 1), joined.select(2, 2), heads: 12)
            }
        }
    },
    Operation(name: "added-norm", shape: "3200x768, float32") { generator in
        let (x, y) = (
            Tensor.randn([3200, 768], generator: generator), Tensor.randn([3200, 768], generator: generator)
        )
        let (w, b) = (Tensor.ones([768]), Tensor.zeros([768]))
        return { inferenceMode { _ = Functional.addedLayerNorm(x, adding: y, weight: w, bias: b, eps: 1e-5) } }
    },
    Operation(
        name: "lora", shape: "query, key and value of 3200x768, rank 4, forward and backward, float32", make: loRA),
    Operation(name: "low-rank", shape: "the same", make: loRA),
    Operation(name: "quick-gelu", shape: "3200x3072, float32") { generator in
        let x = Tensor.randn([3200, 3072], generator: generator)
        return { inferenceMode { _ = x.quickGELU() } }
    },
    Operation(name: "few-rows", shape: "5x768 by 768x3072, float32") { generator in
        let (x, w) = (Tensor.randn([5, 768], generator: generator), Tensor.randn([768, 3072], generator: generator))
        return { inferenceMode { _ = Functional.fewRowsLinear(x, weight: w, isInputFirst: true) } }
    },
    Operation(name: "best-tokens", shape: "10 of 50257 in 5 rows") { generator in
        let x = Tensor.randn([5, 50257], generator: generator)
        return { inferenceMode { _ = x.bestTokens(10) } }
    },
    Operation(name: "cached-attention", shape: "5 rows, 12 heads of 64, 40 positions of a cache") { generator in
        let memory = Tensor.randn([5, 64, 2, 12, 64], generator: generator)
        let query = Tensor.randn([5, 12, 64], generator: generator)
        let slots = (0..<5).flatMap { row in [Int32](repeating: Int32((row + 2) % 5), count: 40) }
        let rows = Tensor((0..<5).map { Int64(($0 + 2) % 5) })
        return {
            inferenceMode {
                if Functional.hasCachedAttention(query) {
                    _ = Functional.cachedAttention(
                        query, memory: [memory], starts: [0], slots: slots, length: 40, scale: 0.125)
                } else {
                    // As the cache gathers for it.
                    let chosen = memory.indexSelect(0, rows).slice(1, 0..<40)
                    _ = Functional.attention(
                        query.unsqueezed(2), chosen.select(2, 0).transposed(1, 2), chosen.select(2, 1).transposed(1, 2),
                        scale: 0.125)
                }
            }
        }
    },
    Operation(name: "cross-entropy", shape: "400x768 by 768x50257, forward and backward, float32") { generator in
        let x = Tensor.randn([400, 768], generator: generator)
        // As small as trained embeddings: larger logits would make gradients that are no normal floats, which are slow.
        let w = Tensor.randn([50257, 768], generator: generator) * 0.02
        let targets = Tensor((0..<400).map { Int64($0 * 97 % 50257) })
        x.requiresGrad = true
        return {
            Functional.linearCrossEntropy(x, weight: w, targets: targets).backward()
            x.grad = nil
        }
    },
    Operation(name: "gated-gelu", shape: "2048x2560, float32") { generator in
        let x = Tensor.randn([2048, 2560], generator: generator)
        return { inferenceMode { _ = Functional.gatedGELU(x) } }
    },
    Operation(name: "group-norm", shape: "2x320x32x32 with SiLU, float32") { generator in
        let x = Tensor.randn([2, 320, 32, 32], generator: generator).permuted(0, 2, 3, 1).contiguous().permuted(
            0, 3, 1, 2)
        let (w, b) = (Tensor.ones([320]), Tensor.zeros([320]))
        return { inferenceMode { _ = Functional.groupNormSiLU(x, groups: 32, weight: w, bias: b, eps: 1e-5) } }
    },
    Operation(name: "winograd", shape: "2x320x32x32, 320 filters of 3x3, float32") { generator in
        let x = Tensor.randn([2, 320, 32, 32], generator: generator).permuted(0, 2, 3, 1).contiguous().permuted(
            0, 3, 1, 2)
        let w = Tensor.randn([320, 320, 3, 3], generator: generator)
        guard WinogradConvolution.fits(weight: w) else {
            return { inferenceMode { _ = Functional.conv2d(x, weight: w, padding: 1) } }
        }
        let convolution = WinogradConvolution(weight: w, bias: nil, tile: 4)
        return { inferenceMode { _ = convolution(x) } }
    },
]

private func isUsed(_ name: String) -> Bool { (try? CPUKernel.all().first { $0.name == name }?.isUsed) ?? false }

@Sendable private func loRA(_ generator: Generator) -> () -> Void {
    let x = Tensor.randn([3200, 768], generator: generator)
    let layers = (0..<3).map { _ in
        LoRAOperands(
            weight: Tensor.randn([768, 768], generator: generator), bias: nil,
            a: Tensor.randn([4, 768], generator: generator), b: Tensor.randn([768, 4], generator: generator), scale: 1)
    }
    let trained = [x] + layers.flatMap { [$0.a, $0.b] }
    for tensor in trained { tensor.requiresGrad = true }
    return {
        Functional.loraLinears(x, layers).map { $0.sum() }.reduce(Tensor.zeros([])) { $0 + $1 }.backward()
        for tensor in trained { tensor.grad = nil }
    }
}
