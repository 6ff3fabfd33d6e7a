import Files
import Foundation
import Testing

/// One writer for every folder and file that a command writes.
@Suite(.serialized) struct LockTests {
    private let world: HostileWorld

    init() throws { world = try HostileWorld() }

    private enum Place {
        case folder(String, name: String = FolderLock.fileName)
        case file(String)
    }

    /// Another process (this one) holds the lock: the command says so at once, writes nothing, and works afterwards.
    @Test func theSecondWriterIsRefusedByName() throws {
        let commands: [(Place, [String])] = [
            (.folder("a"), world.align("a")),
            (.folder("b"), world.captioner("b")),
            (.folder("c"), world.miniature("c")),
            (.folder("d"), world.generate("d")),
            (.folder("e"), ["export", "--run", "run", "--out", "e"]),
            (.folder("f"), ["data", "unpack", "tars/000000.tar", "--out", "f"]),
            (.file("g.safetensors"), world.embed("g.safetensors")),
            (.file("h.json"), world.retrieval("h.json")),
            (.file("i.json"), world.gap("i.json")),
            (.file("j.json"), world.scores("j.json")),
            (.file("k.jsonl"), world.scores("k.json", ["--per-image", "k.jsonl"])),
            (.file("l.json"), world.captioning("l.json", run: "captioner")),
            (.file("m/predictions.jsonl"), world.captioning("m/n.json", run: "captioner")),
            (.file("o/test"), ["miniature", "render", "--split", "test", "--count", "2", "--out", "o"]),
        ]
        for made in [world.align("run"), world.captioner("captioner")] {
            let outcome = try world.run(made)
            #expect(outcome.status == 0, "\(outcome.stderr)")
        }
        let tars = try world.run(world.generate("tars", ["--format", "webdataset"]))
        #expect(tars.status == 0, "\(tars.stderr)")
        for name in ["m", "o"] { try FileSystem.createFolder(world.path(name)) }
        for (place, arguments) in commands {
            let held: (path: String, lock: AnyObject)
            switch place {
            case .folder(let folder, let name):
                try FileSystem.createFolder(world.path(folder))
                held = (folder, try FolderLock(folder: world.path(folder), name: name, owner: "a test"))
            case .file(let file): held = (file, try OutputLock(for: world.path(file), owner: "a test"))
            }
            let before = try FileSystem.files(below: world.path("."))
            try withExtendedLifetime(held.lock) {
                let second = try world.run(arguments)
                #expect(second.status == 1, "\(arguments)")
                #expect(
                    second.stderr.contains(
                        "error: '\(held.path)' is in use by a test, process \(getpid()); wait until it has ended, or "
                            + "choose another folder"), "\(arguments): \(second.stderr)")
                let after = try FileSystem.files(below: world.path("."))
                #expect(after.filter { !$0.hasPrefix("xdg") } == before.filter { !$0.hasPrefix("xdg") }, "\(arguments)")
            }
        }
        for (_, arguments) in commands {
            let outcome = try world.run(arguments)
            #expect(outcome.status == 0, "\(arguments): \(outcome.stderr)")
        }
        // Locks of files go with the work.
        #expect(
            try FileSystem.files(below: world.path(".")).filter { $0.hasSuffix(".lock") && !$0.hasSuffix("/.lock") }
                == [])
    }

    /// A demo of several seeds holds the folder of all, and each seed's own.
    @Test func oneDemoPerFolder() throws {
        let models = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Models/miniature").path
        for (held, more) in [("demo", []), ("demo", ["--seeds", "2"]), ("demo/seed-0", ["--seeds", "2"])] {
            try FileSystem.createFolder(world.path(held))
            let lock = try FolderLock(folder: world.path(held), owner: "a test")
            let second = try world.run(["demo", "--quick", "--models", models, "--out", "demo"] + more)
            #expect(second.status == 1)
            #expect(second.stderr.contains("error: '\(held)' is in use by a test"), "\(second.stderr)")
            #expect(try FileSystem.entries(world.path(held)) == [".lock"], "nothing is made")
            withExtendedLifetime(lock) {}
            try FileSystem.remove(world.path("demo"))
        }
    }

    /// Two real processes; the lock of one that was killed is none.
    @Test func aKilledWriterHindersNobody() throws {
        let first = try world.start(world.align("run", steps: 100_000))
        while first.isRunning, try world.lines("run/metrics.jsonl").count < 3 { usleep(20_000) }
        for more in [[], ["--resume"]] {
            let second = try world.run(world.align("run", more))
            #expect(second.status == 1)
            #expect(
                second.stderr.contains("'run' is in use by gmail align, process \(first.processIdentifier)"),
                "\(second.stderr)")
        }
        #expect(first.isRunning)
        let steps = try world.lines("run/metrics.jsonl")
        kill(first.processIdentifier, SIGKILL)
        first.waitUntilExit()
        // The first one's lines follow one another: nobody wrote between them.
        for (index, line) in steps.enumerated() { #expect(line.hasPrefix("{\"step\": \(index + 1), "), "\(line)") }
        let again = try world.run(world.align("run", ["--resume"]))
        #expect(!again.stderr.contains("in use"), "\(again.stderr)")
        try folderLeftBehind()
    }

    /// The file of a lock that nobody holds.
    private func folderLeftBehind() throws {
        try world.folder.write("gmail embed, process 1\n", to: ".left.safetensors.lock")
        let outcome = try world.run(world.embed("left.safetensors"))
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(!FileSystem.exists(world.path(".left.safetensors.lock")))
    }
}
