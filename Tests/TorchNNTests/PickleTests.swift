import Files
import TestSupport
import Testing
import Torch

@testable import TorchNN

/// State dicts as training programs save them (Fixtures/make_torchnn_fixtures.py): one rule for every reader of `.pt`, `.pth`
/// and `.bin`.
@Suite struct PickleTests {
    private func path(_ name: String) -> String { fixture("pickles/\(name).pt") }

    /// - Returns: what the source is called beyond its path.
    @Test(arguments: [
        ("alone", ""), ("parameters", ""), ("state_dict", " ('state_dict')"), ("model", " ('model')"),
        ("model_state_dict", " ('model_state_dict')"), ("module", " ('module')"), ("parallel", " without 'module.'"),
        ("compiled", " without '_orig_mod.'"),
        ("parallel-compiled", " ('model') without 'module.' without '_orig_mod.'"), ("averaged", " ('model')"),
    ])
    func wrappedStateDictsAreFound(name: String, said: String) throws {
        let weights = try Weights(stateDict: path(name))
        #expect(weights.source == path(name) + said)
        #expect(weights.entries.keys.sorted() == ["bias", "weight"])
        #expect(weights["weight"]?.shape == [3, 2])
        #expect(weights["weight"]?.tensor().contiguous().array(of: Float.self) == [0, 1, 2, 3, 4, 5])
        let layer = Linear(2, 3)
        try layer.load(weights)
        #expect(layer.bias!.array(of: Float.self) == [0, 0, 0])
    }

    /// A prefix that not every name has belongs to the names.
    @Test func aPrefixOfSomeNamesStays() throws {
        let weights = try Weights(stateDict: path("parallel-in-part"))
        #expect(weights.entries.keys.sorted() == ["head", "module.bias", "module.weight"])
    }

    @Test func whatIsAmbiguousIsRefused() {
        #expect(
            message { _ = try Weights(stateDict: path("two")) }
                == "\(path("two")) holds state dicts under 'model' and 'state_dict'; save the one that is meant by itself"
        )
        let expected =
            ", expected a state dict: names and tensors alone, or one under 'state_dict', 'model', 'model_state_dict', "
            + "'module'"
        #expect(
            message { _ = try Weights(stateDict: path("other-name")) }
                == "\(path("other-name")) holds a dictionary under 'net'\(expected) (dictionaries in the file: net)")
        #expect(
            message { _ = try Weights(stateDict: path("beside")) }
                == "\(path("beside")) holds a whole number under 'epoch'\(expected)")
    }
}

/// Files that are made to exhaust the machine, built here byte by byte.
@Suite struct HostilePickleTests {
    private func refusal(of pickle: [UInt8], storage: [UInt8] = []) throws -> String {
        let folder = try TemporaryFolder()
        var records: [(String, [UInt8])] = [("data.pkl", pickle), ("version", Array("3\n".utf8))]
        if !storage.isEmpty { records.append(("data/0", storage)) }
        try folder.write(storedZip(records.map { ("archive/\($0.0)", $0.1) }), to: "a.pt")
        let path = folder("a.pt")
        return message { _ = try Weights(stateDict: path) }.replacing("'\(path)': ", with: "")
    }

