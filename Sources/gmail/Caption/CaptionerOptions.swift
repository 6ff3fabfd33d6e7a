import ArgumentParser
import Captioning
import Evaluation
import Files
import Torch

/// Which captioner: a run of `gmail train captioner`, or a checkpoint of ClipCap's authors.
struct CaptionerOptions: ParsableArguments {
    enum Answer: String, ExpressibleByArgument, CaseIterable { case yes, no }

    @Option(
        name: .customLong("run"), help: ArgumentHelp("A run of gmail train captioner.", valueName: "folder"),
        completion: .directory)
    var runFolder: String?

    @Option(
        help: ArgumentHelp(
            "Instead of --run: a .pt state dict as ClipCap's authors publish them; needs --model, --language-model and --normalize.",
            valueName: "file"), completion: .file())
    var weights: String?

    @Option(
        help: "With --weights: whether the captioner was trained on image embeddings of length one.")
    var normalize: Answer?

    @Option(help: "Folder of the CLIP model; default: the one that the run names.", completion: .directory)
    var model: String?

    @Option(help: "Folder of the alignment run; default: the one that the run names.", completion: .directory)
    var alignment: String?

    @Option(
        help: "Folder of the adapter, made elsewhere, that the run was trained with; default: the one that it names.",
        completion: .directory)
    var adapter: String?

    @Option(help: "Folder of the language model; default: the one that the run names.", completion: .directory)
    var languageModel: String?

    func validate() throws {
        guard (runFolder == nil) != (weights == nil) else {
            throw ValidationError(
                runFolder == nil
                    ? "no captioner: give --run FOLDER (or --weights FILE.pt)"
                    : "--run and --weights are two captioners: give one")
        }
        if weights == nil, normalize != nil {
            throw ValidationError("--normalize is for --weights: a run knows how it was trained")
        }
        if weights != nil {
            guard model != nil, languageModel != nil else {
                throw ValidationError(
                    "--weights holds neither CLIP nor tokenizer: add --model FOLDER and --language-model FOLDER")
            }
            if alignment != nil { throw ValidationError("--alignment is for --run: the authors' captioners have none") }
        }
    }

    /// The captioner, its parts checked to belong together.
    func open(_ compute: ComputeOptions) throws -> OpenCaptioner {
        let (device, dtype) = try compute.resolve()
        // Weights in float32 are read in place from their files; converting them would cost more than a few captions.
        let chosen: DType = compute.dtype == .auto && device == .cpu ? .float32 : dtype
        if let weights {
            let captioner = try Captioner(
                stateDict: weights, normalizesFeatures: normalize.map { $0 == .yes }, model: model ?? "",
                languageModel: languageModel ?? "", dtype: chosen, device: device)
            return OpenCaptioner(
                captioner: captioner,
                origin: .weights(path: weights, normalizesFeatures: normalize == .yes), dtype: chosen, device: device)
        }
        let run = try CaptionerRun(runFolder ?? "")
        let captioner = try run.captioner(
            .init(model: model, alignment: alignment, adapter: adapter, languageModel: languageModel), dtype: chosen,
            device: device,
            hashes: .command)
        return OpenCaptioner(captioner: captioner, origin: .run(run), dtype: chosen, device: device)
    }
}

/// A captioner with what made it, for protocol tags.
struct OpenCaptioner {
    let captioner: Captioner
    let origin: CaptionerOrigin
    let dtype: DType
    let device: Device
}
