import Files
import Foundation
import Testing

/// Streams that are full, closed or left by their reader. What is only said never stops work; a result that cannot be
/// written is an error; a terminal or a reader that goes away is a request to stop, with a checkpoint.
@Suite(.serialized) struct StreamTests {
    private let world: HostileWorld

    init() throws { world = try HostileWorld() }

    enum Training: String, CaseIterable {
        case align, captioner, miniature

        func arguments(_ world: HostileWorld, _ out: String, steps: Int = 3) -> [String] {
            switch self {
            case .align: world.align(out, steps: steps)
            case .captioner: world.captioner(out, steps: steps)
            case .miniature: world.miniature(out, steps: steps)
            }
        }
    }

    @Test(arguments: Training.allCases) func trainingsGoOnWithoutStreams(training: Training) throws {
        let whole = try world.run(training.arguments(world, "whole"))
        #expect(whole.status == 0, "\(whole.stderr)")
        let metrics = try world.lines("whole/metrics.jsonl")
        #expect(metrics.count >= 3)
        // A full disk under the log.
        let log = try world.shell("\"$gmail\" \"$@\" 2>/dev/full", training.arguments(world, "log"))
        #expect(log.status == 0)
        #expect(try world.lines("log/metrics.jsonl") == metrics)
        // A result that nobody can read is an error, and all that was computed is there.
        let result = try world.shell("\"$gmail\" \"$@\" >/dev/full", training.arguments(world, "result"))
        #expect(result.status == 1)
        #expect(result.stderr.contains("error: no space left to write 'standard output'"), "\(result.stderr)")
        #expect(try world.checkpoints("result") == [3])
        // No stream at all: the first files opened must not take their numbers and receive what is printed.
        let closed = try world.shell("\"$gmail\" \"$@\" <&- >&- 2>&-", training.arguments(world, "closed"))
        #expect(closed.status == 1)
        #expect(try world.checkpoints("closed") == [3])
        #expect(try world.lines("closed/metrics.jsonl") == metrics)
        let lock = try world.lines("closed/.lock")
        #expect(lock.count == 1 && lock[0].hasPrefix("gmail "), "\(lock)")
    }

    /// The reader goes when the training is under way.
    @Test(arguments: Training.allCases) func aClosedPipeWritesACheckpoint(training: Training) throws {
        let piped = try world.shell(
            "{ \"$gmail\" \"$@\" 2>&1; echo $? > status; } | grep -m 1 'step 3/' > line",
            training.arguments(world, "run", steps: 100_000))
        #expect(piped.status == 0)
        #expect(try world.lines("status") == ["141"])
        let steps = try world.checkpoints("run")
        #expect(steps.count == 1 && steps[0] >= 3 && steps[0] < 100_000, "\(steps)")
    }

    @Test(arguments: Training.allCases) func aClosedTerminalWritesACheckpoint(training: Training) throws {
        let process = try world.start(training.arguments(world, "run", steps: 100_000))
        while process.isRunning, try world.lines("run/metrics.jsonl").count < 3 { usleep(20_000) }
        kill(process.processIdentifier, SIGHUP)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == 129)
        let steps = try world.checkpoints("run")
        #expect(steps.count == 1 && steps[0] >= 3 && steps[0] < 100_000, "\(steps)")
    }

    /// Commands that write a result to a file and say something about it.
    private var reading: [(name: String, files: [String], arguments: (String) -> [String])] {
        [
            ("embed", ["F.safetensors", "F.json"], { [world] in world.embed("\($0).safetensors") }),
            ("generate", ["F/pairs.jsonl"], { [world] in world.generate($0) }),
            ("retrieval", ["F"], { [world] in world.retrieval($0) }),
            ("gap", ["F.json"], { [world] in world.gap("\($0).json") }),
            ("captions", ["F"], { [world] in world.scores($0) }),
            ("report", ["F"], { ["report", "run", "--out", $0] }),
        ]
    }

    @Test func resultsDoNotDependOnStreams() throws {
        let trained = try world.run(world.align("run"))
        #expect(trained.status == 0, "\(trained.stderr)")
        for (name, files, arguments) in reading {
            func bytes(_ out: String) throws -> [[UInt8]] {
                try files.map { try RegularFile.bytes(world.path($0.replacingOccurrences(of: "F", with: out))) }
            }
            let whole = try world.run(arguments("\(name)-1"))
            #expect(whole.status == 0, "\(name): \(whole.stderr)")
            let log = try world.shell("\"$gmail\" \"$@\" 2>/dev/full", arguments("\(name)-2"))
            #expect(log.status == 0, "\(name)")
            #expect(try bytes("\(name)-1") == bytes("\(name)-2"), "\(name)")
            let result = try world.shell("\"$gmail\" \"$@\" >/dev/full", arguments("\(name)-3") + ["--json"])
            #expect(result.status == 1, "\(name)")
            #expect(
                result.stderr.contains("error: no space left to write 'standard output'"), "\(name): \(result.stderr)")
            let closed = try world.shell("\"$gmail\" \"$@\" <&- >&- 2>&-", arguments("\(name)-4"))
            #expect(closed.status == 1, "\(name)")
            #expect(try bytes("\(name)-1") == bytes("\(name)-4"), "\(name)")
        }
    }

    /// A limit on the size of files stands in for a disk that is full.
    @Test func aResultThatCannotBeWrittenIsAnError() throws {
        let trained = try world.run(world.align("run"))
        #expect(trained.status == 0, "\(trained.stderr)")
        for (name, files, arguments) in reading where name != "generate" {
            let out = "\(name)-5"
            let full = try world.shell(
                "(trap '' XFSZ; ulimit -f 0; \"$gmail\" \"$@\" 2>&1; echo $?) | cat", arguments(out))
            let lines = full.stdout.split(separator: "\n")
            #expect(lines.last == "1", "\(name): \(full.stdout)")
            #expect(full.stdout.contains("error: '\(out)"), "\(name): \(full.stdout)")
            #expect(full.stdout.contains("File too large"), "\(name): \(full.stdout)")
            let target = files[0].replacingOccurrences(of: "F", with: out)
            #expect(!FileSystem.exists(world.path(target)), "\(name): nothing half-written stays")
        }
    }
}
