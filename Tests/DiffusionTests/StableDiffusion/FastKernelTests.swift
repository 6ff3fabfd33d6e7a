import Testing
import Torch
import TorchNN

@testable import Diffusion

@Suite struct FastKernelTests {
    /// Of the largest value: sums in another order, and for tiles of 4x4 factors up to 8 on the way.
    private let tolerance = 2e-5

    @Test(arguments: [(2, 9, 7), (4, 9, 7), (2, 4, 6), (4, 5, 8), (4, 33, 47), (2, 1, 3), (4, 2, 1)])
    func winogradEqualsThePlainConvolution(_ tile: Int, _ height: Int, _ width: Int) {
        let generator = Generator(seed: UInt64(tile + height + width))
        let x = Tensor.randn([3, 32, height, width], generator: generator)
        let weight = Tensor.randn([48, 32, 3, 3], generator: generator)
        let bias = Tensor.randn([48], generator: generator)
        let other = Tensor.randn([3, 48, height, width], generator: generator)
        let expected = Functional.conv2d(
            x.to(.float64), weight: weight.to(.float64), bias: bias.to(.float64), padding: 1)
        let largest = expected.abs().max().item()
        inferenceMode {
            let convolution = WinogradConvolution(weight: weight, bias: bias, tile: tile)
            #expect(largestDifference(convolution(x), expected) < tolerance * largest)
            #expect(largestDifference(convolution(x.channelsLast()), expected) < tolerance * largest)
            let sum = convolution(x, adding: other)
            #expect(largestDifference(sum, expected + other.to(.float64)) < tolerance * largest)
            let unbiased = WinogradConvolution(weight: weight, bias: nil, tile: tile)(x)
            let shift = bias.to(.float64).reshaped(1, 48, 1, 1)
            #expect(largestDifference(unbiased, expected - shift) < tolerance * largest)
        }
    }

    @Test func winogradOfManyTilesEqualsThePlainConvolution() {
        // More tiles than one chunk holds.
        let generator = Generator(seed: 5)
        let x = Tensor.randn([2, 16, 131, 127], generator: generator)
        let weight = Tensor.randn([16, 16, 3, 3], generator: generator)
        let expected = Functional.conv2d(x, weight: weight, padding: 1)
        inferenceMode {
            for tile in [2, 4] {
                let got = WinogradConvolution(weight: weight, bias: nil, tile: tile)(x)
                #expect(largestDifference(got, expected) < tolerance * expected.abs().max().item())
            }
        }
    }

    @Test func onlySomeConvolutionsFit() {
        #expect(WinogradConvolution.fits(weight: .zeros([32, 16, 3, 3])))
        #expect(!WinogradConvolution.fits(weight: .zeros([32, 16, 1, 1])))
        #expect(!WinogradConvolution.fits(weight: .zeros([20, 16, 3, 3])))
        #expect(!WinogradConvolution.fits(weight: .zeros([32, 16, 3, 3], dtype: .bfloat16)))
    }

    @Test(arguments: [nil, 1, 3] as [Int?])
    func fusedGroupNormEqualsItsParts(_ rows: Int?) {
        let generator = Generator(seed: 6)
        let x = (Tensor.randn([3, 12, 70, 61], generator: generator) * 3 + 5).channelsLast()
        let weight = Tensor.randn([12], generator: generator)
        let bias = Tensor.randn([12], generator: generator)
        let added = rows.map { Tensor.randn([$0, 12], generator: generator) }
        let sum = added.map { x + $0.unsqueezed(2).unsqueezed(3) } ?? x
        let expected = Functional.groupNorm(
            sum.to(.float64), groups: 4, weight: weight.to(.float64), bias: bias.to(.float64), eps: 1e-5
        ).silu()
        func fused(_ x: Tensor) -> Tensor {
            Functional.groupNormSiLU(x, adding: added, groups: 4, weight: weight, bias: bias, eps: 1e-5)
        }
        // Values reach 15, so this is a few units in float32's last place.
        #expect(largestDifference(inferenceMode { fused(x) }, expected) < 5e-5)
        #expect(largestDifference(withoutGradients { fused(x.contiguous()) }, expected) < 5e-5)
        weight.requiresGrad = true
        let recorded = fused(x)
        #expect(recorded.requiresGrad)
        // libtorch's own kernel, which squares before it subtracts the mean.
        #expect(largestDifference(recorded.detached(), expected) < 1e-3)
    }

    @Test func gatedGELUEqualsItsParts() {
        let x = Tensor.randn([2, 700, 2 * 65], generator: Generator(seed: 7))
        let expected = x.slice(2, 0..<65) * x.slice(2, 65..<130).gelu()
        #expect(largestDifference(inferenceMode { Functional.gatedGELU(x) }, expected) < 1e-6)
        x.requiresGrad = true
        #expect(Functional.gatedGELU(x).requiresGrad)
    }

    @Test(arguments: [(2, 5, 3, 32), (1, 200, 77, 16), (3, 97, 300, 64), (2, 96, 1025, 128), (1, 7, 9, 20)])
    func attentionOfTokensEqualsAttentionOfHeads(_ batch: Int, _ positions: Int, _ keys: Int, _ width: Int) {
        let generator = Generator(seed: UInt64(positions + keys))
        let heads = 3
        // Slices of wider rows, as a joint projection would give them.
        func tokens(_ count: Int) -> Tensor {
            (Tensor.randn([batch, count, 2 * heads * width], generator: generator) * 2).slice(
                2, heads * width..<2 * heads * width)
        }
        let (q, k, v) = (tokens(positions), tokens(keys), tokens(keys))
        func split(_ x: Tensor) -> Tensor {
            x.to(.float64).reshaped(batch, -1, heads, width).transposed(1, 2)
        }
        let expected = Functional.attention(split(q), split(k), split(v)).transposed(1, 2).reshaped(q.shape)
        // Scores reach 150, which float32 knows to 1e-5; libtorch's attention differs as much.
        let tolerance = 3e-5
        #expect(largestDifference(inferenceMode { Functional.attention(q, k, v, heads: heads) }, expected) < tolerance)
        q.requiresGrad = true
        let recorded = Functional.attention(q, k, v, heads: heads)
        #expect(recorded.requiresGrad)
        #expect(largestDifference(recorded.detached(), expected) < tolerance)
    }

