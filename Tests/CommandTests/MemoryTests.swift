import Foundation
import Testing

/// Numbers that ask for more than there is: an error that names them, exit code 1 or 2, never a trap.
@Suite(.serialized) struct MemoryTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("images"), withIntermediateDirectories: true)
        for number in 0..<3 { try TinyModel.writeImage(number, to: folder.path("images/\(number).png")) }
    }

    /// Runs `gmail` with this much address space.
    private func run(_ arguments: [String], kilobytes: Int? = nil) throws -> Gmail.Outcome {
        let words = ([Gmail.program.path] + arguments).map { "'\($0)'" }.joined(separator: " ")
        let limit = kilobytes.map { "ulimit -v \($0); " } ?? ""
        return try Gmail.run(
            URL(fileURLWithPath: "/bin/bash"), ["-c", "\(limit)exec \(words)"],
            environment: ["XDG_CACHE_HOME": folder.path("cache")])
    }

    private func edit(_ name: String, _ part: String, _ values: [String: Any]) throws {
        let url = URL(fileURLWithPath: folder.path("model/\(name)"))
        var file = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        file[part] = (file[part] as? [String: Any])?.merging(values) { $1 }
        try JSONSerialization.data(withJSONObject: file).write(to: url)
    }

    private var embed: [String] {
        [
            "embed", "--model", folder.path("model"), "--images", folder.path("images"), "--out",
            folder.path("out.safetensors"), "--threads", "1", "--device", "cpu", "--dtype", "float32", "--quiet",
        ]
    }

    /// A configuration that asks for 4 TB in one matrix.
    @Test func aModelThatNoMemoryHolds() throws {
        try edit("config.json", "text_config", ["hidden_size": 999_999, "num_attention_heads": 3])
        let outcome = try run(embed)
        #expect(outcome.status == 1, "\(outcome.stderr)")
        #expect(
            outcome.stderr.hasPrefix("error: not enough memory for the model '\(folder.path("model"))': "),
            "\(outcome.stderr)")
        #expect(!outcome.stderr.contains("Fatal"), "\(outcome.stderr)")
    }

    /// A batch that the process may not take: images of a size that makes three of them 2 GB of states.
    @Test func aBatchThatTheProcessMayNotTake() throws {
        for kilobytes in [2_000_000, 3_000_000, 4_000_000] {
            let outcome = try run(embed + ["--batch-size", "65536"], kilobytes: kilobytes)
            #expect(outcome.status == 0 || outcome.status == 1, "\(kilobytes): \(outcome.status) \(outcome.stderr)")
            if outcome.status == 1 { #expect(outcome.stderr.hasPrefix("error: "), "\(outcome.stderr)") }
        }
    }

    private static let usage: [(arguments: [String], text: String)] = [
        (["embed", "--reduced-decode", "nan"], "--reduced-decode is nan, expected 1 to 1000"),
        (["embed", "--reduced-decode", "inf"], "--reduced-decode is inf, expected 1 to 1000"),
        (["embed", "--reduced-decode", "0.5"], "--reduced-decode is 0.5, expected 1 to 1000"),
        (["embed", "--batch-size", "0"], "--batch-size is 0, expected 1 to 65536"),
        (["embed", "--batch-size", "9223372036854775807"], "expected 1 to 65536"),
        (["embed", "--maximum-skipped-share", "nan"], "--maximum-skipped-share is nan, expected 0 to 1"),
        (["embed", "--max-pixels", "0"], "--max-pixels is 0, expected "),
        (["embed", "--threads", "-1"], "--threads"),
        (["caption", "--beam", "0"], "--beam is 0, expected 1 to "),
        (["caption", "--beam", "9223372036854775807"], "--beam is 9223372036854775807, expected 1 to "),
        (["caption", "--temperature", "nan", "--sample"], "--temperature is nan, expected a number above 0"),
        (["caption", "--top-p", "1.5", "--sample"], "--top-p is 1.5, expected above 0 and at most 1"),
        (["caption", "--max-tokens", "0"], "--max-tokens is 0, expected 1 to 1000000"),
        (["evaluate", "gap", "--limit", "0"], "--limit is 0, expected 1 or more"),
        (["demo", "--seeds", "0"], "--seeds is 0, expected 1 to 1000"),
        (["demo", "--images", "63"], "--images is 63, expected 64 to 10000000"),
        (["demo", "--rank", "1000000000"], "--rank is 1000000000, expected 1 to 100000"),
        (
            ["miniature", "render", "--count", "9223372036854775807"],
            "--count is 9223372036854775807, expected 1 to 10000000"
        ),
    ]

    /// Options that a command needs, so that the number is what is wrong.
    private func needed(_ command: String) -> [String] {
        switch command {
        case "embed": Array(embed.dropFirst())
        case "caption": ["--run", folder.path("run"), folder.path("images/0.png")]
        case "evaluate":
            [
                "--model", folder.path("model"), "--run", folder.path("run"), "--pairs", folder.path("pairs.jsonl"),
                "--out",
                folder.path("gap.json"),
            ]
        case "miniature": ["--out", folder.path("world"), "--split", "train"]
        default: []
        }
    }

    @Test(arguments: usage.indices)
    func numbersOutOfRange(index: Int) throws {
        let (arguments, text) = Self.usage[index]
        let outcome = try run(arguments + needed(arguments[0]))
        #expect(outcome.status == 2, "\(outcome.status) \(outcome.stderr)")
        #expect(outcome.stderr.contains(text), "\(outcome.stderr)")
    }

    /// Settings of a recipe: the same numbers by another door.
    @Test(arguments: [
        ("adapter.rank=1000000000", "'adapter.rank': expected 1 to 100000, got 1000000000"),
        (
            "training.batchSize=9223372036854775807",
            "'training.batchSize': expected 1 to 1000000, got 9223372036854775807"
        ),
        ("training.steps=9223372036854775807", "'training.steps': expected 1 to 1000000000, got 9223372036854775807"),
        ("training.learningRate=nan", "'training.learningRate' should be a number, got 'nan'"),
        ("training.warmupSteps=-1", "'training.warmupSteps': expected at least 0, got -1"),
    ])
    func settingsOutOfRange(setting: String, text: String) throws {
        try folder.write("", to: "pairs.jsonl")
        let outcome = try run([
            "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
            "--out",
            folder.path("run"), "--set", setting,
        ])
        #expect(outcome.status == 1, "\(outcome.status) \(outcome.stderr)")
        #expect(outcome.stderr.contains(text), "\(outcome.stderr)")
        #expect(!FileManager.default.fileExists(atPath: folder.path("run/recipe.yaml")))
    }

    /// A rank that the recipe allows and no layer of the model has room for.
    @Test func aRankAboveTheModel() throws {
        try folder.write("", to: "pairs.jsonl")
        let lines = (0..<64).map {
            #"{"id": "\#($0)", "caption": "a", "real": "images/0.png", "generated": "images/1.png"}"#
        }
        try folder.write(lines.joined(separator: "\n"), to: "pairs.jsonl")
        let outcome = try run([
            "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
            "--out",
            folder.path("run"), "--set", "adapter.rank=100000", "--set", "training.batchSize=8",
        ])
        #expect(outcome.status == 1, "\(outcome.status) \(outcome.stderr)")
        #expect(outcome.stderr.contains("the larger side of the largest targeted layer"), "\(outcome.stderr)")
    }
}
