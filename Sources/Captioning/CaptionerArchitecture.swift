import Alignment
import LanguageModels
import Training

/// What a family of captioners reads from a recipe.
public protocol CaptionerSettings: Sendable {
    /// The defaults.
    init()
    /// The family's own recipe keys.
    static var fields: [CaptionerField<Self>] { get }
    /// What the captioner reads of an image.
    var input: ImageInput { get }
    /// Checks how the values fit together.
    /// - Throws: `TrainingError`.
    func validate(_ check: RecipeCheck) throws
}

extension CaptionerSettings {
    public var input: ImageInput { .embedding }
}

/// Sizes and conventions of a captioner: everything that its weights do not tell, stored beside them in
/// `captioner.json`.
public protocol CaptionerArchitecture: Sendable, Equatable, Codable {
    associatedtype Settings: CaptionerSettings

    /// The name of the family in recipes (`captioner.kind`) and in `captioner.json`.
    static var family: String { get }

    /// The captioner that a recipe describes.
    init(_ settings: Settings, _ surroundings: CaptionerSurroundings)

    /// What it reads of an image.
    var input: ImageInput { get }
    /// d: length of a vector of `input`.
    var featureSize: Int { get }
    /// C: width of the language model.
    var embeddingSize: Int { get }
    /// V: vocabulary of the language model with which it was trained.
    var vocabularySize: Int { get }
    /// P: positions of the language model that an image takes.
    var prefixLength: Int { get }
    /// What ends a caption.
    var ending: CaptionEnding { get }

    /// - Throws: `SettingError`.
    func validate() throws

    /// The captioner, without weights of its own parts.
    func model(_ languageModel: any CausalLanguageModel) -> any CaptionModel
}

extension CaptionerArchitecture {
    public var input: ImageInput { .embedding }
}

/// What surrounds a captioner: the features of the encoder and a language model.
public struct CaptionerSurroundings: Sendable {
    public let featureSize: Int
    public let languageModel: any LanguageModelConfiguration
    public let ending: CaptionEnding

    public init(featureSize: Int, languageModel: any LanguageModelConfiguration, ending: CaptionEnding) {
        self.featureSize = featureSize
        self.languageModel = languageModel
        self.ending = ending
    }
}

/// What a captioner was taught to end its captions with.
public enum CaptionEnding: String, Sendable, Codable, CaseIterable {
    /// The language model's end-of-text token, appended to every caption in training.
    case endOfText
    /// Nothing: generation stops at the first "." token, as in the authors' code.
    case period
}

extension CaptionerArchitecture {
    /// Whether the captioner fits a language model; checked before anything large is read.
    /// - Parameters:
    ///   - folder: where the language model comes from, for messages.
    ///   - source: where the architecture comes from, for messages.
    /// - Throws: `CaptioningError` for a language model of another width or vocabulary, or without room for a caption.
    func check(_ model: any LanguageModelConfiguration, folder: String, source: String) throws {
        try validate()
        guard model.embeddingSize == embeddingSize else {
            throw CaptioningError.anotherWidth(
                folder: folder, expected: embeddingSize, got: model.embeddingSize, source: source)
        }
        guard model.vocabularySize == vocabularySize else {
            throw CaptioningError.anotherVocabulary(
                folder: folder, expected: vocabularySize, got: model.vocabularySize, source: source)
        }
        guard prefixLength < model.contextLength else {
            throw CaptioningError.prefixTooLong(
                prefixLength: prefixLength, contextLength: model.contextLength, folder: folder)
        }
    }

    func isEqual(to other: any CaptionerArchitecture) -> Bool { other as? Self == self }
}
