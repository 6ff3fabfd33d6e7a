import Files
import TestSupport
import Testing

@testable import Safetensors

@Suite struct FileTests {
    /// Every element type as Python wrote it.
    @Test func readsReferenceFile() throws {
        let file = try SafetensorsFile(path: fixture("reference.safetensors"))
        #expect(file.metadata == ["format": "pt"])
        #expect(file.names.count == 19)
        #expect(file.names == file.names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        for (name, type) in [
            ("bool", ElementType.bool), ("u8", .uint8), ("i8", .int8), ("e5m2", .float8E5M2), ("e4m3", .float8E4M3),
            ("i16", .int16), ("u16", .uint16), ("f16", .float16), ("bf16", .bfloat16), ("i32", .int32),
            ("u32", .uint32), ("f32", .float32), ("f64", .float64), ("i64", .int64), ("u64", .uint64),
        ] {
            let view = try file.tensor(named: "layer." + name)
            #expect(view.elementType == type)
            #expect(view.shape == [2, 3, 5])
            #expect(view.bytes.count == 30 * type.size)
            #expect(view.elementCount == 30)
            #expect(view.isAligned)
        }
        let floats = try file.tensor(named: "layer.f32")
        #expect(floats.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } == (0..<30).map { Float($0 + 11) })
        let longs = try file.tensor(named: "layer.i64")
        #expect(longs.withUnsafeBytes { Array($0.bindMemory(to: Int64.self)) } == (0..<30).map { Int64($0 + 13) })
        let odd = try file.tensor(named: "é \"quoted\" \\ \n\u{1}\u{7F} 名")
        #expect(odd.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) } == [1.5, -2.5])
        let scalar = try file.tensor(named: "scalar")
        #expect(scalar.shape == [])
        #expect(scalar.withUnsafeBytes { $0.load(as: Float.self) } == 3.25)
        #expect(try file.tensor(named: "zero").shape == [0, 7])
        #expect(try file.tensor(named: "zero").bytes.count == 0)
    }

    @Test func emptyFile() throws {
        let file = try SafetensorsFile(path: fixture("empty.safetensors"))
        #expect(file.names.isEmpty)
        #expect(file.dataByteCount == 0)
    }

    /// Names that are canonically equivalent but differ in bytes are two tensors.
    @Test func namesAreBytes() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("n.safetensors")
        let bytes: [UInt8] = [1, 2]
        try bytes.withUnsafeBytes { raw in
            try SafetensorsWriter.write(
                tensors: [
                    .init(name: "\u{E9}", elementType: .uint8, shape: [1], bytes: .init(rebasing: raw[0..<1])),
                    .init(name: "e\u{301}", elementType: .uint8, shape: [1], bytes: .init(rebasing: raw[1..<2])),
                ], to: path)
        }
        let file = try SafetensorsFile(path: path)
        #expect(try file.tensor(named: "\u{E9}").withUnsafeBytes { $0[0] } == 1)
        #expect(try file.tensor(named: "e\u{301}").withUnsafeBytes { $0[0] } == 2)
    }

    /// Without padding the data starts at an odd place.
    @Test func unalignedData() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("u.safetensors")
        let header = #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
        #expect((8 + header.utf8.count) % 4 == 2)
        try write(fileBytes(header: Array(header.utf8), data: 4), to: path)
        #expect(try SafetensorsFile(path: path).tensor(named: "a").isAligned == false)
    }

    /// A view keeps its memory after the file object has gone.
    @Test func viewOutlivesFile() throws {
        func view() throws -> TensorView {
            try SafetensorsFile(path: fixture("reference.safetensors")).tensor(named: "a")
        }
        let kept = try view()
        #expect(kept.withUnsafeBytes { $0[0] } == 7)
    }
}
