import Files
import Foundation
import Testing

@testable import Training

/// A step that is reached a second time: its folder is written anew, and a process killed at any moment leaves one complete
/// checkpoint of it.
@Suite struct CheckpointWindowTests {
    private let folder: TemporaryFolder
    private let store: CheckpointStore

    init() throws {
        folder = try TemporaryFolder()
        store = CheckpointStore(folder: folder.file("checkpoints"))
    }

    private func state(_ step: Int, pairsSeen: Int) -> TrainingState {
        TrainingState(
            step: step, sampler: .init(), pairsSeen: pairsSeen, generators: [:], skipped: [], metricsBytes: 0)
    }

    private func write(_ step: Int, pairsSeen: Int) throws {
        try store.write(state(step, pairsSeen: pairsSeen)) { try AtomicFile.write("\(pairsSeen)", to: "\($0)/w.bin") }
    }

    private func seen() throws -> [Int] { try store.all().map { try store.state(of: $0).pairsSeen } }

    @Test func theNewOneTakesTheName() throws {
        try write(2, pairsSeen: 20)
        try write(4, pairsSeen: 40)
        try write(4, pairsSeen: 41)
        #expect(try seen() == [20, 41])
        #expect(try FileSystem.entries(store.folder) == ["step-000002", "step-000004"])
    }

    /// Killed between the two renames: the old one is aside, the new one not yet in place.
    @Test func theOldOneIsFoundAside() throws {
        try write(2, pairsSeen: 20)
        try write(4, pairsSeen: 40)
        try FileSystem.rename("\(store.folder)/step-000004", to: "\(store.folder)/.replaced-step-000004")
        try FileSystem.createFolder("\(store.folder)/.writing-step-000004.abc")
        #expect(try store.latest()?.step == 4)
        #expect(try seen() == [20, 40])
        try store.removeLeftovers()
        #expect(try FileSystem.entries(store.folder) == ["step-000002", "step-000004"])
        #expect(try seen() == [20, 40])
    }

    /// Killed after the second rename: both are there, and the new one counts.
    @Test func theNewOneCountsWhereBothAreThere() throws {
        try write(4, pairsSeen: 40)
        try FileSystem.rename("\(store.folder)/step-000004", to: "\(store.folder)/.replaced-step-000004")
        try write(4, pairsSeen: 41)
        #expect(try seen() == [41])
        try store.removeLeftovers()
        #expect(try FileSystem.entries(store.folder) == ["step-000004"])
        // What stood aside from an earlier time does not stop a later write.
        try FileSystem.createFolder("\(store.folder)/.replaced-step-000004")
        try write(4, pairsSeen: 42)
        #expect(try seen() == [42])
        #expect(try FileSystem.entries(store.folder) == ["step-000004"])
    }

    @Test func aFailedWriteLeavesTheOldOne() throws {
        try write(4, pairsSeen: 40)
        #expect(
            message { try store.write(state(4, pairsSeen: 41)) { _ in throw Stop() } }
                == "the checkpoint of step 4 could not be written to '\(store.folder)/step-000004': stopped. The last complete "
                + "one is step 4, from which the run goes on once the cause is mended")
        #expect(try seen() == [40])
        #expect(try FileSystem.entries(store.folder) == ["step-000004"])
    }

    private struct Stop: Error, CustomStringConvertible { let description = "stopped" }
}