    @Test func attentionHidesNoOverflow() {
        let x = Tensor.randn([1, 40, 32], generator: Generator(seed: 12))
        var numbers: [Float] = x.array()
        numbers[32 * 7 + 3] = .nan
        let bad = Tensor(numbers, shape: [1, 40, 32])
        func finite(_ x: Tensor) -> Double { x.isFinite().to(.float32).sum().item() }
        inferenceMode {
            // A key of the first head spoils the head's every row, a query its own row.
            let keyed = Functional.attention(x, bad, x, heads: 2)
            #expect(finite(keyed.slice(2, 0..<16)) == 0)
            #expect(finite(keyed.slice(2, 16..<32)) == 40 * 16)
            let queried = Functional.attention(bad, x, x, heads: 2)
            #expect(finite(queried.slice(1, 7..<8)) == 16)
            #expect(finite(queried) == 39 * 32 + 16)
        }
    }

    @Test func narrowWeightsAreWidenedForWideInputs() {
        let generator = Generator(seed: 13)
        let x = Tensor.randn([2, 6, 5, 7], generator: generator)
        let weight = Tensor.randn([4, 6, 3, 3], generator: generator).to(.bfloat16)
        let (scale, shift) = (Tensor.randn([6], generator: generator), Tensor.randn([6], generator: generator))
        let (narrowScale, narrowShift) = (scale.to(.bfloat16), shift.to(.bfloat16))
        let (wideScale, wideShift) = (narrowScale.to(.float32), narrowShift.to(.float32))
        func same(_ a: Tensor, _ b: Tensor) -> Bool { a.dtype == .float32 && largestDifference(a, b) == 0 }
        inferenceMode {
            #expect(
                same(
                    Functional.conv2d(x, weight: weight, padding: 1),
                    Functional.conv2d(x, weight: weight.to(.float32), padding: 1)))
            #expect(
                same(
                    Functional.groupNorm(x, groups: 3, weight: narrowScale, bias: narrowShift, eps: 1e-5),
                    Functional.groupNorm(x, groups: 3, weight: wideScale, bias: wideShift, eps: 1e-5)))
            for picture in [x, x.channelsLast()] {
                #expect(
                    same(
                        Functional.groupNormSiLU(picture, groups: 3, weight: narrowScale, bias: narrowShift, eps: 1e-5),
                        Functional.groupNormSiLU(picture, groups: 3, weight: wideScale, bias: wideShift, eps: 1e-5)))
            }
            let rows = Tensor.randn([3, 6], generator: generator)
            #expect(
                same(
                    Functional.layerNorm(rows, weight: narrowScale, bias: narrowShift, eps: 1e-5),
                    Functional.layerNorm(rows, weight: wideScale, bias: wideShift, eps: 1e-5)))
            #expect(
                same(
                    Functional.linear(rows, weight: narrowScale.reshaped(1, 6)),
                    Functional.linear(rows, weight: wideScale.reshaped(1, 6))))
        }
    }

    @Test func preparedModelsEqualPlainOnes() throws {
        var configuration = UNetConfiguration()
        configuration.sampleSize = 16
        configuration.blockChannels = [64, 96]
        configuration.downBlocks = [.crossAttention, .plain]
        configuration.upBlocks = [.plain, .crossAttention]
        configuration.layersPerBlock = [1, 1]
        configuration.transformerLayersPerBlock = [1, 1]
        configuration.headCounts = [2, 3]
        configuration.normGroups = 16
        configuration.crossAttentionDimension = 24
        let unet = UNet2DConditionModel(configuration)
        unet.initialize(generator: Generator(seed: 8))
        let generator = Generator(seed: 9)
        let sample = Tensor.randn([2, 4, 16, 14], generator: generator)
        let text = Tensor.randn([2, 5, 24], generator: generator)
        func run() -> Tensor { inferenceMode { unet(sample, Tensor([30, 700]), text) } }
        let plain = run()
        unet.prepareForInference()
        let prepared = run()
        #expect(largestDifference(prepared, plain) > 0, "the prepared layers were not used")
        #expect(largestDifference(prepared, plain) < 1e-4 * plain.abs().max().item())
        // Trained parameters are never read from the copies.
        unet.setRequiresGrad(true)
        #expect(largestDifference(unet(sample, Tensor([30, 700]), text).detached(), plain) < 1e-4)
        unet.setRequiresGrad(false)
        unet.initialize(generator: Generator(seed: 10))
        let again = run()
        #expect(largestDifference(again, plain) > 0.01, "new weights drop the copies")

        var pictures = AutoencoderConfiguration()
        pictures.blockChannels = [16, 64]
        pictures.layersPerBlock = 1
        pictures.normGroups = 8
        pictures.sampleSize = 32
        let autoencoder = AutoencoderKL(pictures)
        autoencoder.initialize(generator: Generator(seed: 11))
        autoencoder.setRequiresGrad(false)
        func decode() -> Tensor { inferenceMode { autoencoder.decode(sample) } }
        let slow = decode()
        autoencoder.prepareForInference()
        let quick = decode()
        #expect(largestDifference(quick, slow) > 0)
        #expect(largestDifference(quick, slow) < 1e-4 * slow.abs().max().item())
    }
}
