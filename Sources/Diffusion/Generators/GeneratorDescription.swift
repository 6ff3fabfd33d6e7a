import Images
import ModelFolders

/// Everything about a generator that decides its images: the record of a run, written beside the images and compared
/// when the run is continued.
public struct GeneratorDescription: Sendable, Hashable, Encodable {
    /// The name of the model's folder.
    public var model: String
    /// Covers every file of the model that decides its images.
    public var fingerprint: ModelFingerprint
    public var scheduler: String
    /// Denoising steps.
    public var steps: Int
    /// Classifier-free guidance scale.
    public var guidance: Double
    public var negativePrompt: String
    public var imageSize: ImageSize
    /// The dtype of weights and computation, such as `float32`.
    public var dtype: String

    public init(
        model: String, fingerprint: ModelFingerprint, scheduler: String, steps: Int, guidance: Double,
        negativePrompt: String = "", imageSize: ImageSize, dtype: String
    ) {
        self.model = model
        self.fingerprint = fingerprint
        self.scheduler = scheduler
        self.steps = steps
        self.guidance = guidance
        self.negativePrompt = negativePrompt
        self.imageSize = imageSize
        self.dtype = dtype
    }

    private enum Key: String, CodingKey {
        case model, scheduler, steps, guidance, size, dtype
        case fingerprint = "model_sha256"
        case files = "model_files"
        case negativePrompt = "negative_prompt"
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(model, forKey: .model)
        try container.encode(fingerprint.sha256, forKey: .fingerprint)
        try container.encode(FileHashes(files: fingerprint.files), forKey: .files)
        try container.encode(scheduler, forKey: .scheduler)
        try container.encode(steps, forKey: .steps)
        try container.encode(guidance, forKey: .guidance)
        try container.encode(negativePrompt, forKey: .negativePrompt)
        try container.encode("\(imageSize.width)x\(imageSize.height)", forKey: .size)
        try container.encode(dtype, forKey: .dtype)
    }

    /// The files as an object, so that a comparison can name the one that changed.
    private struct FileHashes: Encodable {
        let files: [ModelFingerprint.File]

        private struct Name: CodingKey {
            let stringValue: String
            var intValue: Int? { nil }

            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Name.self)
            for file in files { try container.encode(file.sha256, forKey: Name(stringValue: file.name)) }
        }
    }
}
