import Torch
import TorchNN

extension Module {
    /// Fresh weights with which a network of residual blocks learns fastest. Convolutions keep the variance of their
    /// input (normal, 1 / √fan-in), and the last layer of each residual branch is zero, so every block starts as its
    /// shortcut (Goyal et al. 2017, section 5.1; Dhariwal & Nichol 2021 for diffusion models). With them the
    /// autoencoder reaches in some hundred steps what takes thousands with PyTorch's initial weights.
    ///
    /// - Parameter silenced: ends of the paths of layers that start at zero.
    func startAsShortcuts(silencing silenced: [String], generator: Generator) {
        withoutGradients {
            for (path, module) in namedModules() {
                let isSilenced = silenced.contains { path == $0 || path.hasSuffix("." + $0) }
                switch module {
                case let layer as Conv2d:
                    let fanIn = layer.weight.shape.dropFirst().reduce(1, *)
                    layer.weight.normalInPlace(
                        std: isSilenced ? 0 : 1 / Double(fanIn).squareRoot(), generator: generator)
                    layer.bias?.fillInPlace(0)
                case let layer as Linear where isSilenced:
                    layer.weight.fillInPlace(0)
                    layer.bias?.fillInPlace(0)
                default: break
                }
            }
        }
        weightsDidChange()
    }
}
