import ArgumentParser
import Captioning

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
