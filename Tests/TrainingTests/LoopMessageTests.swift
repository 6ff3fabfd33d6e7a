import Files
import Foundation
import Testing
import TrainingTestSupport

@testable import Training

/// When a loss is no number, what is said is what happened: before the optimizer's step, or after it.
@Suite struct LoopMessageTests {
    /// A task that makes its step without looking at the loss.
    private final class Blind: TrainingTask {
        func step(_ batch: IndexBatch, step: Int) throws -> StepReport { StepReport(loss: step == 2 ? .nan : 1) }
        func validate() throws -> [Metric] { [] }
        func save(to folder: String) throws { try AtomicFile.write("weights", to: "\(folder)/w.bin") }
        func load(from folder: String) throws {}
        var generatorStates: [String: [UInt8]] { [:] }
        func restoreGenerators(_ states: [String: [UInt8]]) throws {}
    }

    private let settings = LoopSettings(totalSteps: 6, logEvery: 1, validationEvery: 0, checkpointEvery: 1)

    @Test func aStepThatWasMadeIsSaidToBeMade() throws {
        let folder = try TemporaryFolder()
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        let loop = TrainingLoop(task: Blind(), run: run, settings: settings) { position, skipped in
            try IndexSource(position: position, skipped: skipped)
        }
        let text = message { try loop.run() }
        #expect(
            text.hasPrefix(
                "the loss of step 3 is nan, and the optimizer step was made with it; its weights are not kept, the last "
                    + "checkpoint is from before. Samples: sample-"), "\(text)")
        #expect(try run.checkpoints.latest()?.step == 2)
    }

    @Test func aStepThatWasRefusedChangedNothing() throws {
        let folder = try TemporaryFolder()
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        let task = try LinearRegressionTask()
        task.poisonedStep = 2
        let loop = TrainingLoop(task: task, run: run, settings: settings) { position, skipped in
            try IndexSource(position: position, skipped: skipped)
        }
        let text = message { try loop.run() }
        #expect(
            text.hasPrefix(
                "the loss of step 3 is inf; stopped before the optimizer step, no weight was changed. Samples: sample-"),
            "\(text)")
        #expect(text.hasSuffix(". Look at them, or lower the learning rate"))
        let kept = try LinearRegressionTask()
        try kept.load(from: try #require(try run.checkpoints.latest()).folder)
        #expect(task.model.weight.array(of: Float.self) == kept.model.weight.array(of: Float.self))
    }
}
