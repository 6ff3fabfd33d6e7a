import Files
import ModelFolders
import Tokenizers
import Torch
import TorchNN

extension LongCLIP {
    /// Positions stretched as Long-CLIP's authors do it (`model/longclip.py`): the first 20 stay, every other one becomes
    /// `factor` positions on the line to the next, and those after the last go on as the line before it did.
    /// - Parameters:
    ///   - positions: `[L, D]`, L above 21.
    ///   - factor: 2 or more; 4 makes 248 positions of 77.
    /// - Returns: `[factor · L - (factor - 1) · 20, D]`, of the same dtype.
    static func stretched(_ positions: Tensor, factor: Int) -> Tensor {
        let count = positions.size(0), width = positions.size(1)
        let exact = positions.to(.float32)
        let starts = exact[keptPositions..<count]  // [L - 20, D]
        let steps = Tensor.cat([
            exact[keptPositions + 1..<count] - exact[keptPositions..<count - 1],
            exact[count - 1..<count] - exact[count - 2..<count - 1],
        ])  // [L - 20, D]
        let shares = (0..<factor).map { Double($0) / Double(factor) }
        let parts = shares.map { (starts * (1 - $0) + (starts + steps) * $0).unsqueezed(1) }
        let stretched = Tensor.cat(parts, dim: 1).reshaped(factor * (count - keptPositions), width)
        return .cat([exact[0..<keptPositions], stretched]).to(positions.dtype)
    }

    /// How many positions one becomes for a context.
    /// - Returns: the model too, which is a CLIP.
    /// - Throws: `EncoderError.cannotStretch`.
    private static func factor(_ encoder: OpenEncoder, _ context: Int) throws -> (model: CLIPModel, factor: Int) {
        func refused(_ expected: String, _ got: String) -> EncoderError {
            .cannotStretch(folder: encoder.folder.path, expected: expected, got: got)
        }
        guard let model = encoder.image as? CLIPModel else {
            throw refused("a CLIP with a text tower", "an encoder of another kind")
        }
        let length = model.contextLength
        guard length > keptPositions + 1 else {
            throw refused("a model of more than \(keptPositions + 1) positions", "\(length)")
        }
        let (factor, rest) = (context - keptPositions).quotientAndRemainder(dividingBy: length - keptPositions)
        guard rest == 0, factor >= 2 else {
            let possible = (2...4).map { "\($0 * length - ($0 - 1) * keptPositions)" }.joined(separator: ", ")
            throw refused(
                "a context of \(possible) and so on: \(keptPositions) of its \(length) positions stay, the others become "
                    + "2, 3, 4, … each", "\(context)")
        }
        return (model, factor)
    }

    /// Whether a CLIP can have a context by stretching.
    /// - Throws: `EncoderError.cannotStretch`.
    public static func checkStretch(_ encoder: OpenEncoder, context: Int) throws { _ = try factor(encoder, context) }

    /// Writes a CLIP with more text positions as a Hugging Face folder: where a training of Long-CLIP starts.
    /// - Parameters:
    ///   - encoder: a CLIP with both towers.
    ///   - context: positions wanted.
    ///   - out: the folder to write.
    /// - Throws: `EncoderError.cannotStretch`, errors of the files.
    public static func stretch(_ encoder: OpenEncoder, context: Int, to out: String) throws {
        let (model, factor) = try factor(encoder, context)
        var configuration = model.configuration
        configuration.text.contextLength = context
        try encoder.writeConfiguration(to: out)
        try AtomicFile.write(configuration.huggingFaceJSON, to: "\(out)/config.json")
        try TokenizerFolder.widen(out, to: context)
        let key = "text_model.embeddings.position_embedding.weight"
        let tensors = model.namedTensors().filter { $0.kind != .derived }
        try Weights.save(
            tensors.map { ($0.key, $0.key == key ? stretched($0.tensor, factor: factor) : $0.tensor) },
            metadata: ["format": "pt"], to: "\(out)/model.safetensors")
    }
}