    /// SHORT_BINUNICODE
    private func text(_ text: String) -> [UInt8] { [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) }
    private func whole(_ number: Int) -> [UInt8] { [0x4A] + littleEndian(Int32(number)) }  // BININT
    private func global(_ module: String, _ name: String) -> [UInt8] { [0x63] + Array("\(module)\n\(name)\n".utf8) }
    private func tuple(_ parts: [[UInt8]]) -> [UInt8] { [0x28] + parts.joined() + [0x74] }
    /// `('storage', torch.FloatStorage, '0', 'cpu', count)`
    private func storage(_ count: Int) -> [UInt8] {
        let id = [text("storage"), global("torch", "FloatStorage"), text("0"), text("cpu"), whole(count)]
        return tuple(id) + [0x51]  // BINPERSID
    }
    /// A tensor over that storage.
    private func tensor(_ count: Int, shape: [Int], strides: [Int]) -> [UInt8] {
        let hooks = global("collections", "OrderedDict") + [0x29, 0x52]  // EMPTY_TUPLE, REDUCE
        let arguments = [
            storage(count), whole(0), tuple(shape.map(whole)), tuple(strides.map(whole)), [0x89], hooks,
        ]
        return global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments) + [0x52]
    }
    private func dict(_ value: [UInt8]) -> [UInt8] { [0x80, 2, 0x7D] + text("w") + value + [0x73, 0x2E] }

    /// The writer of this test is read at all.
    @Test func anHonestFileIsRead() throws {
        #expect(
            try refusal(
                of: dict(tensor(4, shape: [2, 2], strides: [2, 1])), storage: [UInt8](repeating: 0, count: 16)) == "")
    }

    /// Hundreds of thousands of containers in each other, a few bytes for each.
    @Test(arguments: ["lists", "dictionaries", "tuples"])
    func deepNesting(of what: String) throws {
        let depth = 300_000
        func times(_ bytes: [UInt8]) -> [UInt8] { (0..<depth).flatMap { _ in bytes } }
        let nested: [UInt8] =
            switch what {
            case "lists": [0x5D] + times([0x5D]) + times([0x61])  // EMPTY_LIST, APPEND
            case "dictionaries": [0x7D] + times([0x4B, 1, 0x7D]) + times([0x73])  // EMPTY_DICT, BININT1, SETITEM
            default: [0x29] + times([0x85])  // EMPTY_TUPLE, TUPLE1
            }
        let kind = what == "dictionaries" ? "a dictionary" : "a list"
        #expect(try refusal(of: [0x80, 2] + nested + [0x2E]).hasPrefix("the file holds \(kind)"))
        // As a value, which is refused by what it is.
        #expect(try refusal(of: dict(nested)).contains(" holds \(kind) under 'w', expected a state dict"))
    }

    @Test func sizesAreCheckedAgainstTheFile() throws {
        let bytes = [UInt8](repeating: 0, count: 16)
        // 16 TB out of one number, by strides of zero.
        let huge = try refusal(of: dict(tensor(4, shape: [2_000_000_000, 2000], strides: [0, 0])), storage: bytes)
        #expect(
            huge.hasPrefix("the pickle makes a tensor of shape 2000000000 2000, larger than the whole file of "),
            "\(huge)")
        #expect(
            try refusal(of: dict(tensor(5, shape: [2, 2], strides: [2, 1])), storage: bytes)
                == "storage 0 has 16 bytes, 5 elements belong in it")
        // Beyond the storage's end.
        #expect(try refusal(of: dict(tensor(4, shape: [2, 3], strides: [3, 1])), storage: bytes) != "")
        #expect(try refusal(of: dict(tensor(4, shape: [-1, 2], strides: [2, 1])), storage: bytes) != "")
        let shape = [Int](repeating: 1, count: 65)
        #expect(
            try refusal(of: dict(tensor(4, shape: shape, strides: shape)), storage: bytes)
                == "the pickle makes a tensor of 65 dimensions")
    }

    /// A record that the container packs a thousandfold: its size is read before it is unpacked.
    @Test func unpackedSizesAreCheckedToo() throws {
        #expect(
            message { _ = try Weights(stateDict: fixture("pickles/bomb-storage.pt")) }.contains(
                "storage 0 has 33554432 bytes, more than are left of the file's "))
        #expect(
            message { _ = try Weights(stateDict: fixture("pickles/bomb-pickle.pt")) }.contains(
                "'data.pkl' has 33554432 bytes, expected at most "))
    }

    /// One list of pairs made into dictionaries again and again; one dictionary under many names.
    @Test func repetitionIsBounded() throws {
        let start: [UInt8] = [0x80, 2, 0x7D]
        var pickle = start + text("list") + [0x5D, 0x71, 0, 0x28]  // EMPTY_LIST, BINPUT 0, MARK
        for index in 0..<200 { pickle += text("k\(index)") + whole(index) + [0x86] }
        pickle += [0x65, 0x73]  // APPENDS, SETITEM
        for index in 0..<2000 {
            pickle += text("d\(index)") + global("collections", "OrderedDict")
            pickle += [0x68, 0, 0x85, 0x52, 0x73]  // BINGET 0, TUPLE1, REDUCE, SETITEM
        }
        #expect(try refusal(of: pickle + [0x2E]) == "the pickle makes dictionaries of one list again and again")

        pickle = start + text("first") + [0x7D, 0x71, 0]
        for index in 0..<200 { pickle += text("k\(index)") + whole(index) + [0x73] }
        pickle.append(0x73)
        for index in 0..<2000 { pickle += text("d\(index)") + [0x68, 0, 0x73] }
        #expect(try refusal(of: pickle + [0x2E]) == "the file's dictionary holds another again and again")
    }

    @Test(
        arguments: [
            ("an instruction", [0x80, 2, 0x69, 0x2E], "the pickle has the instruction 105, which no state dict needs"),
            ("an empty stack", [0x80, 2, 0x2E], "the pickle takes from an empty stack"),
            ("no mark", [0x80, 2, 0x74, 0x2E], "the pickle lacks a mark"),
            ("a cut", [0x80, 2, 0x58, 0xFF, 0xFF, 0xFF, 0x7F], "the pickle ends too early"),
            ("no end", [0x80, 2, 0x7D], "the pickle ends too early"),
            ("an unknown memo", [0x80, 2, 0x68, 9, 0x2E], "the pickle recalls what it never kept"),
            ("a long number", [0x80, 2, 0x8A, 9], "the pickle has a whole number of 9 bytes"),
        ] as [(String, [UInt8], String)])
    func damage(name: String, pickle: [UInt8], text: String) throws {
        #expect(try refusal(of: pickle) == text, "\(name)")
    }

    /// Names that Swift cannot hold, and names that C cuts short.
    @Test func names() throws {
        #expect(
            try refusal(of: [0x80, 2, 0x7D, 0x8C, 1, 0xFF, 0x4B, 1, 0x73, 0x2E]).contains("a name that is no UTF-8"))
        #expect(
            try refusal(of: [0x80, 2, 0x7D, 0x8C, 1, 0, 0x4B, 1, 0x73, 0x2E])
                == "the file holds a name with a NUL character in it")
    }
}

