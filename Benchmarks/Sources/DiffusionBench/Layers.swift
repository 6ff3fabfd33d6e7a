import Torch

/// The operations of Stable Diffusion 2's UNet one by one, at latents 2x4x64x64 and in float32: what a forward spends on
/// each kind, the operation's time times how often a forward runs it.
///
/// Every way of computing an operation stands beside the others, so that the choice the model makes can be checked.
struct LayerTimes {
    private let generator = Generator(seed: 1)
    private var totals: [(kind: String, best: Double)] = []

    private func random(_ shape: [Int]) -> Tensor { .randn(shape, generator: generator) * 0.1 }

    /// Channels last in memory.
    private func picture(_ channels: Int, _ side: Int) -> Tensor {
        random([2, side, side, channels]).permuted(0, 3, 1, 2)
    }

    private mutating func measure(
        _ kind: String, _ name: String, count: Int, gigaflops: Double, _ ways: [(String, () -> Tensor)]
    ) {
        var best = Double.infinity
        var line = "\(kind) \(name) x\(count):"
        for (way, body) in ways {
            _ = body()
            let time = (0..<2).map { _ in seconds { _ = body() } }.min()!
            best = min(best, time)
            let rate = gigaflops > 0 ? ", \(Int(gigaflops / time)) GFLOP/s" : ""
            line += "  \(way) \((time * 10000).rounded() / 10) ms\(rate)"
        }
        print(line)
        totals.append((kind, best * Double(count)))
    }

    private mutating func convolution(_ inputs: Int, _ outputs: Int, _ side: Int, _ count: Int) {
        let x = picture(inputs, side)
        let (weight, bias) = (random([outputs, inputs, 3, 3]), random([outputs]))
        let two = WinogradConvolution(weight: weight, bias: bias, tile: 2)
        let four = WinogradConvolution(weight: weight, bias: bias, tile: 4)
        measure(
            "convolution", "\(inputs) to \(outputs) at \(side)", count: count,
            gigaflops: 36e-9 * Double(inputs * outputs * side * side),
            [
                ("libtorch", { Functional.conv2d(x, weight: weight, bias: bias, padding: 1) }),
                ("tiles of 2", { two(x) }), ("tiles of 4", { four(x) }),
            ])
    }

    private mutating func linear(
        _ kind: String, _ inputs: Int, _ outputs: Int, rows: Int, _ count: Int, bias hasBias: Bool = true
    ) {
        let x = random([rows, inputs])
        let weight = random([outputs, inputs])
        let bias = hasBias ? random([outputs]) : nil
        let packed = PackedLinear(weight: weight, bias: bias)
        measure(
            kind, "\(inputs) to \(outputs), \(rows) rows", count: count,
            gigaflops: 2e-9 * Double(inputs * outputs * rows),
            [("libtorch", { Functional.linear(x, weight: weight, bias: bias) }), ("oneDNN", { packed(x) })])
    }

    private mutating func transformers(_ channels: Int, _ side: Int, heads: Int, _ count: Int) {
        let positions = side * side
        let rows = 2 * positions
        linear("projections", channels, channels, rows: rows, 8 * count)
        linear("feed-forward", channels, 8 * channels, rows: rows, count)
        let gated = random([rows, 8 * channels])
        measure("feed-forward", "gate at \(side)", count: count, gigaflops: 0, [("", { Functional.gatedGELU(gated) })])
        linear("feed-forward", 4 * channels, channels, rows: rows, count)
        func headed(_ tokens: Int) -> Tensor {
            random([2, tokens, heads, channels / heads]).transposed(1, 2)
        }
        let (q, k, v) = (headed(positions), headed(positions), headed(positions))
        let (textKeys, textValues) = (headed(77), headed(77))
        let flops = 8e-9 * Double(positions * channels)
        measure(
            "self-attention", "at \(side)", count: count, gigaflops: flops * Double(positions),
            [("libtorch", { Functional.attention(q, k, v) })])
        measure(
            "text attention", "at \(side)", count: count, gigaflops: flops * 77,
            [("libtorch", { Functional.attention(q, textKeys, textValues) })])
        let (tokens, weight, bias) = (random([rows, channels]), random([channels]), random([channels]))
        measure(
            "norms", "layer norm at \(side)", count: 3 * count, gigaflops: 0,
            [("", { Functional.layerNorm(tokens, weight: weight, bias: bias, eps: 1e-5) })])
        let image = picture(channels, side)
        measure(
            "norms", "group norm at \(side)", count: count, gigaflops: 0,
            [("", { Functional.groupNorm(image, groups: 32, weight: weight, bias: bias, eps: 1e-6) })])
    }

    private mutating func groupNorm(_ channels: Int, _ side: Int, _ count: Int) {
        let (x, weight, bias) = (picture(channels, side), random([channels]), random([channels]))
        measure(
            "norms", "group norm and SiLU of \(channels) at \(side)", count: count, gigaflops: 0,
            [("", { Functional.groupNormSiLU(x, groups: 32, weight: weight, bias: bias, eps: 1e-5) })])
    }

    private mutating func all() {
        for (inputs, outputs, side, count) in [
            (320, 320, 64, 7), (640, 320, 64, 2), (960, 320, 64, 1), (640, 640, 64, 1), (320, 640, 32, 1),
            (640, 640, 32, 6), (960, 640, 32, 1), (1280, 640, 32, 1), (1920, 640, 32, 1), (1280, 1280, 32, 1),
            (640, 1280, 16, 1), (1280, 1280, 16, 7), (1920, 1280, 16, 1), (2560, 1280, 16, 2), (1280, 1280, 8, 11),
            (2560, 1280, 8, 3),
        ] { convolution(inputs, outputs, side, count) }
        for (inputs, outputs, side, count) in [
            (320, 640, 32, 1), (640, 1280, 16, 1), (2560, 1280, 8, 3), (2560, 1280, 16, 2), (1920, 1280, 16, 1),
            (1920, 640, 32, 1), (1280, 640, 32, 1), (960, 640, 32, 1), (960, 320, 64, 1), (640, 320, 64, 2),
        ] { linear("shortcuts", inputs, outputs, rows: 2 * side * side, count) }
        transformers(320, 64, heads: 5, 5)
        transformers(640, 32, heads: 10, 5)
        transformers(1280, 16, heads: 20, 5)
        transformers(1280, 8, heads: 20, 1)
        for (channels, side, count) in [
            (320, 64, 8), (640, 64, 2), (960, 64, 1), (640, 32, 8), (1280, 32, 1), (1920, 32, 1), (1280, 16, 9),
            (2560, 16, 2), (1280, 8, 11), (2560, 8, 3),
        ] { groupNorm(channels, side, count) }
    }

    static func report() {
        var times = LayerTimes()
        inferenceMode { times.all() }
        var kinds: [String: Double] = [:]
        for (kind, time) in times.totals { kinds[kind, default: 0] += time }
        print("\nseconds of a forward, the fastest way of each:")
        for (kind, time) in kinds.sorted(by: { $0.value > $1.value }) { print("  \(kind): \(time)") }
        print("  together: \(kinds.values.reduce(0, +))")
    }
}
