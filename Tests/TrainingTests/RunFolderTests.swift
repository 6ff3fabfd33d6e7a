import Datasets
import Files
import Foundation
import Safetensors
import Testing
import TrainingTestSupport

@testable import Training

@Suite struct RunFolderTests {
    let folder = try! TemporaryFolder()

    private func state(_ step: Int) -> TrainingState {
        TrainingState(
            step: step, sampler: .init(epoch: 1, cursor: 2), pairsSeen: 3, generators: ["g": [0, 255, 7]], skipped: [],
            metricsBytes: 0)
    }

    private func manifest(_ sources: [(role: String, path: String, hash: String)]) -> RunManifest {
        RunManifest(
            sources: sources.map { .init(role: $0.role, path: $0.path, sha256: $0.hash) }, parameterGroups: [],
            frozenElements: 0, seed: 0, device: "cpu", dtype: "float32", versions: [:], steps: 1)
    }

    @Test func aResumedRunKeepsItsSources() throws {
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        let (a, b) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
        let begun = [("pairs", "p.jsonl", a), ("model", "clip", b), ("validation", "v.jsonl", a)]
        func check(_ sources: [(String, String, String)]) -> String {
            message { try run.checkSources(manifest(sources).sources) }
        }
        // Killed before its manifest was written.
        try run.checkSources(manifest(begun).sources)
        try run.write(manifest(begun))
        try run.checkSources(manifest(begun).sources)
        // Moved, and judged by other held-out pairs.
        try run.checkSources(manifest([("pairs", "elsewhere.jsonl", a), ("model", "clip", b)]).sources)
        try run.checkSources(
            manifest([("pairs", "p.jsonl", a), ("model", "clip", b), ("validation", "w.jsonl", b)]).sources)
        #expect(
            check([("pairs", "p.jsonl", a), ("model", "other", a)])
                == "'\(run.path)' was begun with the model 'clip' (bbbbbbbbbbbb); 'other' (aaaaaaaaaaaa) was given. "
                + "Resume with the same, or choose another folder")
        #expect(
            check([("model", "clip", b)])
                == "'\(run.path)' was begun with the pairs 'p.jsonl' (aaaaaaaaaaaa); none was given. "
                + "Resume with the same, or choose another folder")
        #expect(
            check([("pairs", "p.jsonl", a), ("model", "clip", b), ("alignment run", "runs/a", a)])
                == "'\(run.path)' was begun without the alignment run 'runs/a'; leave it out")
    }

    @Test func aRunThatNeverBeganIsForgotten() throws {
        let path = folder.file("run")
        let run = try RunFolder.create(path, recipe: ToyRecipe())
        try run.write(manifest([]))
        try run.removeUnlessBegun()
        #expect(!RunFolder.exists(path) && !FileManager.default.fileExists(atPath: run.manifestPath))
        _ = try RunFolder.create(path, recipe: ToyRecipe())
        try AtomicFile.write("", to: run.metricsPath)
        try run.removeUnlessBegun()
        #expect(RunFolder.exists(path))
        try FileManager.default.removeItem(atPath: run.metricsPath)
        try run.checkpoints.write(state(1)) { try AtomicFile.write("x", to: "\($0)/weights") }
        try run.removeUnlessBegun()
        #expect(RunFolder.exists(path))
    }

    @Test func theRecipeIsKeptResolved() throws {
        let recipe = try ToyRecipe("toy", overrides: ["training.seed=9"])
        let run = try RunFolder.create(folder.file("run"), recipe: recipe)
        #expect(try run.recipe(of: ToyRecipe.self) == recipe)
        #expect(
            message { _ = try RunFolder.create(run.path, recipe: recipe) }
                == "'\(run.path)' already holds a run; continue it with --resume, or choose another folder")
        var longer = recipe
        longer.training.steps = 99
        _ = try RunFolder.resume(run.path, recipe: longer)
        #expect(try run.recipe(of: ToyRecipe.self).training.steps == 99)
        var other = longer
        other.rank = 3
        other.training.seed = 1
        #expect(
            message { _ = try RunFolder.resume(run.path, recipe: other) }
                == "'\(run.path)' was begun with another recipe; different are adapter.rank, training.seed. "
                + "Resume with the same settings, or choose another folder")
        #expect(
            message { _ = try RunFolder.resume(folder.file("none")) }
                == "'\(folder.file("none"))' holds no run to resume (no recipe.yaml); leave out --resume to begin one")
    }

    @Test func theManifestReadsBack() throws {
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        var manifest = RunManifest(
            sources: [.init(role: "pairs", path: "a.jsonl", sha256: "00", count: 3)],
            parameterGroups: [.init(name: "lora", tensors: 2, elements: 10, learningRate: 1e-4, weightDecay: 0.01)],
            frozenElements: 5, seed: 1, device: "cpu", dtype: "bfloat16", versions: ["libtorch": "2.13.0"], steps: 7)
        manifest.skipped = [SkippedSample(index: 1, id: "x", reason: "r")]
        try run.write(manifest)
        #expect(try run.manifest() == manifest)
    }

    @Test func incompleteAndDamagedCheckpointsAreNotTaken() throws {
        let store = CheckpointStore(folder: folder.file("checkpoints"))
        for step in [5, 10, 1_000_000] {
            try store.write(state(step)) { try AtomicFile.write("weights \(step)", to: "\($0)/w.bin") }
        }
        #expect(try store.latest()?.folder == folder.file("checkpoints/step-1000000"))
        // Cut short, without its state, of another name, and one that was being written.
        try AtomicFile.write("w", to: folder.file("checkpoints/step-1000000/w.bin"))
        try FileManager.default.createDirectory(
            atPath: folder.file("checkpoints/step-000020"), withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: folder.file("checkpoints/step-000010"), toPath: folder.file("checkpoints/step-000030"))
        try FileManager.default.createDirectory(
            atPath: folder.file("checkpoints/.writing-step-000040.x"), withIntermediateDirectories: true)
        #expect(try store.all().map(\.step) == [5, 10])
        let latest = try #require(try store.latest())
        let read = try store.state(of: latest)
        #expect(read.step == 10 && read.sampler == .init(epoch: 1, cursor: 2))
        #expect(try read.generatorStates(path: "") == ["g": [0, 255, 7]])
        // The same size, another content.
        try AtomicFile.write("weights 11", to: "\(latest.folder)/w.bin")
        #expect(
            message { _ = try store.state(of: latest) }
                == "checkpoint '\(latest.folder)': 'w.bin' has changed since it was written; delete that folder to resume "
                + "from the one before")
        try store.removeLeftovers()
        #expect(try !FileSystem.entries(store.folder).contains { $0.hasPrefix(".") })
    }

    /// A run without a checkpoint to use says what is wrong with the newest.
    @Test func damageIsNamed() throws {
        let path = folder.file("damaged")
        try LinearRegressionTask.run(folder: path, steps: 3)
        let store = RunFolder(path: path).checkpoints
        #expect(try store.damage() == nil)
        let latest = try #require(try store.latest())
        for other in try store.all().dropLast() { try FileSystem.remove(other.folder) }
        let file = try #require(try store.state(of: latest).files.first)
        let bytes = try RegularFile.bytes("\(latest.folder)/\(file.name)")
        func damage() throws -> String { "\(try #require(try store.damage()))" }
        let start = "checkpoint '\(latest.folder)': '\(file.name)' "
        try AtomicFile.write(bytes + [0], to: "\(latest.folder)/\(file.name)")
        #expect(
            try damage().hasPrefix("\(start)has \(bytes.count + 1) bytes, it had \(bytes.count) when it was written; "))
        try FileSystem.remove("\(latest.folder)/\(file.name)")
        #expect(try damage().hasPrefix("\(start)is missing; "))
        mkfifo("\(latest.folder)/\(file.name)", 0o600)
        #expect(
            try damage().hasPrefix(
                "\(start)cannot be used: '\(latest.folder)/\(file.name)' is a named pipe; expected a regular file; "))
        try FileSystem.remove(latest.folder)
        #expect(try store.damage() == nil)
    }

    @Test func aStepWrittenTwiceIsReplaced() throws {
        let store = CheckpointStore(folder: folder.file("checkpoints"))
        for text in ["first", "second"] {
            try store.write(state(5)) { try AtomicFile.write(text, to: "\($0)/w.bin") }
        }
        #expect(try contents("\(store.folder)/step-000005/w.bin") == Array("second".utf8))
        #expect(try FileSystem.entries(store.folder) == ["step-000005"])
    }

    @Test func noSpaceForACheckpointIsNamedAndLeavesTheLastOne() throws {
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        let task = try LinearRegressionTask()
        let settings = LoopSettings(totalSteps: 6, logEvery: 1, validationEvery: 0, checkpointEvery: 2)
        let loop = TrainingLoop(task: task, run: run, settings: settings) { position, skipped in
            try NotifyingSource(IndexSource(position: position, skipped: skipped)) { batch in
                if batch == 2 { task.saveError = FileError.outOfSpace(path: "model.safetensors", needed: 123) }
            }
        }
        #expect(
            message { try loop.run() }
                == "the checkpoint of step 4 could not be written to '\(run.path)/checkpoints/step-000004': no space left "
                + "to write 'model.safetensors' (123 bytes); free some and run the command again. The last "
                + "complete one is step 2; once the cause is mended, resume from it (--resume)")
        #expect(try FileSystem.entries(run.checkpoints.folder) == ["step-000002"])
    }

    /// /dev/full answers every write as a full disk does.
    @Test func noSpaceForMetricsIsNamedWhenACheckpointNeedsThem() throws {
        let log = try MetricsLog(path: "/dev/full")
        #expect(log.append(step: 1, [Metric("loss", 1)]) == .outOfSpace(path: "/dev/full", needed: 0))
        #expect(log.append(step: 2, [Metric("loss", 1)]) == .outOfSpace(path: "/dev/full", needed: 0))
        #expect(
            message { try log.sync() }
                == "no space left to write '/dev/full'; free some and run the command again")
    }

    /// Timings and events tell about the training; without them it is the same.
    @Test func noSpaceForTimingsStopsNothing() throws {
        try LinearRegressionTask.run(folder: folder.file("whole"), steps: 5)
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        symlink("/dev/full", run.timingsPath)
        var lines: [String] = []
        let loop = TrainingLoop(
            task: try LinearRegressionTask(), run: run,
            settings: LoopSettings(totalSteps: 5, logEvery: 1, validationEvery: 0, checkpointEvery: 2),
            progress: ProgressReporter(style: .lines, total: 5) { lines.append($0) }
        ) { position, _ in try IndexSource(position: position) }
        #expect(try loop.run() == .finished(step: 5))
        let warnings = lines.filter { $0.hasPrefix("warning: ") }
        #expect(
            warnings == [
                "warning: no space left to write '\(run.timingsPath)'; free some and run the command again. The training "
                    + "goes on without timings.jsonl and TensorBoard's events\n"
            ])
        let metrics = try RegularFile.bytes(run.metricsPath).split(separator: 0x0A)
        #expect(metrics.count == 5)
    }

    @Test func aNonFiniteLossNamesStepAndSamples() throws {
        let run = try RunFolder.create(folder.file("run"), recipe: ToyRecipe())
        let task = try LinearRegressionTask()
        task.poisonedStep = 1
        let loop = TrainingLoop(
            task: task, run: run, settings: LoopSettings(totalSteps: 3, validationEvery: 0)
        ) { position, _ in try IndexSource(position: position) }
        let text = message { try loop.run() }
        #expect(
            text.hasPrefix(
                "the loss of step 2 is inf; stopped before the optimizer step, no weight was changed. Samples: sample-")
        )
    }

    @Test func shortenedMetricsAreNoticed() throws {
        let path = folder.file("run")
        try LinearRegressionTask.run(folder: path, steps: 5)
        try AtomicFile.write("", to: "\(path)/metrics.jsonl")
        let text = message { try LinearRegressionTask.run(folder: path, steps: 9) }
        #expect(text.hasPrefix("'\(path)/metrics.jsonl' has 0 bytes, the checkpoint was written when it had "))
    }

    @Test func metricsLinesAreExactJSON() {
        let line = MetricsLog.line(
            step: 3, [Metric("a\"b", 0.1), Metric("n", .nan), Metric("big", 1e300), Metric("i", 2)])
        #expect(
            String(decoding: line, as: UTF8.self)
                == "{\"step\": 3, \"a\\\"b\": 0.1, \"n\": null, \"big\": 1e+300, \"i\": 2.0}\n")
    }

    @Test func anotherStateVersionIsRefused() throws {
        let path = try folder.write(#"{"formatVersion": 2}"#, to: "state.json")
        #expect(
            message { _ = try TrainingState.read(path: path) }
                == "checkpoint state '\(path)' cannot be used: format version 2, this program reads 1")
        let broken = try folder.write(#"{"formatVersion": 1, "step": "x"}"#, to: "state.json")
        #expect(
            message { _ = try TrainingState.read(path: broken) }
                .hasPrefix("checkpoint state '\(path)' cannot be used: "))
    }
}
