import Torch

// Generated images are a modality of their own (GMAIL, Mo & Yun 2025, Sec. 3): the encoder of one modality must never
// read images of the other by mistake. So the modality of an image is part of its type, and each route takes one
// modality.

/// What an image is: a photograph, or the output of a generator.
public enum Modality: String, Sendable, Codable, CaseIterable {
    case real
    case generated
}

/// A type that stands for a modality.
public protocol ModalityTag: Sendable {
    static var modality: Modality { get }
}

/// Real images: read by `f_r`.
public enum Real: ModalityTag {
    public static var modality: Modality { .real }
}

/// Generated images: read by `f_g`.
public enum Generated: ModalityTag {
    public static var modality: Modality { .generated }
}

/// Preprocessed images of one modality.
public struct ImageBatch<Tag: ModalityTag> {
    /// `[B, 3, S, S]`
    public let pixels: Tensor
    public var modality: Modality { Tag.modality }
    public var count: Int { pixels.size(0) }

    /// Declares what the images are; this should happen once, where they are read from disk.
    public init(_ pixels: Tensor) {
        self.pixels = pixels
    }

    /// Images whose modality was decided at run time.
    /// - Throws: `AlignmentError.wrongModality` if they are of the other modality.
    public init(_ images: TaggedImages) throws {
        guard images.modality == Tag.modality else {
            throw AlignmentError.wrongModality(
                expected: Tag.modality, got: images.modality, source: images.source)
        }
        self.init(images.pixels)
    }
}

/// Images with a modality that is known only at run time (from a command's argument or a manifest's column).
public struct TaggedImages {
    public let modality: Modality
    /// `[B, 3, S, S]`
    public let pixels: Tensor
    /// Where they come from, for messages.
    public let source: String

    public init(_ pixels: Tensor, modality: Modality, source: String) {
        self.pixels = pixels
        self.modality = modality
        self.source = source
    }
}

/// Embeddings of images of one modality, `[B, E]`, not normalised.
public struct Embeddings<Tag: ModalityTag> {
    public let tensor: Tensor
    public var count: Int { tensor.size(0) }

    public init(_ tensor: Tensor) {
        self.tensor = tensor
    }
}
