import Files
import Foundation
import TestSupport
import Testing

@testable import Safetensors

@Suite struct WriterTests {
    /// Read and written again, the reference library's file comes out byte for byte, whatever the order of the tensors.
    @Test func equalsReferenceBytes() throws {
        let folder = try TemporaryFolder()
        for name in ["reference.safetensors", "empty.safetensors"] {
            let file = try SafetensorsFile(path: fixture(name))
            defer { withExtendedLifetime(file) {} }
            var tensors = file.tensors.map {
                SafetensorsWriter.Tensor(name: $0.name, elementType: $0.elementType, shape: $0.shape, bytes: $0.bytes)
            }
            for round in 0..<3 {
                let path = folder.file("\(round).safetensors")
                try SafetensorsWriter.write(tensors: tensors, metadata: file.metadata, to: path)
                #expect(try read(path) == read(fixture(name)))
                var generator = SeededGenerator(state: UInt64(round))
                tensors.shuffle(using: &generator)
            }
        }
    }

    @Test func metadataIsSorted() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("m.safetensors")
        let metadata = Dictionary(uniqueKeysWithValues: (0..<20).map { ("key \($0)", "value\n\($0)") })
        try SafetensorsWriter.write(tensors: [], metadata: metadata, to: path)
        let first = try read(path)
        try SafetensorsWriter.write(tensors: [], metadata: metadata, to: path)
        #expect(try read(path) == first)
        #expect(try SafetensorsFile(path: path).metadata == metadata)
        #expect(
            String(decoding: first[8...], as: UTF8.self).hasPrefix(#"{"__metadata__":{"key 0":"value\n0","key 1":"#))
    }

    /// Data made in pieces is the same file, and the file can be replaced while its old content is mapped.
    @Test func streamsOverAMappedFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("s.safetensors")
        func tensor(_ first: UInt8) -> SafetensorsWriter.Tensor {
            .init(name: "w", elementType: .uint8, shape: [5, 1000]) { emit in
                for row in 0..<5 {
                    try [UInt8](repeating: first + UInt8(row), count: 1000).withUnsafeBytes { try emit($0) }
                }
            }
        }
        try SafetensorsWriter.write(tensors: [tensor(1)], to: path)
        let old = try SafetensorsFile(path: path).tensor(named: "w")
        try SafetensorsWriter.write(tensors: [tensor(100)], to: path)
        #expect(old.withUnsafeBytes { $0[4999] } == 5)
        #expect(try SafetensorsFile(path: path).tensor(named: "w").withUnsafeBytes { $0[4999] } == 104)
        #expect(try folder.contents == ["s.safetensors"])
    }

    private static let eight: [UInt8] = [0, 1, 2, 3, 4, 5, 6, 7]

    private func failure(_ tensors: (UnsafeRawBufferPointer) -> [SafetensorsWriter.Tensor]) throws -> String {
        let folder = try TemporaryFolder()
        let path = folder.file("t.safetensors")
        try write([9], to: path)
        let error = #expect(throws: (any Error).self) {
            try Self.eight.withUnsafeBytes { try SafetensorsWriter.write(tensors: tensors($0), to: path) }
        }
        // What was there stays, and no temporary file is left.
        #expect(try folder.contents == ["t.safetensors"])
        #expect(try read(path) == [9])
        return (error.map { "\($0)" } ?? "").replacingOccurrences(of: path, with: "F")
    }

    @Test func messages() throws {
        #expect(
            try failure { raw in
                [
                    .init(name: "a", elementType: .uint8, shape: [8], bytes: raw),
                    .init(name: "a", elementType: .float32, shape: [2], bytes: raw),
                ]
            } == "cannot write 'F': tensor 'a' was given twice")
        #expect(
            try failure { [.init(name: "__metadata__", elementType: .uint8, shape: [8], bytes: $0)] }
                == "cannot write 'F': '__metadata__' is no name for a tensor")
        #expect(
            try failure { [.init(name: "a", elementType: .float32, shape: [3], bytes: $0)] }
                == "cannot write 'F': tensor 'a' needs 12 bytes, its source gave 8")
        #expect(
            try failure { [.init(name: "a", elementType: .float32, shape: [1], bytes: $0)] }
                == "cannot write 'F': tensor 'a' needs 4 bytes, its source gave 8")
        #expect(
            try failure { [.init(name: "a", elementType: .float32, shape: [Int.max, 2], bytes: $0)] }
                == "'F': tensor 'a' has shape [9223372036854775807, 2], more bytes than 63 bits can count")
    }

    /// More than the device has free: refused by name and size, before the source is asked for anything.
    @Test func outOfSpace() throws {
        let text = try failure { _ in
            [.init(name: "a", elementType: .uint8, shape: [1 << 60]) { _ in Issue.record("the source was asked") }]
        }
        #expect(
            text
                == "no space left to write 'F' (\((1 << 60) + 104) bytes); free some and run the command again")
    }

    @Test func producerErrorLeavesNothing() throws {
        struct Stop: Error {}
        let folder = try TemporaryFolder()
        #expect(throws: Stop.self) {
            try SafetensorsWriter.write(
                tensors: [.init(name: "a", elementType: .uint8, shape: [4]) { _ in throw Stop() }], to: folder.file("a")
            )
        }
        #expect(try folder.contents == [])
    }

    @Test func atomicFile() throws {
        let folder = try TemporaryFolder()
        let path = folder.file(String(repeating: "n", count: 250))
        try AtomicFile.write("first", to: path)
        try AtomicFile.write("é", to: path)
        #expect(try read(path) == [0xC3, 0xA9])
        try AtomicFile.write([UInt8](), to: path)
        #expect(try read(path) == [])
        #expect(try folder.contents.count == 1)
        let error = #expect(throws: FileError.self) { try AtomicFile.write("x", to: folder.file("no/x")) }
        #expect(
            error?.description
                == "'\(folder.file("no/x"))': creating a file in '\(folder.file("no"))' failed: No such file or directory"
        )
        // The name is taken by a folder: the rename fails, the temporary file goes.
        try FileManager.default.createDirectory(atPath: folder.file("d/e"), withIntermediateDirectories: true)
        #expect(throws: FileError.self) { try AtomicFile.write("x", to: folder.file("d")) }
        #expect(try folder.contents.count == 2)
    }
}
