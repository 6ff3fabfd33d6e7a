import ArgumentParser
import Captioning
import Encoders
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
            return OpenCaptioner(captioner: captioner, run: nil, dtype: chosen, device: device)
        }
        let run = try CaptionerRun(runFolder ?? "")
        let captioner = try run.captioner(
            .init(model: model, alignment: alignment, adapter: adapter, languageModel: languageModel), dtype: chosen,
            device: device,
            hashes: .command)
        return OpenCaptioner(captioner: captioner, run: run, dtype: chosen, device: device)
    }
}

/// A captioner with what made it, for protocol tags.
struct OpenCaptioner {
    let captioner: Captioner
    /// nil for an authors' checkpoint.
    let run: CaptionerRun?
    let dtype: DType
    let device: Device
}

/// How captions are chosen; what is not said is the recipe's.
struct DecodingOptions: ParsableArguments {
    @Option(help: "Beam search with this many beams.")
    var beam: Int?

    @Flag(help: "The likeliest token at each step.")
    var greedy = false

    @Flag(help: "Random choice.")
    var sample = false

    @Flag(help: "Beam search as ClipCap's authors wrote it, by mean log-probability.")
    var clipcapBeam = false

    @Option(help: "With --sample: divides the scores, above 0.")
    var temperature: Double?

    @Option(help: "With --sample: only the k likeliest tokens.")
    var topK: Int?

    @Option(help: "With --sample: only the likeliest tokens that together have this probability.")
    var topP: Double?

    @Option(help: "With --sample: equal seeds give equal captions.")
    var seed: UInt64?

    @Option(help: "With beams: scores are divided by length to this power.")
    var lengthPenalty: Double?

    @Option(help: "Tokens of a caption at most.")
    var maxTokens: Int?

    func validate() throws {
        let ways = [greedy, sample, beam != nil || clipcapBeam].filter { $0 }.count
        guard ways <= 1 else { throw ValidationError("--beam, --greedy and --sample exclude each other") }
        if !sample {
            for (name, isGiven) in [
                ("--temperature", temperature != nil), ("--top-k", topK != nil), ("--top-p", topP != nil),
                ("--seed", seed != nil),
            ] where isGiven { throw ValidationError("\(name) is for --sample") }
        }
        try Check.range("--beam", beam, 1...CaptionDecoding.mostBeams)
        try Check.range("--temperature", temperature, 1e-6...1e6, "a number above 0")
        try Check.range("--top-k", topK, 1...Int.max)
        try Check.range("--top-p", topP, .leastNonzeroMagnitude...1, "above 0 and at most 1")
        try Check.range("--max-tokens", maxTokens, 1...1_000_000)
        try Check.range("--length-penalty", lengthPenalty, -100...100, "-100 to 100")
        guard lengthPenalty == nil || !(greedy || sample || clipcapBeam) else {
            throw ValidationError("--length-penalty is for --beam")
        }
    }

    func apply(to base: CaptionDecoding) -> CaptionDecoding {
        var decoding = base
        if greedy { decoding.method = .greedy }
        if sample { decoding.method = .sample }
        if let beam {
            decoding.beams = beam
            // A recipe with the authors' search keeps it: the number of beams is another question.
            if decoding.method != .clipcapBeam { decoding.method = .beam }
        }
        if clipcapBeam { decoding.method = .clipcapBeam }
        if let lengthPenalty { decoding.lengthPenalty = lengthPenalty }
        if let maxTokens { decoding.maximumTokens = maxTokens }
        if let temperature { decoding.temperature = temperature }
        decoding.topK = topK
        if let topP { decoding.topP = topP }
        if let seed { decoding.seed = seed }
        return decoding
    }
}
