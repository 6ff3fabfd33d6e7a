import ArgumentParser
import Evaluation
import Foundation

/// `gmail demo`: a small world, a small CLIP trained on it, and retrieval on scenes it has never seen.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Render a small world, train a small CLIP on it, and measure retrieval on held-out scenes.",
        discussion: """
            Needs no download. Everything it makes is in ordinary formats below --out: PNG pictures with COCO captions, a \
            Hugging Face CLIP folder, safetensors features, JSON metrics. Interrupted and run again, it goes on with the \
            first stage that is not finished.
            """)

    @Option(help: "Folder for everything the demo makes.", completion: .directory)
    var out = "demo"

    @Option(help: "Seed of the world and of training.")
    var seed: UInt64 = 0

    @Flag(help: "A smaller world and a shorter training, in about 20 seconds.")
    var quick = false

    @Flag(help: "Make everything anew, also what is finished.")
    var force = false

    @Flag(help: "Print the results as JSON on standard output.")
    var json = false

    func run() async throws {
        let demo = Demo(folder: out, settings: .init(seed: seed, quick: quick))
        let result = try await demo.run(force: force)
        print(json ? try result.json() : result.text, terminator: "")
    }
}
