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

    /// Writes a CLIP with more text positions as a Hugging Face folder: where a training of Long-CLIP starts.
    /// - Parameters:
    ///   - encoder: a CLIP with both towers.
    ///   - context: positions wanted.
    ///   - out: the folder to write.
    /// - Throws: `EncoderError.cannotStretch`, errors of the files.
    public static func stretch(_ encoder: OpenEncoder, context: Int, to out: String) throws {
        guard let model = encoder.image as? CLIPModel else {
            throw EncoderError.cannotStretch(
                folder: encoder.folder.path, expected: "a CLIP with a text tower", got: "an encoder of another kind")
        }
        let length = model.contextLength
        let (factor, rest) = (context - keptPositions).quotientAndRemainder(dividingBy: max(1, length - keptPositions))
        guard length > keptPositions + 1, rest == 0, factor >= 2 else {
            let possible = length > keptPositions + 1 ? (2...4).map { "\($0 * length - ($0 - 1) * keptPositions)" } : []
            throw EncoderError.cannotStretch(
                folder: encoder.folder.path,
                expected: possible.isEmpty
                    ? "a model of more than \(keptPositions + 1) positions"
                    : "a context of \(possible.joined(separator: ", ")) and so on: \(keptPositions) of its \(length) positions "
                        + "stay, the others become 2, 3, 4, … each", got: possible.isEmpty ? "\(length)" : "\(context)")
        }
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
