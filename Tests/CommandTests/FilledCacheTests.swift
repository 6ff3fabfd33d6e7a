import Files
import Foundation
import Testing

/// A cache of features is filled, then a file of the model folder is edited: `gmail align` computes anew.
///
/// With the old features the loss would be the one of the model before the edit.
@Suite(.serialized) struct FilledCacheTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileSystem.createFolder(folder.path("real"))
        try FileSystem.createFolder(folder.path("generated"))
        var lines: [String] = []
        for index in 0..<8 {
            try TinyModel.writeImage(index, to: folder.path("real/\(index).png"))
            try TinyModel.writeImage(index + 9, to: folder.path("generated/\(index).png"))
            lines.append(
                #"{"id": "p\#(index)", "caption": "a cat on the mat \#(index)", "real": "real/\#(index).png", "generated": "generated/\#(index).png"}"#
            )
        }
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: folder.path("pairs.jsonl"))
    }

    /// Losses of two steps of mixed training, which reads images and captions through the frozen encoders.
    private func metrics(_ run: String, cache: String) throws -> String {
        let outcome = try Gmail.run(
            [
                "align", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"), "--recipe", "mixed",
                "--cache", folder.path(cache), "--out", folder.path(run), "--quiet", "--threads", "1",
                "--set", "training.batchSize=4", "--set", "training.steps=2", "--set", "training.logEvery=1",
            ], environment: ["XDG_CACHE_HOME": folder.path("xdg")])
        #expect(outcome.status == 0, "\(outcome.stderr)")
        return try String(contentsOfFile: folder.path("\(run)/metrics.jsonl"), encoding: .utf8)
    }

    private func edit(_ name: String, _ old: String, _ new: String) throws {
        let path = folder.path("model/\(name)")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.contains(old), "\(name)")
        try AtomicFile.write(text.replacingOccurrences(of: old, with: new), to: path)
    }

    @Test func anEditedModelFolderIsAnotherModel() throws {
        var runs = [try metrics("before", cache: "cache")]
        #expect(try metrics("again", cache: "cache") == runs[0])
        // One file after the other; each edit changes the features of images, of captions, or of both.
        let edits = [
            ("config.json", "quick_gelu", "gelu"),
            ("preprocessor_config.json", "0.48, 0.45, 0.4", "0.58, 0.45, 0.4"),
            ("tokenizer.json", #"["a","t</w>"],"#, ""),
        ]
        for (index, change) in edits.enumerated() {
            try edit(change.0, change.1, change.2)
            let filled = try metrics("filled\(index)", cache: "cache")
            #expect(try filled == metrics("fresh\(index)", cache: "new\(index)"), "\(change.0)")
            #expect(!runs.contains(filled), "\(change.0) changes nothing")
            runs.append(filled)
        }
    }
}
