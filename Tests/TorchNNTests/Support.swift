import Files
import Foundation
import Torch
import TorchNN

func fixture(_ name: String) -> String { Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path }

/// Largest difference of two tensors of one shape; infinite where shapes differ.
func difference(_ a: Tensor, _ b: Tensor) -> Double {
    a.shape == b.shape ? (a.to(.float64) - b.to(.float64)).abs().max().item() : .infinity
}

/// PyTorch's layers on small inputs (Fixtures/make_torchnn_fixtures.py).
struct LayerFixtures {
    private let weights: Weights

    init() throws { weights = try Weights(path: fixture("layers.safetensors")) }

    subscript(name: String) -> Tensor { weights[name]!.tensor() }

    /// The parameters of one layer, by their names in the layer.
    func state(_ name: String) -> Weights {
        let parts = ["weight", "bias"].compactMap { part in weights["\(name).\(part)"].map { (part, $0) } }
        return Weights(source: name, entries: Dictionary(uniqueKeysWithValues: parts))
    }
}

/// Two layers, an optional one, a list, statistics and a derived tensor: everything that a module can hold.
final class Sample: Module {
    @Parameter("scale") var scale: Tensor  // [2]
    @OptionalParameter("shift") var shift: Tensor?  // [3]
    @Child("first") var first: Linear  // 5 to 7
    @OptionalChild("extra") var extra: LayerNorm?  // 6
    @Children("layers") var layers: [Linear]  // 4 to 3, twice
    @Buffer("mean") var mean: Tensor  // [4]
    @Buffer("position_ids", derived: true) var positions: Tensor  // [8], int64

    private(set) var dropped = 0

    init(shift: Bool = true, extra: Bool = true) {
        super.init()
        scale = Tensor([1, 2] as [Float])
        if shift { self.shift = Tensor([3, 4, 5] as [Float]) }
        first = Linear(5, 7)
        if extra { self.extra = LayerNorm(6) }
        layers = [Linear(4, 3, bias: false), Linear(4, 3)]
        mean = .zeros([4])
        positions = .arange(0, 8)
        let generator = Generator(seed: 3)
        for linear in [first] + layers { linear.initialize(generator: generator) }
    }

    override func dropDerivedWeights() { dropped += 1 }

    static let keys = [
        "scale", "shift", "first.weight", "first.bias", "extra.weight", "extra.bias", "layers.0.weight",
        "layers.1.weight", "layers.1.bias", "mean", "position_ids",
    ]

    /// The state as a file would hold it.
    func weights(except left: String...) -> Weights {
        let entries = namedTensors().filter { !left.contains($0.key) }.map {
            ($0.key, Weights.Entry($0.tensor.detached().clone()))
        }
        return Weights(source: "a.safetensors", entries: Dictionary(uniqueKeysWithValues: entries))
    }
}
