/// The route of an image to the embedding that a downstream model gets.
public enum ImageRoute: String, Sendable, Codable, CaseIterable {
    /// f_r, and the projection for real images if there is one.
    case original
    /// f_g and the projection for generated images.
    case tuned

    /// Each modality through its own encoder; without an alignment there is one encoder for both.
    public init(of modality: Modality, isAligned: Bool) {
        self = modality == .generated && isAligned ? .tuned : .original
    }
}
