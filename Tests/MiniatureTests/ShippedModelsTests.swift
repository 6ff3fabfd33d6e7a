import Diffusion
import Encoders
import Foundation
import LanguageModels
import Testing
import Tokenizers

@testable import Miniature

/// The small models as they stand in the repository.
@Suite struct ShippedModelsTests {
    private let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Models/miniature").path

    @Test func filesAreThoseOfTheManifest() throws {
        let collection = try ModelCollection(folder: folder)
        #expect(try collection.differences(in: folder) == [])
        #expect(collection.totalBytes <= 40 << 20)
        for (model, training) in collection.trainings {
            let recipe = "training/\(model.rawValue)/recipe.yaml"
            #expect(collection.files[recipe]?.sha256 == training.recipeSHA256)
            #expect(training.steps > 0 && training.seconds > 0 && !training.machines.isEmpty)
        }
        #expect(Set(collection.trainings.keys) == Set(ModelCollection.Model.allCases))
        // The diffusion model was trained on this autoencoder and this CLIP.
        let unet = try #require(collection.trainings[.unet])
        #expect(unet.sources["clip"] == collection.files["clip/model.safetensors"]?.sha256)
        #expect(
            unet.sources["autoencoder"]
                == collection.files["stable-diffusion/vae/diffusion_pytorch_model.safetensors"]?.sha256)
    }

    @Test func theyLoadStrictly() throws {
        let clip = try CLIPModel(folder: "\(folder)/clip")
        #expect(clip.configuration.vision.imageSize == MiniatureCLIP.imageSize)
        let diffusion = try StableDiffusion2(folder: "\(folder)/stable-diffusion")
        #expect(diffusion.textEncoder.configuration.hiddenSize == clip.configuration.text.hiddenSize)
        let gpt2 = try GPT2LanguageModel(folder: "\(folder)/gpt2")
        let tokenizer = try GPT2Tokenizer(folder: "\(folder)/gpt2")
        #expect(gpt2.vocabularySize == tokenizer.vocabularySize)
        // Every caption of the world fits.
        let captions = SceneDataset(world: World(seed: 3), split: .validation, count: 100).captions
        #expect(captions.allSatisfy { tokenizer.encode($0).count + 2 <= gpt2.contextLength })
        #expect(captions.allSatisfy { diffusion.tokenizer.encode($0).count + 2 <= diffusion.tokenLimit })
    }
}
