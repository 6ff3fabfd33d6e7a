import Captioning
import Files

/// Where a captioner comes from, as protocol tags tell it.
public enum CaptionerOrigin {
    case run(CaptionerRun)
    /// A state dict of ClipCap's authors.
    case weights(path: String, normalizesFeatures: Bool)

    func tags(_ hashes: FileHashes) throws -> [String: String] {
        var tags: [String: String] = [:]
        switch self {
        case .run(let run):
            tags["run"] = run.folder.path
            tags["recipe"] = run.recipe.name
            tags["source"] = run.recipe.data.source.rawValue
            tags["step"] = "\(run.checkpoint.step)"
            tags["checkpoint_sha256"] = try ContentHash.sha256(ofFile: run.checkpoint.statePath)
            tags["clip_sha256"] = run.source(CaptionerRun.Role.model)?.sha256
            tags["language_model_sha256"] = run.source(CaptionerRun.Role.languageModel)?.sha256
            tags["alignment_sha256"] = run.source(CaptionerRun.Role.alignment)?.sha256
            tags["adapter_sha256"] = run.source(CaptionerRun.Role.adapter)?.sha256
        case .weights(let path, let normalizesFeatures):
            tags["weights"] = path
            tags["weights_sha256"] = try hashes.sha256(of: path)
            tags["normalize"] = "\(normalizesFeatures)"
        }
        return tags
    }
}
