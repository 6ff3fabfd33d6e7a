import Foundation
import Images
import Testing
import Torch
import TorchNN

@testable import Diffusion

@Suite struct StableDiffusionPipelineTests {
    private func settings() -> StableDiffusion2.Settings {
        var settings = StableDiffusion2.Settings()
        settings.steps = 5
        settings.negativePrompt = "a table"
        settings.height = 24
        settings.width = 16
        return settings
    }

    private let prompts = ["a red cube on a table", "Tables, tables and CUBES! be red, red, red; 12345 cubes"]

    private func image(_ picture: StableDiffusion2.Picture) throws -> RGBImage {
        guard case .image(let image) = picture else { throw Unexpected(picture: "\(picture)") }
        return image
    }

    private struct Unexpected: Error { let picture: String }

    /// Largest difference of two pictures, in steps of 1/255.
    private func distance(_ image: RGBImage, _ reference: ArraySlice<UInt8>) -> Int {
        #expect(image.pixels.count == reference.count)
        return zip(image.pixels, reference).map { abs(Int($0) - Int($1)) }.max() ?? .max
    }

    @Test func picturesEqualTheReference() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        let answers = try StableDiffusionFixtures.answers()
        let noise = try answers.tensor("pipeline.noise")
        var calls: [Int] = []
        let pictures = try model.pictures(prompts, noise: noise, settings()) { done, total in
            #expect(total == 5)
            calls.append(done)
        }
        #expect(calls == [1, 2, 3, 4, 5])
        let expected: [UInt8] = try answers.tensor("pipeline.pictures").array()
        let size = 24 * 16 * 3
        for (row, picture) in pictures.enumerated() {
            let image = try image(picture)
            #expect((image.width, image.height) == (16, 24))
            #expect(distance(image, expected[row * size..<(row + 1) * size]) <= 1)
        }
        let negative = try model.encode(["a table"])
        let latents = try model.denoise(
            noise, prompts: model.encode(prompts), negative: negative, steps: 5, guidance: 7.5)
        let wanted = try answers.tensor("pipeline.latents")
        #expect(largestDifference(latents, wanted) < 1e-4 * wanted.abs().max().item())
    }

    @Test func withoutGuidanceTheNegativePromptDoesNothing() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        let answers = try StableDiffusionFixtures.answers()
        let noise = try answers.tensor("pipeline.noise")[0..<1]
        let expected: [UInt8] = try answers.tensor("pipeline.unguided").array()
        var settings = settings()
        settings.steps = 3
        settings.guidance = 1
        let picture = try model.pictures([prompts[0]], noise: noise, settings)
        #expect(distance(try image(picture[0]), expected[...]) <= 1)
    }

    @Test func noiseOfAPictureDependsOnItsSeedAlone() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        let together = try model.noise(seeds: [3, 5], settings())
        #expect(together.shape == [2, 4, 12, 8])
        let alone = try model.noise(seeds: [5], settings())
        #expect(largestDifference(together[1..<2], alone) == 0)
        #expect(largestDifference(together[0..<1], alone) > 0.1)
    }

    @Test func halfPrecisionStaysNear() throws {
        let answers = try StableDiffusionFixtures.answers()
        let expected: [UInt8] = try answers.tensor("pipeline.pictures").array()
        let size = 24 * 16 * 3
        for dtype in [DType.bfloat16, .float16] {
            let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"), dtype: dtype)
            #expect(model.dtype == dtype)
            #expect(model.unet.upcastsAttention)
            // The folder's autoencoder says that it overflows in float16.
            #expect(model.autoencoder.decoder.input.weight.dtype == (dtype == .float16 ? .float32 : dtype))
            let pictures = try model.pictures(prompts, noise: answers.tensor("pipeline.noise"), settings())
            for (row, picture) in pictures.enumerated() {
                let image = try image(picture)
                let reference = expected[row * size..<(row + 1) * size]
                let mean = zip(image.pixels, reference).map { abs(Double($0) - Double($1)) }.reduce(0, +) / Double(size)
                #expect(mean < (dtype == .float16 ? 3 : 16), "\(dtype), picture \(row): \(mean)")
            }
        }
    }

    @Test func overflowAndBlackAreReported() throws {
        let bright = Tensor.full([1, 3, 2, 5], 0.5)
        guard case .image(let gray) = try StableDiffusion2.picture(bright) else {
            Issue.record("a gray picture is an image")
            return
        }
        #expect(gray.pixels == Array(repeating: 128, count: 30))
        #expect((gray.width, gray.height) == (5, 2))
        let broken = bright.clone()
        broken.select(3, 2).fillInPlace(.nan)
        #expect(try StableDiffusion2.picture(broken) == .notFinite)
        guard case .black = try StableDiffusion2.picture(.zeros([1, 3, 2, 5])) else {
            Issue.record("a black picture is reported")
            return
        }
    }

    @Test func weightsThatOverflowGiveNotFinite() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"), dtype: .float16)
        let weight = model.unet.input.weight
        model.unet.to(dtype: .float32)
        model.unet.input.weight = weight.to(.float32) * 1e6
        model.unet.to(dtype: .float16)
        var settings = settings()
        settings.steps = 1
        let noise = try model.noise(seeds: [1], settings)
        #expect(try model.pictures(["a cube"], noise: noise, settings) == [.notFinite])
    }

    @Test func sidesThatTheAutoencoderCannotMakeAreRefused() throws {
        let model = try StableDiffusion2(folder: StableDiffusionFixtures.path("sd-tiny"))
        var settings = settings()
        settings.width = 17
        #expect(throws: DiffusionError.imageSize(width: 17, height: 24, multiple: 2, largest: 8192)) {
            try model.noise(seeds: [1], settings)
        }
        #expect(try model.noise(seeds: [1], StableDiffusion2.Settings()).shape == [1, 4, 8, 8])
    }
}
