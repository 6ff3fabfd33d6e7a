import Foundation
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Diffusion

/// The UNet of Stable Diffusion 2 at its own size. Its weights cannot ship: `Fixtures/make_full_size_unet.py` makes random
/// ones and diffusers' answers, and the environment variable GMAIL_SD2_UNET names their folder.
@Suite(.serialized) struct FullSizeUNetTests {
    private static let folder = TestCondition.file(named: "GMAIL_SD2_UNET")

    @Test func theConfigurationHasItsParameters() {
        let sizes = UNet2DConditionModel(.stableDiffusion2).parameterCount()
        #expect(sizes.total == 865_910_724)
    }

    @Test(
        .enabled(if: folder != nil),
        arguments: [(DType.float32, false), (DType.float32, true), (DType.bfloat16, false)])
    func equalsTheReference(_ dtype: DType, isPrepared: Bool) throws {
        let folder = try #require(Self.folder)
        let answers = try Weights(path: "\(folder)/answers.safetensors")
        if answers[dtype.description] == nil { print("FullSizeUNetTests: the folder has no answer in \(dtype)") }
        let unet = try UNet2DConditionModel(folder: folder, memory: .mapped)
        #expect(unet.configuration.blockChannels == UNetConfiguration.stableDiffusion2.blockChannels)
        unet.to(dtype: dtype)
        if isPrepared { unet.prepareForInference() }
        let (sample, text) = (try answers.tensor("sample"), try answers.tensor("text"))
        let steps = try answers.tensor("steps")
        let clock = ContinuousClock()
        var output = sample
        inferenceMode { output = unet(sample, steps, text) }
        let time = clock.measure { inferenceMode { output = unet(sample, steps, text) } }
        let got = output.to(.float64)
        // The weights are rounded to bfloat16, so the answer in float32 is what every dtype should come near.
        for reference in [DType.float32, .bfloat16] where reference == .float32 || dtype == .bfloat16 {
            if reference == .bfloat16, answers["bfloat16"] == nil { continue }
            let expected = try answers.tensor(reference.description).to(.float64)
            let difference = (got - expected).abs().max().item()
            let relative = (got - expected).norm().item() / expected.norm().item()
            print(
                "full-size UNet, \(dtype), prepared \(isPrepared), against \(reference): largest difference "
                    + "\(difference) (largest value \(expected.abs().max().item())), relative error \(relative), \(time)"
            )
            // bfloat16 keeps 8 bits; some hundred roundings in a row leave two digits.
            #expect(relative < (dtype == .float32 ? 1e-4 : 3e-2))
        }
    }
}
