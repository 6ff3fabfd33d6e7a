import Alignment
import LanguageModels
import Training

/// What a family of captioners asks of a recipe.
public protocol CaptionerSettings: Sendable {
    /// The defaults.
    init()
    /// The family's own recipe keys.
    static var fields: [CaptionerField<Self>] { get }
    /// What the captioner reads of an image.
    var input: ImageInput { get }
    /// Checks what single values cannot tell by themselves.
    /// - Throws: `TrainingError`.
    func validate(_ check: RecipeCheck) throws
}

extension CaptionerSettings {
    public var input: ImageInput { .embedding }
}

/// Sizes and conventions of a captioner: all that its weights do not tell, kept beside them in `captioner.json`.
public protocol CaptionerArchitecture: Sendable, Equatable, Codable {
    associatedtype Settings: CaptionerSettings

    /// What recipes (`captioner.kind`) and `captioner.json` call the family.
    static var family: String { get }

    /// The captioner that a recipe describes.
    init(_ settings: Settings, _ surroundings: CaptionerSurroundings)

    /// What it reads of an image.
    var input: ImageInput { get }
    /// d: length of a vector of `input`.
    var featureSize: Int { get }
    /// C: width of the language model.
    var embeddingSize: Int { get }
    /// V: of the language model that it was trained with.
    var vocabularySize: Int { get }
    /// P: positions of the language model that an image takes.
    var prefixLength: Int { get }
    /// What ends a caption.
    var ending: CaptionEnding { get }

    /// - Throws: `SettingError`.
    func validate() throws

    /// The captioner, with weights of its own parts that are not set.
    func model(_ languageModel: any CausalLanguageModel) -> any CaptionModel
}

extension CaptionerArchitecture {
    public var input: ImageInput { .embedding }
}

/// What a captioner stands between: the encoder's features and a language model.
public struct CaptionerSurroundings: Sendable {
    public let featureSize: Int
    public let languageModel: LanguageModelDescription
    public let ending: CaptionEnding

    public init(featureSize: Int, languageModel: LanguageModelDescription, ending: CaptionEnding) {
        self.featureSize = featureSize
        self.languageModel = languageModel
        self.ending = ending
    }
}

/// What a captioner was taught to end its captions with.
public enum CaptionEnding: String, Sendable, Codable, CaseIterable {
    /// The language model's end-of-text token, appended to every caption in training.
    case endOfText
    /// Nothing: generation stops at the first "." token, as the authors' does.
    case period
}

extension CaptionerArchitecture {
    /// Whether the captioner fits a language model; asked before anything large is read.
    /// - Parameters:
    ///   - folder: where the language model comes from, for messages.
    ///   - source: where the architecture comes from, for messages.
    /// - Throws: `CaptioningError`: a language model of another width or vocabulary, or without room for a caption.
    func check(_ model: LanguageModelDescription, folder: String, source: String) throws {
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
