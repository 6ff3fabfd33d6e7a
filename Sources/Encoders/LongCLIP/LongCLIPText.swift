import Torch

/// A text encoder whose positions can be trained, as Long-CLIP's are.
public protocol TextPositions: TextEncoder {
    /// `[contextLength, D]`; what is put here is read by the next text.
    var textPositions: Tensor { get set }
}

extension CLIPModel: TextPositions {
    public var textPositions: Tensor {
        get { text.embeddings.positions.weight }
        set { text.embeddings.positions.weight = newValue }
    }
}
