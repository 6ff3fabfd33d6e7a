import Files
import Foundation
import Terminal
import Testing
import TrainingTestSupport

@testable import Training

/// Validations happen after 0, 4, 8, … steps, checkpoints after 5, 10, …
@Suite struct BestCheckpointTests {
    let folder = try! TemporaryFolder()

    /// Best after 8 steps, then ever worse.
    private static let scores = [0: 0.2, 4: 0.5, 8: 0.9, 12: 0.8, 16: 0.9, 20: 0.7, 24: 0.6, 28: 0.5]

    @discardableResult
    private func run(
        _ name: String, steps: Int = 28, best: String? = "score", patience: Int? = 3,
        scores: [Int: Double] = Self.scores, stop: StopSignal = StopSignal(), after: Int = .max
    ) throws -> LoopOutcome {
        try LinearRegressionTask.run(
            folder: folder.file(name), steps: steps, stop: stop, best: best, patience: patience, scores: scores
        ) { if $0 == after - 1 { stop.request(SIGTERM) } }
    }

    private func checkpoints(_ name: String) -> CheckpointStore { RunFolder(path: folder.file(name)).checkpoints }

    @Test func `a run ends when its metric has not risen for long, and its best checkpoint stays`() throws {
        // An equal value (step 16) is no better one: 12, 16 and 20 are three validations without.
        #expect(try run("early") == .finished(step: 20))
        #expect(try checkpoints("early").all().map(\.step) == [8, 15, 20])
        #expect(try checkpoints("early").chosen()?.step == 8)
        #expect(try checkpoints("early").latest()?.step == 20)
        // Once it has ended, it stays ended.
        #expect(try run("early") == .finished(step: 20))
    }

    @Test func `without patience a run goes to its end`() throws {
        #expect(try run("patient", patience: nil) == .finished(step: 28))
        #expect(try checkpoints("patient").all().map(\.step) == [8, 25, 28])
        #expect(try checkpoints("patient").chosen()?.step == 8)
    }

    @Test func `the untrained weights can be the best`() throws {
        try run("untrained", scores: Self.scores.mapValues { -$0 }.merging([0: 1]) { $1 })
        #expect(try checkpoints("untrained").chosen()?.step == 0)
    }

    @Test func `a loss is best when it is lowest`() throws {
        try run("loss", best: "loss", patience: nil)
        #expect(try checkpoints("loss").chosen()?.step != 0)
        for name in ["loss", "loss_generated", "centroid_distance", "median_rank"] {
            #expect(ValidationProgress.isLowerBetter(name), "\(name)")
        }
        for name in ["paired_cosine", "recall@1", "image_gain", "score"] {
            #expect(!ValidationProgress.isLowerBetter(name), "\(name)")
        }
    }

    @Test(arguments: [1, 4, 8, 9, 13, 19])
    func `a stopped and resumed run ends at the same step with the same bits`(stopAfter: Int) throws {
        try run("whole")
        let stop = StopSignal()
        #expect(try run("parts", stop: stop, after: stopAfter) == .interrupted(step: stopAfter, signal: SIGTERM))
        #expect(try run("parts") == .finished(step: 20))
        for name in ["metrics.jsonl", "checkpoints/step-000020/state.json", "checkpoints/step-000008/state.json"] {
            #expect(try contents(folder.file("whole/\(name)")) == contents(folder.file("parts/\(name)")), "\(name)")
        }
        #expect(try checkpoints("parts").chosen()?.step == 8)
    }

    @Test func `the log has the difference to the training loss`() throws {
        try run("difference", steps: 8, best: nil, patience: nil)
        let text = try String(contentsOfFile: folder.file("difference/metrics.jsonl"), encoding: .utf8)
        let lines = try text.split(separator: "\n").map {
            try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Double])
        }
        #expect(lines[0]["validation/loss_minus_training"] == nil)
        for end in [4, 8] {
            let training = lines.filter { $0["loss"] != nil && ((end - 3)...end).contains(Int($0["step"] ?? -1)) }
            #expect(training.count == 4)
            let mean = training.reduce(0) { $0 + ($1["loss"] ?? 0) } / 4
            let validation = try #require(lines.first { $0["step"] == Double(end) && $0["validation/loss"] != nil })
            let expected = try #require(validation["validation/loss"]) - mean
            #expect(abs(try #require(validation["validation/loss_minus_training"]) - expected) < 1e-12)
        }
    }

    @Test func `a metric that is not measured is named before the first step`() throws {
        #expect(throws: TrainingError.noBestMetric(name: "cosine", known: ["loss", "score"])) {
            try run("unknown", best: "cosine")
        }
        #expect(
            "\(TrainingError.noBestMetric(name: "cosine", known: ["loss", "score"]))"
                == "training.bestMetric is 'cosine', which validation does not measure; it measures loss, score")
        #expect(
            "\(TrainingError.noBestMetric(name: "loss", known: []))"
                == "training.bestMetric is 'loss', and there are no validation pairs; give some with --validation")
    }

    @Test func `a best checkpoint that is gone is not replaced in silence`() throws {
        try run("gone")
        try FileSystem.remove(folder.file("gone/checkpoints/step-000008"))
        #expect(throws: TrainingError.self) { try checkpoints("gone").chosen() }
    }

    @Test func `settings that do not fit are refused`() throws {
        func refused(_ change: (inout TrainingSettings) -> Void, _ key: String) -> Bool {
            var settings = TrainingSettings(steps: 5, batchSize: 4, learningRate: 1, schedule: .constant)
            change(&settings)
            do {
                try settings.validate(RecipeCheck(source: "test"))
                return false
            } catch { return "\(error)".contains("'\(key)'") }
        }
        #expect(refused({ $0.patience = 3 }, "training.bestMetric"))
        #expect(refused({ ($0.bestMetric, $0.patience) = ("loss", 0) }, "training.patience"))
        #expect(refused({ ($0.bestMetric, $0.validationEvery) = ("loss", 0) }, "training.validationEvery"))
        #expect(!refused({ ($0.bestMetric, $0.patience) = ("loss", 1) }, ""))
    }
}
