import Foundation
import Safetensors
import Testing

/// `gmail align` killed at any moment, and on a full disk: complete files stay, and the run continues to the same bits
/// as an undisturbed one.
@Suite(.serialized) struct AlignCrashTests {
    private let folder: TemporaryFolder
    private let common: [String]

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("images"), withIntermediateDirectories: true)
        for number in 0..<24 { try TinyModel.writeImage(number, to: folder.path("images/\(number).png")) }
        let lines = (0..<12).map {
            #"{"id": "p\#($0)", "caption": "scene \#($0)", "real": "images/\#($0).png", "generated": "images/\#(12 + $0).png"}"#
        }
        try folder.write(lines.joined(separator: "\n") + "\n", to: "pairs.jsonl")
        common = [
            "align", "--recipe", "gmail", "--model", folder.path("model"), "--pairs", folder.path("pairs.jsonl"),
            "--cache", folder.path("cache"), "--quiet", "--threads", "1",
        ]
    }

    private var environment: [String: String] { ["XDG_CACHE_HOME": folder.path("xdg")] }

    private func arguments(_ run: String, steps: Int, checkpointEvery: Int, resume: Bool) -> [String] {
        let settings = [
            "training.batchSize=4", "training.steps=\(steps)", "training.checkpointEvery=\(checkpointEvery)",
            "training.logEvery=1", "adapter.dropout=0.2", "training.learningRate=3e-3",
        ]
        return common + ["--out", run] + settings.flatMap { ["--set", $0] } + (resume ? ["--resume"] : [])
    }

    private func expectSameBits(_ a: String, _ b: String, step: Int) throws {
        func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
        let checkpoint = "checkpoints/step-\(String(repeating: "0", count: 6 - "\(step)".count))\(step)"
        for name in ["adapter_model", "optimizer", "projections"] {
            let file = "\(checkpoint)/\(name).safetensors"
            #expect(try bytes("\(a)/\(file)") == bytes("\(b)/\(file)"), "\(name)")
        }
        #expect(try bytes("\(a)/metrics.jsonl") == bytes("\(b)/metrics.jsonl"))
    }

    @Test func killedTenTimesARunEndsWithTheSameBits() throws {
        let steps = 60
        let whole = try Gmail.run(
            arguments(folder.path("whole"), steps: steps, checkpointEvery: 2, resume: false), environment: environment)
        #expect(whole.status == 0, "\(whole.stderr)")

        let run = folder.path("killed")
        func logged() -> Int { FileManager.default.contents(atPath: "\(run)/metrics.jsonl")?.count { $0 == 0x0A } ?? 0 }
        var lost: [Int] = []
        for life in 0..<10 {
            let process = Process()
            process.executableURL = Gmail.program
            process.arguments = arguments(run, steps: steps, checkpointEvery: 2, resume: life > 0)
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle.nullDevice
            try process.run()
            // Some steps further than the last life, then at any moment: in a step, in a checkpoint, between both.
            let target = logged() + 2 + life % 3
            let deadline = Date().addingTimeInterval(60)
            while logged() < target, process.isRunning, Date() < deadline { usleep(2000) }
            usleep(UInt32(life) * 1700)
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal, "life \(life) ended by itself")
            let checkpoints = try FileManager.default.contentsOfDirectory(atPath: "\(run)/checkpoints")
            let latest = checkpoints.filter { $0.hasPrefix("step-") }.max().flatMap { Int($0.dropFirst(5)) } ?? 0
            lost.append(logged() - latest)
        }
        // At most the work since the last checkpoint is lost, or since the one before it if that was being written.
        #expect(lost.allSatisfy { $0 <= 4 }, "\(lost)")
        let last = try Gmail.run(
            arguments(run, steps: steps, checkpointEvery: 2, resume: true), environment: environment)
        #expect(last.status == 0, "\(last.stderr)")
        try expectSameBits(folder.path("whole"), run, step: steps)
    }

    /// A file system of its own that is really full; where the machine does not allow one, a limit on the size of a
    /// file.
    @Test func aFullDiskIsNamedAndTheRunGoesOnWhenThereIsSpace() throws {
        let whole = try Gmail.run(
            arguments(folder.path("whole"), steps: 12, checkpointEvery: 4, resume: false), environment: environment)
        #expect(whole.status == 0, "\(whole.stderr)")
        try FileManager.default.createDirectory(atPath: folder.path("disk"), withIntermediateDirectories: true)
        let probe = try Gmail.run(
            URL(fileURLWithPath: "/bin/sh"),
            [
                "-c", "unshare --mount --map-root-user sh -c 'mount -t tmpfs -o size=100k none \"$0\"' \"$0\"",
                folder.path("disk"),
            ])
        let hasDisk = probe.status == 0
        if !hasDisk { print("no file system may be mounted here (\(probe.stderr)): a limit on file sizes stands in") }

        let run = folder.path("disk/run")
        func command(_ steps: Int, resume: Bool) -> String {
            let words = [Gmail.program.path] + arguments(run, steps: steps, checkpointEvery: 4, resume: resume)
            return words.map { "'\($0)'" }.joined(separator: " ")
        }
        // The space that is left holds log lines and the first small file of a checkpoint, not all of it.
        let fill =
            hasDisk
            ? """
            cat /dev/zero > '\(folder.path("disk/filler"))' 2>/dev/null
            truncate -s -24K '\(folder.path("disk/filler"))'
            \(command(12, resume: true)) 2> '\(folder.path("full.txt"))'
            """
            : "(trap '' XFSZ; ulimit -f 12; \(command(12, resume: true)) 2> '\(folder.path("full.txt"))')"
        let script = """
            set -u
            \(hasDisk ? "mount -t tmpfs -o size=2m none '\(folder.path("disk"))' || exit 90" : "")
            \(command(4, resume: false)) || exit 91
            \(fill)
            echo $? > '\(folder.path("status.txt"))'
            ls '\(run)/checkpoints' > '\(folder.path("left.txt"))'
            '\(Gmail.program.path)' export --run '\(run)' --adapter --out '\(folder.path("usable"))' || exit 92
            rm -f '\(folder.path("disk/filler"))'
            \(command(12, resume: true)) || exit 93
            cp -r '\(run)' '\(folder.path("copy"))'
            """
        let shell = hasDisk ? ["unshare", "--mount", "--map-root-user", "sh", "-c", script] : ["sh", "-c", script]
        let outcome = try Gmail.run(URL(fileURLWithPath: "/usr/bin/env"), shell, environment: environment)
        #expect(outcome.status == 0, "\(outcome.stdout)\(outcome.stderr)")
        func text(_ name: String) throws -> String { try String(contentsOfFile: folder.path(name), encoding: .utf8) }
        #expect(try text("status.txt") == "1\n")
        // What, where, what stays, and the next step.
        let message = try text("full.txt")
        for part in ["step 8", "\(run)/checkpoints/step-000008", "step 4", "from which the run goes on"] {
            #expect(message.contains(part), "\(part) is not in: \(message)")
        }
        #expect(message.contains(hasDisk ? "space" : "File too large"), "\(message)")
        #expect(try text("left.txt") == "step-000004\n", "nothing half-written stays")
        #expect(FileManager.default.fileExists(atPath: folder.path("usable/adapter_model.safetensors")))
        try expectSameBits(folder.path("whole"), folder.path("copy"), step: 12)
    }
}
