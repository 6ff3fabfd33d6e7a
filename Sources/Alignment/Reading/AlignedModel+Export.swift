import Adapters
import Encoders
import Files
import Foundation
import TorchNN

extension AlignedModel {
    /// Writes the tuned model with the adapter merged into it, as a model folder of its own, which transformers opens.
    ///
    /// The image tower of the result is `f_g`; text tower and configuration are the base model's. Projections into the
    /// shared space have no place in a model folder and are written beside it.
    /// - Parameter base: the model with which the run was begun; its configuration, preprocessing and tokenizer are
    ///   written.
    public func exportMerged(to out: String, base: OpenEncoder) throws {
        try base.write(towers.tuned, to: out)
        try exportProjections(to: out)
    }

    /// Writes only the adapter, in PEFT's layout, and the projections beside it.
    /// - Throws: `AlignmentError.noAdapter` if the run has none.
    public func exportAdapter(to out: String, base folder: String) throws {
        guard let adapter = towers.adapter else {
            throw AlignmentError.noAdapter(run: path, kind: recipe?.adapter.kind.rawValue ?? "none")
        }
        try FileSystem.createFolder(out)
        try adapter.save(to: out, baseModel: folder)
        try exportProjections(to: out)
    }

    private func exportProjections(to out: String) throws {
        guard !projection.namedTensors().isEmpty else { return }
        try projection.save(to: "\(out)/\(AlignmentTask.Files.projections)", metadata: ["format": "pt"])
    }
}
