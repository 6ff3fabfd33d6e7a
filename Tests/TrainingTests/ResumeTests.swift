import Files
import Foundation
import Safetensors
import Terminal
import Testing
import TrainingTestSupport

@testable import Training

/// What an uninterrupted run of 23 steps leaves: the bits that every interrupted one must reproduce.
private struct Result: Equatable {
    let metrics: String
    let model: [UInt8]
    let optimizer: [UInt8]
    let state: TrainingState

    init(_ folder: String) throws {
        let run = try RunFolder.open(folder)
        metrics = try String(contentsOfFile: run.metricsPath, encoding: .utf8)
        let latest = try #require(try run.checkpoints.latest())
        model = try contents("\(latest.folder)/model.safetensors")
        optimizer = try contents("\(latest.folder)/optimizer.safetensors")
        state = try run.checkpoints.state(of: latest)
    }
}

@Suite struct ResumeTests {
    let folder = try! TemporaryFolder()
    private static let steps = 23

    private func uninterrupted() throws -> Result {
        try LinearRegressionTask.run(folder: folder.file("whole"), steps: Self.steps)
        return try Result(folder.file("whole"))
    }

    @Test func aRunLearnsAndLeavesItsFiles() throws {
        let result = try uninterrupted()
        let lines = result.metrics.split(separator: "\n")
        // Steps 1...23 and validations at 0, 4, …, 20, 23.
        #expect(lines.count == 23 + 7)
        #expect(lines[0].hasPrefix("{\"step\": 0, \"validation/loss\": "))
        #expect(lines[1].hasPrefix("{\"step\": 1, \"loss\": "))
        let validations = lines.compactMap { line -> Double? in
            guard let range = line.range(of: "validation/loss\": ") else { return nil }
            return Double(line[range.upperBound...].prefix { $0 != "," && $0 != "}" })
        }
        #expect(try #require(validations.last) < 0.5 * validations[0])
        #expect(result.state.step == 23)
        #expect(result.state.pairsSeen == 23 * 8)
        // Two kept: 20 and 23.
        #expect(try RunFolder(path: folder.file("whole")).checkpoints.all().map(\.step) == [20, 23])
        #expect(!result.metrics.contains("pairs_per_second"))
    }

    @Test(arguments: [1, 4, 5, 6, 11, 22])
    func stoppingAtAnyStepAndResumingChangesNothing(stopAfter: Int) throws {
        let expected = try uninterrupted()
        let path = folder.file("stopped")
        let stop = StopSignal()
        let outcome = try LinearRegressionTask.run(folder: path, steps: Self.steps, stop: stop) { batch in
            if batch == stopAfter - 1 { stop.request(SIGTERM) }
        }
        #expect(outcome == .interrupted(step: stopAfter, signal: SIGTERM))
        #expect(outcome.exitCode == 143)
        #expect(try LinearRegressionTask.run(folder: path, steps: Self.steps) == .finished(step: Self.steps))
        #expect(try Result(path) == expected)
    }

    @Test func stoppingBeforeTheFirstStepChangesNothing() throws {
        let expected = try uninterrupted()
        let path = folder.file("early")
        let stop = StopSignal()
        stop.request()
        #expect(
            try LinearRegressionTask.run(folder: path, steps: Self.steps, stop: stop)
                == .interrupted(step: 0, signal: SIGINT))
        try LinearRegressionTask.run(folder: path, steps: Self.steps)
        #expect(try Result(path) == expected)
    }

    /// A crash between checkpoints: an exception that nothing handles, with lines logged that no checkpoint covers.
    @Test(arguments: [2, 8, 13])
    func crashingBetweenCheckpointsChangesNothing(crashAfter: Int) throws {
        struct Crash: Error {}
        let expected = try uninterrupted()
        let path = folder.file("crashed")
        let run = try RunFolder.create(path, recipe: ToyRecipe())
        let task = try LinearRegressionTask()
        task.poisonedStep = crashAfter
        let loop = TrainingLoop(
            task: task, run: run,
            settings: LoopSettings(
                totalSteps: Self.steps, logEvery: 1, validationEvery: 4, checkpointEvery: 5, keepCheckpoints: 2)
        ) { position, skipped in try IndexSource(position: position, skipped: skipped) }
        #expect(throws: TrainingError.self) { try loop.run() }
        try LinearRegressionTask.run(folder: path, steps: Self.steps)
        #expect(try Result(path) == expected)
    }

    @Test func aRunKilledTenTimesEndsWithTheSameBits() throws {
        // More than ten lives of at most ten steps each can do.
        let steps = 120
        try LinearRegressionTask.run(folder: folder.file("whole"), steps: steps)
        let expected = try Result(folder.file("whole"))
        let path = folder.file("killed")
        var kills = 0
        var generator = SplitMixForDelays(state: 1)
        while kills < 10 {
            let process = try helper(path, steps: steps, delay: 60)
            // Long enough to load libtorch and take some steps, never the same.
            Thread.sleep(forTimeInterval: 0.25 + generator.fraction() * 0.35)
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            #expect(process.terminationReason == .uncaughtSignal)
            kills += 1
        }
        let last = try helper(path, steps: steps, delay: 0)
        last.waitUntilExit()
        #expect(last.terminationStatus == 0)
        #expect(try Result(path) == expected)
        #expect(try FileSystem.entries("\(path)/checkpoints") == ["step-000115", "step-000120"])
    }

    @Test(arguments: [(SIGINT, Int32(130)), (SIGTERM, Int32(143))] as [(Int32, Int32)])
    func signalsWriteACheckpointAndEndCleanly(signal: Int32, code: Int32) throws {
        let path = folder.file("signalled")
        let process = try helper(path, steps: Self.steps, delay: 50)
        let run = RunFolder(path: path)
        // The first line of metrics shows that the loop runs.
        for _ in 0..<1500 where (FileSystem.size(run.metricsPath) ?? 0) < 400 { Thread.sleep(forTimeInterval: 0.02) }
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == code)
        let latest = try #require(try run.checkpoints.latest())
        #expect(latest.step > 0 && latest.step < Self.steps)
        try LinearRegressionTask.run(folder: path, steps: Self.steps)
        #expect(try Result(path) == uninterrupted())
    }

    private func helper(_ folder: String, steps: Int, delay: Int) throws -> Process {
        let process = Process()
        // The test bundle and the helper are built into one folder.
        process.executableURL = Bundle.module.bundleURL.deletingLastPathComponent()
            .appendingPathComponent("training-crash-helper")
        process.arguments = [folder, "\(steps)", "\(delay)"]
        try process.run()
        return process
    }
}

private struct SplitMixForDelays {
    var state: UInt64
    mutating func fraction() -> Double {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Double(state >> 11) / Double(1 << 53)
    }
}
