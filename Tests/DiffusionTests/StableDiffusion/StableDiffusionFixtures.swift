import Foundation
import Testing
import Torch
import TorchNN

@testable import Diffusion

/// What `Fixtures/make_stable_diffusion_fixtures.py` left.
enum StableDiffusionFixtures {
    static func path(_ name: String) -> String {
        Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
    }

    static func answers() throws -> Weights { try Weights(path: path("stable-diffusion.safetensors")) }

    /// One part of `sd-tiny`, computed with in float32.
    static func unet() throws -> UNet2DConditionModel {
        let folder = try DiffusersFolder(path("sd-tiny"))
        let model = UNet2DConditionModel(try UNetConfiguration(file: folder.configurationFile(of: "unet")))
        try model.load(folder.weights(of: .unet), dtype: .float32, memory: .owned)
        return model
    }

    static func autoencoder() throws -> AutoencoderKL {
        let folder = try DiffusersFolder(path("sd-tiny"))
        let model = AutoencoderKL(try AutoencoderConfiguration(file: folder.configurationFile(of: "vae")))
        try model.load(folder.weights(of: .autoencoder), dtype: .float32, memory: .owned)
        return model
    }
}

extension Weights {
    func tensor(_ key: String) throws -> Tensor { try #require(self[key], "no fixture '\(key)'").tensor() }
}

func largestDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return (a.to(.float64) - b.to(.float64)).abs().max().item()
}

/// The fixture script's direction to compare whole gradients along.
func projection(_ name: String, _ shape: [Int]) -> Tensor {
    let values = (0..<shape.reduce(1, *)).map { cos(0.7 * Double($0) + Double(name.utf8.count)) }
    return Tensor(values, shape: shape)
}
