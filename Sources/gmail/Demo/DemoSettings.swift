import Alignment
import Foundation
import Training

/// How large a demo is; a folder made with other settings is not continued.
///
/// The sizes are such that the whole takes one to six minutes on two cores (`--quick`: one or less). They say nothing about the
/// paper's sizes, which stand in the shipped recipes.
struct DemoSettings: Codable, Equatable {
    var version = 3
    var seed: UInt64
    /// Scenes with one caption each: so many real images, and so many generated ones.
    var trainScenes: Int
    /// Held-out scenes whose generated images measure loss and gap while the alignment trains.
    var validationScenes: Int
    /// Held-out real scenes that everything is judged on.
    var testScenes: Int
    /// Of those, the first ones also get a generated image: the pairs of the gap and its map.
    var gapScenes: Int
    /// Denoising steps per image.
    var generationSteps: Int
    var guidance: Double
    var alignmentRecipe: String
    var alignmentSteps: Int
    /// Of the encoder's adapter, or of the whole encoder where the recipe trains it.
    var alignmentLearningRate: Double
    var alignmentRank: Int?
    var captionerSteps: Int
    /// SHA-256 over the small models' weights: other models make another demo.
    var models: String

    /// - Throws: `TrainingError` for a recipe that is not there.
    init(seed: UInt64, quick: Bool, images: Int?, recipe: String, rank: Int?, models: String) throws {
        self.seed = seed
        self.models = models
        trainScenes = images ?? (quick ? 96 : 768)
        validationScenes = quick ? 32 : 96
        testScenes = quick ? 64 : 300
        gapScenes = quick ? 32 : 128
        generationSteps = quick ? 10 : 12
        guidance = 3
        alignmentRecipe = recipe
        // More steps, or a larger rate, learn the pairs by heart: the loss of Eq. 1 on held-out pairs rises. Chosen on
        // validation scenes (docs/miniature.md).
        alignmentSteps = quick ? 40 : 150
        alignmentLearningRate = try AlignmentRecipe(recipe).adapter.kind == .full ? 1e-4 : 1e-3
        alignmentRank = rank
        // About ten passes: with more, the language model learns the training captions by heart and the loss on held-out
        // scenes rises.
        captionerSteps = quick ? 20 : 120
    }

    var description: String {
        "seed \(seed), \(trainScenes) scenes, \(alignmentRecipe)\(alignmentRank.map { " of rank \($0)" } ?? "")"
    }
}
