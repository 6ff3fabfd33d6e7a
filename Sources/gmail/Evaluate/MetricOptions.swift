import ArgumentParser
import CaptionMetrics

/// Which metrics to compute, and what they need in addition to the captions.
struct MetricOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Comma-separated list: \(MetricChoice.names). Default: bleu,meteor,rouge,cider,spice, plus wmd with \
            --word-vectors; without METEOR's data file meteor and spice are left out.
            """, valueName: "list"),
        transform: MetricList.init(argument:))
    var metrics: MetricList?

    @Option(
        help: ArgumentHelp(
            """
            METEOR's matchers, of \(MeteorModule.allCases.map(\.rawValue).joined(separator: ",")) (default: all). \
            exact,stem is another metric, tagged as such, and needs no data file.
            """, valueName: "modules"),
        transform: MeteorModules.init(argument:))
    var meteor: MeteorModules?

    @Option(
        help: ArgumentHelp(
            "METEOR's data file, read by meteor and spice (default: where gmail data meteor puts it).",
            valueName: "file"))
    var meteorData: String?

    @Option(
        help: ArgumentHelp(
            "Compute spice with the official spice-1.0.jar, which needs Java 8 to 14 and CoreNLP's models in lib/.",
            valueName: "file"))
    var spiceJar: String?

    @Option(help: ArgumentHelp("The Java for --spice-jar.", valueName: "program"))
    var java = "java"

    @Option(
        help: ArgumentHelp(
            "Word vectors for wmd: word2vec binary (.bin), .safetensors, or GloVe text.", valueName: "file"))
    var wordVectors: String?

    @Flag(help: "For wmd: scale word vectors to length one, as gensim 4 does (gensim 3 and published numbers: raw).")
    var unitVectors = false

    func validate() throws {
        guard let choices = metrics?.choices else {
            if unitVectors, wordVectors == nil { throw ValidationError("--unit-vectors needs --word-vectors FILE") }
            return
        }
        if choices.contains(.wmd), wordVectors == nil {
            throw ValidationError(
                "metric 'wmd' needs word vectors: add --word-vectors FILE (word2vec .bin, .safetensors or GloVe text)")
        }
        func check(_ isGiven: Bool, _ option: String, _ metrics: [MetricChoice]) throws {
            guard isGiven, !metrics.contains(where: choices.contains) else { return }
            let names = metrics.map(\.rawValue).joined(separator: " or ")
            throw ValidationError("\(option) is for \(names): add it to --metrics")
        }
        try check(wordVectors != nil, "--word-vectors", [.wmd])
        try check(unitVectors, "--unit-vectors", [.wmd])
        try check(meteor != nil, "--meteor", [.meteor])
        try check(meteorData != nil, "--meteor-data", [.meteor, .spice])
        try check(spiceJar != nil, "--spice-jar", [.spice])
    }
}
