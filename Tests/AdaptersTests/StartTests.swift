import Testing
import Torch
import TorchNN

@testable import Adapters

@Suite struct StartTests {
    /// `A` uniform in ±1/√in whatever the outputs are, `B` zero: a fresh layer is its base.
    @Test func aFreshUpdateIsPEFTs() {
        let base = Linear(16, 400)
        base.initialize(generator: Generator(seed: 1))
        let settings = UpdateSettings(rank: 40, scale: 2, dropout: 0, dropoutGenerator: nil)
        let layer = LoRALinear(adapting: base, settings, generator: Generator(seed: 2))
        #expect(layer.down.shape == [40, 16] && layer.up.shape == [400, 40])
        #expect(layer.down.max().item() <= 0.25 && (-layer.down).max().item() <= 0.25)
        #expect(layer.down.max().item() > 0.24 && (-layer.down).max().item() > 0.24)
        #expect(layer.up.abs().max().item() == 0)
        let x = Tensor.randn([3, 16], generator: Generator(seed: 3))
        #expect(layer(x).array(of: Float.self) == base(x).array(of: Float.self))
        let empty = LoRALinear(adapting: base, settings, generator: nil)
        #expect(empty.down.abs().max().item() == 0)
    }
}