private func littleEndian<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
}

/// A zip archive whose records are not packed, as torch.save writes it.
private func storedZip(_ records: [(name: String, bytes: [UInt8])]) -> [UInt8] {
    var (archive, directory): ([UInt8], [UInt8]) = ([], [])
    for (name, bytes) in records {
        let size = littleEndian(UInt32(bytes.count))
        var entry: [UInt8] = [20, 0] + [UInt8](repeating: 0, count: 8)  // version; flags, method, time, date
        entry += littleEndian(checksum(bytes)) + size + size + littleEndian(UInt16(name.utf8.count)) + [0, 0]
        directory += Array("PK\u{1}\u{2}".utf8) + [20, 0] + entry + [UInt8](repeating: 0, count: 10)
        directory += littleEndian(UInt32(archive.count)) + Array(name.utf8)
        archive += Array("PK\u{3}\u{4}".utf8) + entry + Array(name.utf8) + bytes
    }
    let count = littleEndian(UInt16(records.count))
    var end: [UInt8] = Array("PK\u{5}\u{6}".utf8) + [0, 0, 0, 0] + count + count
    end += littleEndian(UInt32(directory.count)) + littleEndian(UInt32(archive.count)) + [0, 0]
    return archive + directory + end
}

/// CRC-32 as zip has it.
private func checksum(_ bytes: [UInt8]) -> UInt32 {
    let table: [UInt32] = (0..<256).map { entry in
        (0..<8).reduce(UInt32(entry)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    }
    return ~bytes.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(UInt8(truncatingIfNeeded: $0) ^ $1)] }
}
