import Files
import Foundation
import TestSupport
import Testing

@testable import Safetensors

@Suite struct CheckpointTests {
    /// Two shards: `one` holds a, c; `two` holds b.
    private func shards() throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (file, names) in [("one", ["a", "c"]), ("two", ["b"])] {
            let tensors = names.map { name in
                SafetensorsWriter.Tensor(name: name, elementType: .uint8, shape: [1]) { emit in
                    try Array(name.utf8).withUnsafeBytes { try emit($0) }
                }
            }
            try SafetensorsWriter.write(tensors: tensors, to: folder.file("\(file).safetensors"))
        }
        return folder
    }

    private func checkpoint(_ folder: TemporaryFolder, index: String) throws -> SafetensorsCheckpoint {
        try AtomicFile.write(index, to: folder.file("model.safetensors.index.json"))
        return try SafetensorsCheckpoint(path: folder.path)
    }

    private static let map = #""weight_map":{"a":"one.safetensors","b":"two.safetensors","c":"one.safetensors"}"#

    @Test func reads() throws {
        let folder = try shards()
        let sharded = try checkpoint(folder, index: #"{"metadata":{"total_size":3},\#(Self.map)}"#)
        #expect(sharded.names == ["a", "b", "c"])
        #expect(sharded.files.count == 2)
        #expect(sharded.dataByteCount == 3)
        #expect(sharded.totalSizeMismatch == nil)
        for view in sharded.tensors { #expect(view.withUnsafeBytes({ $0[0] }) == view.name.utf8.first!) }
        #expect(sharded["d"] == nil)
        let error = #expect(throws: SafetensorsError.self) { try sharded.tensor(named: "aa") }
        #expect(error?.description == "'\(sharded.path)': no tensor 'aa'; did you mean 'a'?")

        let declared = try checkpoint(folder, index: #"{"metadata":{"total_size":4.0},\#(Self.map)}"#)
        #expect(declared.totalSizeMismatch == .init(declared: 4, actual: 3))

        // A single file wins over an index, and can be named itself.
        try SafetensorsWriter.write(tensors: [], to: folder.file("model.safetensors"))
        #expect(try SafetensorsCheckpoint(folder: folder.path).names == [])
        #expect(try SafetensorsCheckpoint(path: folder.file("two.safetensors")).names == ["b"])
        #expect(try SafetensorsCheckpoint(path: folder.file("model.safetensors.index.json")).names.count == 3)
    }

    static let messages: [(String, String)] = [
        ("{", "index 'I': the text ends too early, at column 2"),
        ("[]", "index 'I': it has no 'weight_map'"),
        (#"{"weight_map":[]}"#, "index 'I': 'weight_map' should be an object, got an array"),
        (#"{"weight_map":{}}"#, "index 'I': 'weight_map' is empty"),
        (#"{"weight_map":{"a":1}}"#, "index 'I': 'weight_map' entry 'a' should be a file name, got a number"),
        (#"{"weight_map":{"a":"x","a":"x"}}"#, "index 'I': key 'a' occurs twice in one object, again at column 24"),
        (
            #"{"weight_map":{"a":"../x"}}"#,
            "index 'I': tensor 'a' is said to be in '../x'; expected a file name in the same folder"
        ),
        (
            #"{"metadata":{"total_size":"3"},\#(map)}"#,
            "index 'I': 'metadata.total_size' should be a number, got a string"
        ),
        (#"{"weight_map":{"a":"x.safetensors"}}"#, "index 'I': shard 'x.safetensors' is not there; download it too"),
        (
            #"{"weight_map":{"a":"one.safetensors","b":"one.safetensors"}}"#,
            "index 'I': tensor 'b' should be in 'one.safetensors', which does not have it"
        ),
        (
            #"{"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#,
            "index 'I' does not list tensor 'c', which is in 'one.safetensors'"
        ),
    ]

    @Test(arguments: messages) func message(_ index: String, _ text: String) throws {
        let folder = try shards()
        let error = #expect(throws: SafetensorsError.self) { try checkpoint(folder, index: index) }
        #expect(
            error?.description.replacingOccurrences(of: folder.file("model.safetensors.index.json"), with: "I") == text)
    }

    @Test func nothingThere() throws {
        let folder = try TemporaryFolder()
        #expect(throws: SafetensorsError.noCheckpoint(folder: folder.path)) {
            try SafetensorsCheckpoint(path: folder.path)
        }
        #expect(throws: FileError.cannotOpen(path: folder.file("x"), reason: "No such file or directory")) {
            try SafetensorsCheckpoint(path: folder.file("x"))
        }
    }
}
