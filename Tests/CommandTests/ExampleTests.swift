import Foundation
import Testing

/// The package in Examples/, which depends on this one as a user's would.
@Suite(.serialized) struct ExampleTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let source = "Examples/ImageSimilarity/Sources/image-similarity/main.swift"

    private static func lines(_ file: String) throws -> [String] {
        try String(contentsOf: root.appendingPathComponent(file), encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map { $0.trimmingCharacters(in: .whitespaces) }
    }

    @Test func theReadmesFiveLinesAreTheExamples() throws {
        let readme = try Self.lines("README.md")
        let heading = try #require(readme.firstIndex { $0.hasPrefix("## ") && $0.hasSuffix("five lines of Swift") })
        let code = readme[heading...].drop { !$0.hasPrefix("import ") }.prefix { !$0.hasPrefix("[") && $0 != "```" }
        // What the user sets comes from the command line in the example.
        let five = code.filter { !$0.isEmpty && !$0.hasPrefix("import ") && !$0.hasPrefix("let (model, photos)") }
        #expect(five.count == 5)
        let example = try Self.lines(Self.source)
        let start = try #require(example.firstIndex(of: five.first ?? ""))
        #expect(Array(example[start..<start + five.count]) == Array(five))
        for line in code where line.hasPrefix("import ") { #expect(example.contains(line)) }
    }

    /// Builds the shim by the plugin and the program by SwiftPM; a minute or two, so in the full run.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["GMAIL_TEST_FULL"] == "1"))
    func aDependantBuildsAndRuns() throws {
        let folder = try TemporaryFolder()
        let env = URL(fileURLWithPath: "/usr/bin/env")
        // Built in its own folder, as a user's would be: what lies in the .build of our checkout finds the checkout's shim.
        let package = ["--package-path", "Examples/ImageSimilarity"]
        let built = try Gmail.run(env, ["swift", "build"] + package, in: Self.root)
        try #require(built.status == 0, "\(built.stdout)\(built.stderr)")
        let program = Self.root.appendingPathComponent("Examples/ImageSimilarity/.build/debug/image-similarity")

        try TinyModel.write(to: folder.path("model"))
        for number in 1...2 { try TinyModel.writeImage(number, to: folder.path("\(number).png")) }
        let arguments = [folder.path("model"), folder.path("1.png"), folder.path("2.png")]
        let data = ["XDG_DATA_HOME": folder.path("data"), "GMAIL_TORCH_SHIM": ""]

        // Without the shim: an error, not a trap.
        let without = try Gmail.run(program, arguments, environment: data)
        #expect(without.status == 1)
        #expect(without.stderr.hasPrefix("image-similarity: the libtorch shim libgmail-torch.so was not found"))
        #expect(without.stderr.contains("`swift package torch-shim`"))

        let shim = try Gmail.run(
            env,
            ["swift", "package"] + package + ["--allow-network-connections", "all:443", "torch-shim"]
                // The parts that the tests' own shim was made of, so that nothing is compiled twice.
                + ["--torch", ".deps/torch", "--objects", ".build/torch-shim"], environment: data, in: Self.root)
        try #require(shim.status == 0, "\(shim.stdout)\(shim.stderr)")
        #expect((shim.stdout + shim.stderr).contains(folder.path("data/gmail")), "\(shim.stdout)\(shim.stderr)")

        let got = try Gmail.run(program, arguments, environment: data)
        #expect(got.status == 0, "\(got.stderr)")
        let embedded = try Gmail.run([
            "embed", "--model", folder.path("model"), "--images", folder.path("1.png"), folder.path("2.png"), "--out",
            folder.path("out.safetensors"), "--dtype", "float32",
        ])
        try #require(embedded.status == 0, "\(embedded.stderr)")
        let rows = try TinyModel.read(folder.path("out.safetensors"), "image_embeds")
        let value = try #require(Double(got.stdout.trimmingCharacters(in: .newlines).dropFirst("cosine ".count)))
        #expect(abs(value - cosine(rows[0], rows[1])) < 1e-5)

        let damaged = try Gmail.run(program, [arguments[0], arguments[1], folder.path("none.png")], environment: data)
        #expect(damaged.status == 1)
        #expect(damaged.stderr.hasPrefix("image-similarity: "))
    }
}
