import Foundation
import Testing
import Torch
import TorchNN

@testable import Diffusion

// Whole tensors against diffusers and transformers; every axis has another size.

/// float32 against float32 with another order of summation.
private let tolerance = 1e-4

@Suite struct StableDiffusionParityTests {
    @Test func textStatesEqualTheReference() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        let answers = try StableDiffusionFixtures.answers()
        let prompts = ["a red cube on a table", "", "Tables, tables and CUBES! be red, red, red; 12345 cubes"]
        let batch = try model.tokenizer.encode(prompts, contextLength: 13, truncation: .truncate)
        let ids: [Int] = try answers.tensor("text.ids").array()
        #expect(batch.ids.map(Int.init) == ids)
        #expect(batch.truncatedRows == [2])
        #expect(largestDifference(try model.encode(prompts), try answers.tensor("text.states")) < tolerance)
    }

    @Test(arguments: ["even", "uneven"])
    func unetEqualsTheReference(_ sides: String) throws {
        let unet = try StableDiffusionFixtures.unet()
        let answers = try StableDiffusionFixtures.answers()
        let sample = try answers.tensor("unet.\(sides).sample")
        let steps = try answers.tensor("unet.\(sides).steps")
        let text = try answers.tensor("unet.\(sides).text")
        let expected = try answers.tensor("unet.\(sides).output")
        let output = withoutGradients { unet(sample, steps, text) }
        #expect(output.isContiguous)
        #expect(largestDifference(output, expected) < tolerance)
        // The same through a context, twice: the second call reads what the first kept.
        inferenceMode {
            let context = unet.context(text)
            for _ in 0..<2 { #expect(largestDifference(unet(sample, steps, context), expected) < tolerance) }
        }
        // Rows are independent, and a single timestep serves all.
        let row = withoutGradients { unet(sample[1..<2], steps[1], text[1..<2]) }
        #expect(largestDifference(row, expected[1..<2]) < tolerance)
    }

    @Test func unetOfOtherSettingsEqualsTheReference() throws {
        let unet = try UNet2DConditionModel(folder: StableDiffusionFixtures.path("unet-variant"))
        unet.to(dtype: .float32)
        #expect(unet.configuration.layersPerBlock == [1, 2, 1])
        let answers = try StableDiffusionFixtures.answers()
        let output = try withoutGradients {
            try unet(answers.tensor("variant.sample"), answers.tensor("variant.steps"), answers.tensor("variant.text"))
        }
        #expect(largestDifference(output, try answers.tensor("variant.output")) < tolerance)
    }

    @Test(arguments: ["even", "uneven"])
    func autoencoderEncodesAsTheReference(_ sides: String) throws {
        let autoencoder = try StableDiffusionFixtures.autoencoder()
        let answers = try StableDiffusionFixtures.answers()
        let (mean, logVariance) = try withoutGradients {
            try autoencoder.encode(answers.tensor("vae.\(sides).picture"))
        }
        #expect(largestDifference(mean, try answers.tensor("vae.\(sides).mean")) < tolerance)
        #expect(largestDifference(logVariance, try answers.tensor("vae.\(sides).logvar")) < tolerance)
    }

    @Test func autoencoderDecodesAsTheReference() throws {
        let answers = try StableDiffusionFixtures.answers()
        let latents = try answers.tensor("vae.latents")
        let expected = try answers.tensor("vae.decoded")
        let autoencoder = try StableDiffusionFixtures.autoencoder()
        #expect(largestDifference(withoutGradients { autoencoder.decode(latents) }, expected) < tolerance)

        let old = try AutoencoderKL(folder: StableDiffusionFixtures.path("vae-old"))
        old.to(dtype: .float32)
        #expect(largestDifference(withoutGradients { old.decode(latents) }, expected) < tolerance)
    }

    @Test func oneTrainingStepOfTheUNetHasTheReferencesGradients() throws {
        let unet = try StableDiffusionFixtures.unet()
        unet.setRequiresGrad(true)
        unet.setTraining(true)
        let answers = try StableDiffusionFixtures.answers()
        let output = try unet(
            answers.tensor("train.noisy"), answers.tensor("train.steps"), answers.tensor("train.text"))
        let loss = Functional.meanSquaredError(output, try answers.tensor("train.noise"))
        #expect(abs(loss.item() - (try answers.tensor("train.loss").item())) < tolerance)
        loss.backward()
        var along: [Double] = []
        for parameter in unet.namedParameters().sorted(by: { $0.key < $1.key }) {
            let gradient = try #require(parameter.tensor.grad, "no gradient of \(parameter.key)")
            along.append((gradient.to(.float64) * projection(parameter.key, gradient.shape)).sum().item())
            if let whole = answers["train.gradient.\(parameter.key)"] {
                #expect(largestDifference(gradient, whole.tensor()) < tolerance, "\(parameter.key)")
            }
        }
        #expect(answers.entries.keys.filter { $0.hasPrefix("train.gradient.") }.count == 8)
        let expected: [Double] = try answers.tensor("train.along").array()
        #expect(along.count == expected.count)
        for (got, wanted) in zip(along, expected) { #expect(abs(got - wanted) < tolerance * max(1, abs(wanted))) }
    }

    @Test func oneTrainingStepOfTheAutoencoderHasTheReferencesGradients() throws {
        let autoencoder = try StableDiffusionFixtures.autoencoder()
        autoencoder.setRequiresGrad(true)
        let answers = try StableDiffusionFixtures.answers()
        let picture = try answers.tensor("vae.train.picture")
        let (mean, logVariance) = autoencoder.encode(picture)
        let drawn = mean + (logVariance * 0.5).exp() * (try answers.tensor("vae.latents"))
        let divergence = (mean.square() + logVariance.exp() - 1 - logVariance).sum(1, 2, 3) * 0.5
        let loss = Functional.meanSquaredError(autoencoder.decode(drawn), picture) + divergence.mean() * 0.01
        #expect(abs(loss.item() - (try answers.tensor("vae.train.loss").item())) < tolerance)
        loss.backward()
        let expected: [Double] = try answers.tensor("vae.train.along").array()
        let parameters = autoencoder.namedParameters().sorted { $0.key < $1.key }
        #expect(parameters.count == expected.count)
        for (parameter, wanted) in zip(parameters, expected) {
            let gradient = try #require(parameter.tensor.grad, "no gradient of \(parameter.key)")
            let got = (gradient.to(.float64) * projection(parameter.key, gradient.shape)).sum().item()
            #expect(abs(got - wanted) < tolerance * max(1, abs(wanted)), "\(parameter.key)")
        }
    }

    @Test func autocastTrainsAndStaysNearFloat32() throws {
        let unet = try StableDiffusionFixtures.unet()
        unet.setRequiresGrad(true)
        let answers = try StableDiffusionFixtures.answers()
        let (noisy, steps) = (try answers.tensor("train.noisy"), try answers.tensor("train.steps"))
        let (text, noise) = (try answers.tensor("train.text"), try answers.tensor("train.noise"))
        let loss = autocast(.bfloat16, device: .cpu) {
            Functional.meanSquaredError(unet(noisy, steps, text).to(.float32), noise)
        }
        loss.backward()
        #expect(abs(loss.item() - (try answers.tensor("train.loss").item())) < 0.02)
        let gradient = try #require(unet.input.weight.grad)
        let wanted = try answers.tensor("train.gradient.conv_in.weight")
        let cosine = (gradient * wanted).sum().item() / (gradient.norm().item() * wanted.norm().item())
        #expect(cosine > 0.99)
    }
}
