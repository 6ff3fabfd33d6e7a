import Encoders
import Files
import Torch
import TorchNN

/// The text encoder while its positions are trained, as Long-CLIP's authors train them: the first 20 stay as they are, since
/// short captions are read with these alone, and the others learn.
public final class TunedText: Module {
    @Parameter("position_embedding_res") public var positions: Tensor  // [L - 20, D]

    /// Its positions are set before every text.
    private let encoder: any TextPositions
    private let kept: Tensor

    /// - Parameter encoder: whose present positions are the start.
    /// - Throws: `AlignmentError.noTextPositions` for an encoder that has none to train.
    init(_ encoder: any ImageEncoder) throws {
        guard let encoder = encoder as? any TextPositions, encoder.contextLength > LongCLIP.keptPositions else {
            throw AlignmentError.noTextPositions(contextLength: (encoder as? any TextEncoder)?.contextLength)
        }
        self.encoder = encoder
        let all = encoder.textPositions.detached().to(.float32)
        kept = all[0..<LongCLIP.keptPositions].clone()
        super.init()
        positions = all[LongCLIP.keptPositions..<encoder.contextLength].clone()
        setRequiresGrad(true)
    }

    /// Ids int64 `[B, T]` to `[B, E]`, with the graph that leads to the positions.
    func features(_ ids: Tensor) -> Tensor {
        encoder.textPositions = .cat([kept, positions])
        return encoder.textFeatures(ids)
    }

    /// Puts positions that a run has trained into encoders.
    /// - Throws: `AlignmentError.noTextPositions`, `StateMismatch`, `SafetensorsError`.
    static func load(_ path: String, into encoders: [any ImageEncoder]) throws {
        for encoder in encoders {
            let text = try TunedText(encoder)
            try text.overwrite(from: Weights(path: path))
            let dtype = text.encoder.textPositions.dtype
            text.encoder.textPositions = Tensor.cat([text.kept, text.positions.detached()]).to(dtype)
        }
    }
}
