import Files
import Foundation
import TestSupport
import Testing

@testable import Safetensors

/// Broken files, each with its own error and text.
@Suite struct FileErrorTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let bytes: [UInt8]
        let text: String
        var testDescription: String { name }

        init(_ name: String, _ header: String, data: Int = 0, _ text: String) {
            self.name = name
            bytes = fileBytes(header: Array(header.utf8), data: data)
            self.text = text
        }

        init(_ name: String, bytes: [UInt8], _ text: String) {
            self.name = name
            self.bytes = bytes
            self.text = text
        }
    }

    static func entry(_ name: String, _ type: String = "F32", _ shape: String = "[2]", _ offsets: String = "[0,8]")
        -> String
    {
        #""\#(name)":{"dtype":"\#(type)","shape":\#(shape),"data_offsets":\#(offsets)}"#
    }

    static let cases: [Case] = [
        Case(
            "empty file", bytes: [],
            "'F': a safetensors file starts with 8 bytes of header length, the file has 0; is it complete?"),
        Case(
            "seven bytes", bytes: [1, 2, 3, 4, 5, 6, 7],
            "'F': a safetensors file starts with 8 bytes of header length, the file has 7; is it complete?"),
        Case(
            "header too large", bytes: fileBytes(header: [], data: 0, length: 100_000_001),
            "'F': header length is 100000001 bytes, the limit is 100000000; is this a safetensors file?"),
        Case(
            "header length of all ones", bytes: fileBytes(header: [], data: 0, length: .max),
            "'F': header length is 18446744073709551615 bytes, the limit is 100000000; is this a safetensors file?"),
        Case(
            "header truncated", bytes: fileBytes(header: Array("{}".utf8), data: 0, length: 40),
            "'F': header should be 40 bytes long, the file holds only 2 of them; is it complete?"),
        Case(
            "not UTF-8", bytes: fileBytes(header: [0x7B, 0x22, 0xC3, 0x28, 0x22, 0x7D], data: 0),
            "'F': header is not UTF-8 (byte 2 of the header)"),
        Case("not JSON", "{\"a\" 1}", "'F': header is not valid JSON: expected ':' at column 6"),
        Case("no text", "", "'F': header is not valid JSON: the text ends too early, at column 1"),
        Case("bad escape", #"{"\x":1}"#, "'F': header is not valid JSON: invalid escape in a string at column 3"),
        Case(
            "half a surrogate", #"{"\ud800":1}"#,
            "'F': header is not valid JSON: unpaired surrogate escape in a string at column 3"),
        Case(
            "text after the value", "{} x",
            "'F': header is not valid JSON: more text after the end of the JSON value, at column 4"),
        Case(
            "deep nesting", String(repeating: "[", count: 100_000),
            "'F': header nests deeper than 8 levels; a safetensors header needs 3"),
        Case("array", "[1]", "'F': header should be a JSON object, got an array"),
        Case("duplicate key", "{\(entry("a")),\(entry("a"))}", data: 8, "'F': header names 'a' twice"),
        Case("duplicate key by escape", "{\(entry("a")),\(entry(#"\u0061"#))}", data: 8, "'F': header names 'a' twice"),
        Case("duplicate field", #"{"a":{"dtype":"F32","dtype":"F32"}}"#, "'F': header names 'dtype' twice"),
        Case(
            "metadata no object", #"{"__metadata__":3}"#,
            "'F': __metadata__ should be an object of strings, got a number"),
        Case(
            "metadata value", #"{"__metadata__":{"k":null}}"#,
            "'F': __metadata__ entry 'k' should be a string, got null"),
        Case("entry no object", #"{"a":[1]}"#, "'F': tensor 'a' should be described by an object, got an array"),
        Case("missing dtype", #"{"a":{"shape":[],"data_offsets":[0,0]}}"#, "'F': tensor 'a' has no 'dtype'"),
        Case("missing shape", #"{"a":{"dtype":"F32","data_offsets":[0,0]}}"#, "'F': tensor 'a' has no 'shape'"),
        Case("missing offsets", #"{"a":{"dtype":"F32","shape":[]}}"#, "'F': tensor 'a' has no 'data_offsets'"),
        Case(
            "unknown field", #"{"a":{"dtype":"F32","shape":[],"strides":[]}}"#,
            "'F': tensor 'a' has the unknown field 'strides'; expected dtype, shape, data_offsets"),
        Case(
            "dtype no string", #"{"a":{"dtype":3,"shape":[],"data_offsets":[0,4]}}"#,
            "'F': tensor 'a': dtype should be a string, got a number"),
        Case(
            "unknown dtype", "{\(entry("a", "F12"))}", data: 8,
            "'F': tensor 'a' has dtype 'F12'; known are BOOL, U8, I8, F8_E5M2, F8_E4M3, I16, U16, F16, BF16, I32, U32, F32, F64, I64, U64"
        ),
        Case(
            "negative dimension", "{\(entry("a", "F32", "[-2]"))}", data: 8,
            "'F': tensor 'a': shape should be an array of integers from 0 to 9223372036854775807, got -2"),
        Case(
            "fractional dimension", "{\(entry("a", "F32", "[2.0]"))}", data: 8,
            "'F': tensor 'a': shape should be an array of integers from 0 to 9223372036854775807, got 2.0"),
        Case(
            "huge offset", "{\(entry("a", "F32", "[2]", "[0,9223372036854775808]"))}", data: 8,
            "'F': tensor 'a': data_offsets should be an array of integers from 0 to 9223372036854775807, got 9223372036854775808"
        ),
        Case(
            "three offsets", "{\(entry("a", "F32", "[2]", "[0,4,8]"))}", data: 8,
            "'F': tensor 'a': data_offsets should be [begin, end], got 3 numbers"),
        Case(
            "shape overflow", "{\(entry("a", "F32", "[4294967296,4294967296]"))}", data: 8,
            "'F': tensor 'a' has shape [4294967296, 4294967296], more bytes than 63 bits can count"),
        Case(
            "offsets reversed", "{\(entry("a", "F32", "[2]", "[8,0]"))}", data: 8,
            "'F': tensor 'a' begins at 8 and ends at 0, before its beginning"),
        Case(
            "size mismatch", "{\(entry("a", "F32", "[3]"))}", data: 8,
            "'F': tensor 'a' is F32 [3], which needs 12 bytes; data_offsets give it 8"),
        Case(
            "truncated file", "{\(entry("a"))}", data: 7,
            "'F': tensor 'a' ends at byte 8 of the data, the file holds 7; it is truncated, copy or download it again"),
        Case(
            "overlap", "{\(entry("a")),\(entry("b", "F32", "[2]", "[4,12]"))}", data: 12,
            "'F': tensor 'b' begins at 4, inside 'a', which ends at 8"),
        Case(
            "hole", "{\(entry("a")),\(entry("b", "F32", "[2]", "[12,20]"))}", data: 20,
            "'F': tensor 'b' should begin at 8, where the data before it ends, but begins at 12"),
        Case(
            "hole at the start", "{\(entry("a", "F32", "[2]", "[4,12]"))}", data: 12,
            "'F': tensor 'a' should begin at 0, where the data before it ends, but begins at 4"),
        Case("trailing bytes", "{\(entry("a"))}", data: 9, "'F': the tensors cover 8 bytes of data, the file holds 9"),
        Case("data without tensors", "{}", data: 1, "'F': the tensors cover 0 bytes of data, the file holds 1"),
    ]

    @Test(arguments: cases) func message(_ example: Case) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("x.safetensors")
        try write(example.bytes, to: path)
        let error = #expect(throws: SafetensorsError.self) { try SafetensorsFile(path: path) }
        #expect(error?.description.replacingOccurrences(of: path, with: "F") == example.text)
        #expect(error?.localizedDescription == error?.description)
    }

    @Test func openingMessages() throws {
        let folder = try TemporaryFolder()
        let missing = folder.file("none.safetensors")
        #expect(throws: FileError.cannotOpen(path: missing, reason: "No such file or directory")) {
            try SafetensorsFile(path: missing)
        }
        #expect(throws: FileError.notRegularFile(path: folder.path, got: "a folder")) {
            try SafetensorsFile(path: folder.path)
        }
    }

    @Test func accessMessages() throws {
        let file = try SafetensorsFile(path: fixture("reference.safetensors"))
        let missing = #expect(throws: SafetensorsError.self) { try file.tensor(named: "layer.f33") }
        #expect(missing == .tensorNotFound(path: file.path, tensor: "layer.f33", nearest: "layer.f32"))
        #expect(missing?.description == "'\(file.path)': no tensor 'layer.f33'; did you mean 'layer.f32'?")
        let far = #expect(throws: SafetensorsError.self) { try file.tensor(named: "quite something else") }
        #expect(far?.description == "'\(file.path)': no tensor 'quite something else'")
        let view = try file.tensor(named: "layer.f32")
        let shape = #expect(throws: SafetensorsError.self) { try view.requiring(shape: [3, 2, 5]) }
        #expect(shape?.description == "'\(file.path)': tensor 'layer.f32' should have shape [3, 2, 5], got [2, 3, 5]")
        let type = #expect(throws: SafetensorsError.self) { try view.requiring(.bfloat16) }
        #expect(type?.description == "'\(file.path)': tensor 'layer.f32' should be BF16, got F32")
        #expect(try view.requiring(shape: [2, 3, 5]).requiring(.float32).name == "layer.f32")
    }
}
