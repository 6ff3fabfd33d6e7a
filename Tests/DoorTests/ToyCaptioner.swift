import Alignment
import Captioning
import LanguageModels
import Torch
import TorchNN
import Training

// A family of captioners in one file: it reads the states of a layer, where ClipCap reads an embedding.

struct ToySettings: CaptionerSettings {
    var layer = 1
    var isBent = true

    static let fields: [CaptionerField<ToySettings>] = [
        .integer("bands.layer", \.layer),
        .flag("bands.bent", \.isBent),
    ]

    var input: ImageInput { .states(layer: layer) }

    func validate(_ check: RecipeCheck) throws { try check.range("bands.layer", layer, 0...2) }
}

struct ToyArchitecture: CaptionerArchitecture {
    static let family = "bands"

    let layer: Int
    let isBent: Bool
    let featureSize: Int
    let embeddingSize: Int
    let vocabularySize: Int
    let ending: CaptionEnding

    init(_ settings: ToySettings, _ surroundings: CaptionerSurroundings) {
        layer = settings.layer
        isBent = settings.isBent
        featureSize = surroundings.featureSize
        embeddingSize = surroundings.languageModel.embeddingSize
        vocabularySize = surroundings.languageModel.vocabularySize
        ending = surroundings.ending
    }

    var input: ImageInput { .states(layer: layer) }
    var prefixLength: Int { 3 }

    func validate() throws {}

    func model(_ languageModel: any CausalLanguageModel) -> any CaptionModel { ToyCaptioner(self, languageModel) }
}

final class ToyCaptioner: PrefixCaptionModel {
    private let toy: ToyArchitecture
    let languageModel: any CausalLanguageModel
    private let bridge: Linear

    init(_ architecture: ToyArchitecture, _ languageModel: any CausalLanguageModel) {
        toy = architecture
        self.languageModel = languageModel
        bridge = Linear(architecture.featureSize, architecture.embeddingSize)
    }

    var architecture: any CaptionerArchitecture { toy }

    var parts: [CaptionModelPart] {
        [CaptionModelPart(name: "bridge", module: bridge, keyPrefix: "bridge", file: "bridge.safetensors")]
    }

    func initialize(generator: Generator) { bridge.initialize(generator: generator) }

    /// `[B, T, D]` to `[B, T, C]`.
    func prefix(_ features: Tensor) -> Tensor {
        let positions = bridge(features)
        return toy.isBent ? positions.tanh() : positions
    }
}
