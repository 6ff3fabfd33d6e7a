import CaptionFiles

/// A line of `predictions.jsonl`: an image, what the captioner says of it, and what people say.
public struct Prediction: Codable, Sendable, Equatable {
    public let imageID: ImageID
    /// As the captions file names it.
    public let file: String
    /// As it was opened.
    public let path: String
    public let caption: String
    public let references: [String]

    enum CodingKeys: String, CodingKey {
        case imageID = "image_id"
        case file, path, caption, references
    }
}
