import Files
import Foundation
import Images
import Safetensors

/// A small model of every kind and files for every command, for the tests that take one of them away, replace it or close
/// a stream.
final class HostileWorld {
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        func fixture(_ name: String, as target: String) throws {
            try FileSystem.copy(tests.appendingPathComponent(name).path, to: path(target))
        }
        try TinyModel.write(to: path("clip"))
        try fixture("CaptioningTests/Fixtures/gpt2", as: "gpt2")
        try fixture("DiffusionTests/Fixtures/sd-tiny", as: "sd")
        try FileSystem.createFolder(path("images"))
        for number in 0..<12 { try TinyModel.writeImage(number, to: path("images/\(number).png")) }
        try folder.write((0..<6).map(Self.pair).joined(), to: "pairs.jsonl")
        let images = (0..<6).map { #"{"id": \#($0), "file_name": "\#($0).png"}"# }.joined(separator: ", ")
        let captions = (0..<6).map { #"{"image_id": \#($0), "id": \#($0), "caption": "a b \#($0)"}"# }
        try folder.write(
            #"{"images": [\#(images)], "annotations": [\#(captions.joined(separator: ", "))]}"#, to: "coco.json")
        try folder.write("[\(captions.joined(separator: ", "))]", to: "results.json")
        try folder.write(
            (0..<3).map { #"{"id": "s\#($0)", "caption": "a b \#($0)", "image": "images/\#($0).png"}"# + "\n" }
                .joined(),
            to: "captions.jsonl")
        try folder.write("a b\na c\n", to: "texts.txt")
        try folder.write("name: \"mine\"\nextends: \"gmail\"\n", to: "mine.yaml")
        try folder.write("a 0.5 1\nb 1 0.5\n0 1 1\n", to: "vectors.txt")
    }

    private static func pair(_ index: Int) -> String {
        #"{"id": "p\#(index)", "caption": "a b \#(index)", "real": "images/\#(index).png", "#
            + #""generated": "images/\#(6 + index).png"}"# + "\n"
    }

    /// By bytes: `URL` might have its own idea of a name.
    func path(_ name: String) -> String { "\(folder.url.path)/\(name)" }

    var environment: [String: String] {
        ["XDG_CACHE_HOME": path("xdg"), "OMP_NUM_THREADS": "1", "GMAIL_DATA_DIR": path("data")]
    }

    // MARK: Commands, as they are typed in the folder

    func align(_ out: String, steps: Int = 3, _ more: [String] = []) -> [String] {
        var arguments = ["align", "--recipe", "gmail", "--model", "clip", "--pairs", "pairs.jsonl"]
        arguments += ["--cache", "cache", "--out", out, "--threads", "1"]
        arguments += Self.settings(steps, ["training.batchSize=2"])
        return arguments + more
    }

    func captioner(_ out: String, steps: Int = 3, _ more: [String] = []) -> [String] {
        var arguments = ["train", "captioner", "--recipe", "real", "--model", "clip", "--language-model", "gpt2"]
        arguments += ["--pairs", "pairs.jsonl", "--cache", "cache", "--out", out, "--threads", "1"]
        arguments += Self.settings(
            steps,
            [
                "training.batchSize=2", "training.epochs=null", "training.warmupSteps=1", "mapper.prefixLength=4",
                "mapper.clipLength=3", "mapper.layers=2",
            ])
        return arguments + more
    }

    func miniature(_ out: String, steps: Int = 3, _ more: [String] = []) -> [String] {
        var arguments = ["miniature", "train", "language-model", "--out", out, "--threads", "1"]
        arguments += Self.settings(
            steps,
            [
                "data.scenes=16", "data.validationScenes=4", "model.width=16", "model.layers=1", "model.heads=2",
                "training.batchSize=4", "training.warmupSteps=1", "training.validationEvery=100000",
            ])
        return arguments + more
    }

    private static func settings(_ steps: Int, _ more: [String]) -> [String] {
        let all = ["training.steps=\(steps)", "training.checkpointEvery=100000", "training.logEvery=1"] + more
        return all.flatMap { ["--set", $0] }
    }

    func embed(_ out: String, _ more: [String] = []) -> [String] {
        ["embed", "--model", "clip", "--images", "images", "--texts", "texts.txt", "--out", out] + more
    }

    func generate(_ out: String, _ more: [String] = []) -> [String] {
        [
            "generate", "--model", "sd", "--captions", "captions.jsonl", "--out", out, "--steps", "2", "--threads", "1",
        ] + more
    }

    func retrieval(_ out: String, _ more: [String] = []) -> [String] {
        ["evaluate", "retrieval", "--model", "clip", "--captions", "coco.json", "--images", "images", "--out", out]
            + more
    }

    func gap(_ out: String, _ more: [String] = []) -> [String] {
        ["evaluate", "gap", "--model", "clip", "--pairs", "pairs.jsonl", "--map", "none", "--out", out] + more
    }

    func scores(_ out: String, _ more: [String] = []) -> [String] {
        [
            "evaluate", "captions", "--references", "coco.json", "--candidates", "results.json", "--metrics", "bleu",
            "--out", out,
        ] + more
    }

    func captioning(_ out: String, run: String, _ more: [String] = []) -> [String] {
        [
            "evaluate", "captioning", "--run", run, "--captions", "coco.json", "--images", "images", "--metrics",
            "bleu",
            "--max-tokens", "3", "--out", out,
        ] + more
    }

    // MARK: Running

    /// Runs the command in the folder; a command that has not ended after two minutes ends with status 124.
    func run(_ arguments: [String]) throws -> Gmail.Outcome {
        try Gmail.run(
            URL(fileURLWithPath: "/usr/bin/timeout"), ["-s", "KILL", "120", Gmail.program.path] + arguments,
            environment: environment, in: folder.url)
    }

    /// Runs a line of shell in the folder, in which `$gmail` is the program and `"$@"` the arguments.
    func shell(_ line: String, _ arguments: [String]) throws -> Gmail.Outcome {
        try Gmail.run(
            URL(fileURLWithPath: "/bin/bash"), ["-c", line, "bash"] + arguments,
            environment: environment.merging(["gmail": Gmail.program.path]) { $1 }, in: folder.url)
    }

    /// Starts the command without waiting for it.
    func start(_ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = Gmail.program
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.currentDirectoryURL = folder.url
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    /// Steps of a run's checkpoints.
    func checkpoints(_ run: String) throws -> [Int] {
        try FileSystem.entries(path("\(run)/checkpoints")).compactMap { name in
            name.hasPrefix("step-") ? Int(name.dropFirst(5)) : nil
        }
    }

    /// Lines of a file; none when it is not there.
    func lines(_ name: String) throws -> [String] {
        guard FileSystem.exists(path(name)) else { return [] }
        return try TextLines(path: path(name)).texts()
    }
}
