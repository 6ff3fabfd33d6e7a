import Foundation
import Testing
import Torch
import TorchNN

/// Layers against PyTorch's on the same weights.
@Suite struct LayerTests {
    /// Sums of a few dozen float32 products of numbers around one.
    private let tolerance = 2e-6
    private let values: LayerFixtures

    init() throws { values = try LayerFixtures() }

    private func check(_ name: String, _ module: Module, _ body: (Tensor) -> Tensor) throws {
        try module.load(values.state(name))
        #expect(difference(body(values["\(name).x"]), values["\(name).y"]) < tolerance, "\(name)")
    }

    @Test func linear() throws {
        let layer = Linear(5, 7)
        try check("linear", layer) { layer($0) }
        let plain = Linear(5, 7, bias: false)
        #expect(plain.bias == nil && plain.namedTensors().map(\.key) == ["weight"])
        try check("linear-plain", plain) { plain($0) }
        // Shared, so that a layer around another one costs no memory.
        let shared = Linear(sharing: layer)
        #expect(shared.weight === layer.weight && shared.bias === layer.bias)
        #expect(shared.inputSize == 5 && shared.outputSize == 7)
    }

    @Test func conv1D() throws {
        let layer = Conv1D(5, 7)
        #expect(layer.weight.shape == [5, 7])
        try check("conv1d", layer) { layer($0) }
        let shared = Conv1D(sharing: layer)
        #expect(shared.weight === layer.weight && shared.bias === layer.bias)
    }

    /// Many rows take another way than a few, packed weights a third: the same numbers, and never those of earlier weights.
    @Test func conv1DInBatches() {
        let generator = Generator(seed: 5)
        let layer = Conv1D(40, 24)
        layer.weight.normalInPlace(std: 1, generator: generator)
        layer.bias.normalInPlace(std: 1, generator: generator)
        for rows in [3, 31, 32, 70] {
            let x = Tensor.randn([rows, 40], generator: generator)
            for kernel in [LinearKernel.plain, .packed] {
                layer.kernel = kernel
                let wanted = x.to(.float64).matmul(layer.weight.to(.float64)) + layer.bias.to(.float64)
                #expect(difference(inferenceMode { layer(x) }, wanted) < 3e-5, "\(rows) rows, \(kernel)")
            }
        }
        let x = Tensor.randn([50, 40], generator: generator)
        let before = inferenceMode { layer(x) }
        layer.weight.scaleInPlace(2)
        layer.weightsDidChange()
        let twice = inferenceMode { layer(x) }
        #expect(difference(twice - layer.bias, (before - layer.bias) * 2.0) < 1e-4)
    }

    @Test func layerNorm() throws {
        let layer = LayerNorm(6)
        #expect(layer.weight.array(of: Float.self) == [1, 1, 1, 1, 1, 1])
        #expect(layer.bias.array(of: Float.self) == [0, 0, 0, 0, 0, 0])
        try check("norm", layer) { layer($0) }
        try check("norm", layer) { layer.adding(nil, to: $0).normed }
        let added = layer.adding(values["norm.x"] * 0.75, to: values["norm.x"] * 0.25)
        #expect(difference(added.sum, values["norm.x"]) < 1e-8)
        #expect(difference(added.normed, values["norm.y"]) < tolerance)
        let wide = LayerNorm(6, eps: 0.5)
        try check("norm-wide-eps", wide) { wide($0) }
    }

    @Test func embedding() throws {
        let table = Embedding(11, 4)
        try check("embedding", table) { table($0) }
    }

    @Test func convolution() throws {
        let layer = Conv2d(3, 5, kernel: 3)
        try check("convolution", layer) { layer($0) }
        let strided = Conv2d(3, 5, kernel: 3, stride: 2, padding: 1, bias: false)
        #expect(strided.namedTensors().map(\.key) == ["weight"])
        try check("convolution-strided", strided) { strided($0) }
    }

    @Test func batchNorm() throws {
        let layer = BatchNorm(4, momentum: 0.3, eps: 0.2)
        #expect(layer.namedTensors().map(\.key) == ["weight", "bias", "running_mean", "running_var"])
        #expect(layer.namedParameters().map(\.key) == ["weight", "bias"])
        #expect(layer.runningVariance.array(of: Float.self) == [1, 1, 1, 1])
        withoutGradients {
            layer.weight.copy(from: values["batch.weight"])
            layer.bias.copy(from: values["batch.bias"])
        }
        layer.setTraining(true)
        for step in 0..<2 {
            let y = withoutGradients { layer(values["batch.\(step).x"]) }
            #expect(difference(y, values["batch.\(step).y"]) < tolerance)
            #expect(difference(layer.runningMean, values["batch.\(step).mean"]) < tolerance)
            #expect(difference(layer.runningVariance, values["batch.\(step).variance"]) < tolerance)
        }
        layer.setTraining(false)
        #expect(difference(layer(values["batch.rest.x"]), values["batch.rest.y"]) < tolerance)
        #expect(difference(layer.runningMean, values["batch.1.mean"]) < tolerance)
        // PyTorch's defaults.
        #expect(BatchNorm(2).momentum == 0.1 && BatchNorm(2).eps == 1e-5 && LayerNorm(2).eps == 1e-5)
    }

    @Test(arguments: Activation.allCases)
    func activations(activation: Activation) {
        let (x, y) = (values["activation.x"], values["activation.\(activation.rawValue)"])
        #expect(difference(activation(x), y) < 4e-6)  // values to 30
        let inPlace = x.clone()
        inferenceMode { activation.applyInPlace(to: inPlace) }
        #expect(difference(inPlace, y) < 4e-6)
    }

    /// Uniform in ±1/√in: all of the range is used, none beyond; the same seed gives the same weights.
    @Test func linearsStartAsPyTorchs() {
        let layer = Linear(16, 400)
        layer.initialize(generator: Generator(seed: 9))
        for tensor in [layer.weight, layer.bias!] {
            #expect(tensor.max().item() <= 0.25 && (-tensor).max().item() <= 0.25)
            #expect(tensor.max().item() > 0.24 && (-tensor).max().item() > 0.24)
            #expect(abs(tensor.mean().item()) < 0.03)
        }
        let again = Linear(16, 400)
        again.initialize(generator: Generator(seed: 9))
        #expect(difference(again.weight, layer.weight) == 0 && difference(again.bias!, layer.bias!) == 0)
    }

    /// Query, key and value on one input are what they are one by one.
    @Test func layersOnOneInput() {
        let generator = Generator(seed: 2)
        let layers = [4, 6, 3].map { Linear(5, $0, bias: $0 != 6) }
        for layer in layers { layer.initialize(generator: generator) }
        let x = Tensor.randn([2, 7, 5], generator: generator)
        let together = layers[0](x, with: [layers[1], layers[2]])
        for (a, layer) in zip(together, layers) { #expect(difference(a, layer(x)) == 0) }
        let narrow = autocast(.bfloat16, device: .cpu) { layers[0](x, with: [layers[1], layers[2]]) }
        for (a, layer) in zip(narrow, layers) {
            #expect(a.dtype == .bfloat16)
            #expect(difference(a, autocast(.bfloat16, device: .cpu) { layer(x) }) == 0)
        }
    }
}
