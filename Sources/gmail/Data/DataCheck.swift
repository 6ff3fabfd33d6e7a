import ArgumentParser
import Datasets
import Foundation
import Terminal

/// `gmail data check`: checks that a pairs manifest and all the images that it names can be trained on.
struct DataCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check a pairs manifest and every image it names.",
        discussion: """
            Prints counts, caption lengths and image sizes. Exit code 1 when something is wrong; the first ten problems \
            are named.

            --content asks a CLIP whether the generated images show what the captions say: their cosine with the caption \
            against that of the real image. --sheet shows the worst pairs, --filtered writes the manifest without them.

              gmail data check pairs.jsonl --decode
              gmail data check pairs.jsonl --content --model clip-vit-base-patch32 --sheet worst.html \\
                  --drop-worst 0.1 --filtered kept.jsonl
            """)

    @Argument(help: "The manifest: JSON Lines with id, caption, real, generated and, optionally, generator.")
    var pairs: String

    @Flag(help: "Decode every image in full, not its header alone.")
    var decode = false

    @Flag(help: "Allow pairs without a real image.")
    var withoutReal = false

    @OptionGroup var content: ContentOptions

    @Flag(help: "Print the findings as JSON.")
    var json = false

    func validate() throws {
        guard !(content.content && withoutReal) else {
            throw ValidationError("--content compares with real images, so it does not go with --without-real")
        }
    }

    func run() async throws {
        let isTerminal = isatty(STDERR_FILENO) == 1
        let check = try PairsCheck(
            manifest: pairs, depth: decode ? .full : .header, real: withoutReal ? .optional : .required
        ) { done, total in
            if isTerminal { Terminal.write("\r\(done)/\(total) images\u{1B}[K") }
        }
        if isTerminal { Terminal.write("\r\u{1B}[K") }
        if !json { try Terminal.output(check.text) }
        let findings = check.problemCount == 0 ? try content.check(pairs, prints: !json) : nil
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            try Terminal.output(
                json: String(decoding: try encoder.encode(Findings(check, content: findings)), as: UTF8.self))
        }
        if check.problemCount > 0 { throw ExitCode(1) }
    }

    /// The findings, as in `--json`.
    private struct Findings: Encodable {
        let pairs, realImages, generatedImages, pairsWithoutReal, pairsWithoutGenerator: Int
        let captionWords, captionCharacters: PairsCheck.Distribution
        let shorterSides: [PairsCheck.SizeCount]
        let problemCount: Int
        let problems: [String: Int]
        let firstProblems: [String]
        let content: ContentOptions.Findings?

        init(_ check: PairsCheck, content: ContentOptions.Findings?) {
            self.content = content
            pairs = check.pairs
            realImages = check.realImages
            generatedImages = check.generatedImages
            pairsWithoutReal = check.pairsWithoutReal
            pairsWithoutGenerator = check.pairsWithoutGenerator
            captionWords = check.captionWords
            captionCharacters = check.captionCharacters
            shorterSides = check.sizes
            problemCount = check.problemCount
            problems = Dictionary(uniqueKeysWithValues: check.problemCounts.map { ($0.key.rawValue, $0.value) })
            firstProblems = check.firstProblems.map(\.text)
        }
    }
}
