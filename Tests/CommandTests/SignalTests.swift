import Foundation
import Testing

/// A long command that is asked to end says at once when it will, and ends soon, with what it has made.
@Suite(.serialized) struct SignalTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("images"), withIntermediateDirectories: true)
        for number in 0..<16 { try TinyModel.writeImage(number, to: folder.path("images/\(number).png")) }
        let lines = (0..<8).map {
            #"{"id": "p\#($0)", "caption": "scene \#($0)", "real": "images/\#($0).png", "generated": "images/\#(8 + $0).png"}"#
        }
        try folder.write(lines.joined(separator: "\n") + "\n", to: "pairs.jsonl")
    }

    @Test func aTrainingSaysWhenItEnds() throws {
        let process = Process()
        process.executableURL = Gmail.program
        let settings = ["training.batchSize=4", "training.steps=1000000", "training.logEvery=1"]
        process.arguments =
            [
                "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
                "--cache", folder.path("cache"), "--threads", "1", "--out", folder.path("run"),
            ] + settings.flatMap { ["--set", $0] }
        process.environment = ProcessInfo.processInfo.environment.merging(["XDG_CACHE_HOME": folder.path("xdg")]) { $1 }
        try Data().write(to: URL(fileURLWithPath: folder.path("err")))
        let errors = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path("err")))
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let begun = ContinuousClock.now
        func size(_ name: String) -> Int {
            (try? FileManager.default.attributesOfItem(atPath: folder.path(name))[.size] as? Int) ?? 0
        }
        while size("run/metrics.jsonl") == 0, process.isRunning, ContinuousClock.now - begun < .seconds(120) {
            usleep(20_000)
        }
        let asked = ContinuousClock.now
        kill(process.processIdentifier, SIGTERM)
        func said() -> String {
            String(decoding: FileManager.default.contents(atPath: folder.path("err")) ?? Data(), as: UTF8.self)
        }
        while process.isRunning, !said().contains("stopping after the step at work"),
            ContinuousClock.now - asked < .seconds(30)
        { usleep(5_000) }
        // A second on a machine that does nothing else.
        #expect(ContinuousClock.now - asked < .seconds(5))
        process.waitUntilExit()
        try errors.close()
        #expect(process.terminationReason == .exit && process.terminationStatus == 128 + SIGTERM)
        #expect(said().contains("stopping after the step at work; a second signal ends at once"), "\(said())")
        let checkpoints = try FileManager.default.contentsOfDirectory(atPath: folder.path("run/checkpoints"))
        #expect(checkpoints.count == 1 && checkpoints[0].hasPrefix("step-"), "\(checkpoints)")
    }
}
