import StrictJSON

// The format (https://github.com/huggingface/safetensors#format): 8 bytes little-endian header length N, N bytes of
// JSON `{"name": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {string: string}}`, then the
// data. Offsets count from the first byte after the header; tensors lie side by side and cover the data exactly.
//
// Stricter than the reference: repeated keys and unknown fields are refused, numbers must be plain integers.

/// A checked header.
struct SafetensorsHeader: Sendable {
    struct Entry: Sendable {
        let name: String
        let type: ElementType
        let shape: [Int]
        /// Offsets into the data, which begins after the header.
        let offsets: Range<Int>
    }

    static let byteLimit = 100_000_000
    static let depthLimit = 8
    static let metadataKey = "__metadata__"

    /// In the order of their data.
    let entries: [Entry]
    let metadata: [String: String]

    /// - Parameters:
    ///   - bytes: the JSON, without the length.
    ///   - dataCount: bytes that follow it in the file.
    init(json bytes: UnsafeRawBufferPointer, dataCount: Int, path: String) throws(SafetensorsError) {
        let members = try Self.members(of: bytes, path: path)
        var entries: [Entry] = []
        entries.reserveCapacity(members.count)
        var metadata: [String: String] = [:]
        for member in members {
            if member.key.utf8.elementsEqual(Self.metadataKey.utf8) {
                metadata = try Self.metadata(member.value, path: path)
            } else {
                entries.append(try Self.entry(member, path: path))
            }
        }
        // Empty tensors share their offset with the next one, so the end and then the name decide their order.
        entries.sort {
            ($0.offsets.lowerBound, $0.offsets.upperBound) < ($1.offsets.lowerBound, $1.offsets.upperBound)
        }
        try Self.checkCoverage(entries, dataCount: dataCount, path: path)
        self.entries = entries
        self.metadata = metadata
    }

    private static func members(of bytes: UnsafeRawBufferPointer, path: String) throws(SafetensorsError) -> [JSONMember]
    {
        let document: JSONValue
        do throws(JSONSyntaxError) {
            document = try StrictJSON.parse(bytes, depthLimit: depthLimit)
        } catch {
            switch error.reason {
            case .invalidUTF8: throw .headerNotUTF8(path: path, offset: error.offset)
            case .duplicateKey(let key): throw .duplicateKey(path: path, key: key)
            case .tooDeep(let limit): throw .headerTooDeep(path: path, limit: limit)
            default: throw .headerNotJSON(path: path, reason: error.description)
            }
        }
        guard let members = document.members else { throw .headerNotObject(path: path, got: document.kind) }
        return members
    }

    private static func metadata(_ value: JSONValue, path: String) throws(SafetensorsError) -> [String: String] {
        guard let members = value.members else { throw .metadataNotStrings(path: path, key: nil, got: value.kind) }
        var result: [String: String] = [:]
        for member in members {
            guard let text = member.value.string else {
                throw .metadataNotStrings(path: path, key: member.key, got: member.value.kind)
            }
            // Keys that differ only by normalisation would be one dictionary key.
            guard result.updateValue(text, forKey: member.key) == nil else {
                throw .duplicateKey(path: path, key: member.key)
            }
        }
        return result
    }

    private static func entry(_ member: JSONMember, path: String) throws(SafetensorsError) -> Entry {
        let name = member.key
        guard let fields = member.value.members else {
            throw .entryNotObject(path: path, tensor: name, got: member.value.kind)
        }
        var typeValue: JSONValue?
        var shapeValue: JSONValue?
        var offsetsValue: JSONValue?
        for field in fields {
            switch field.key {
            case "dtype": typeValue = field.value
            case "shape": shapeValue = field.value
            case "data_offsets": offsetsValue = field.value
            default: throw .unknownField(path: path, tensor: name, field: field.key)
            }
        }
        guard let typeValue else { throw .missingField(path: path, tensor: name, field: "dtype") }
        guard let shapeValue else { throw .missingField(path: path, tensor: name, field: "shape") }
        guard let offsetsValue else { throw .missingField(path: path, tensor: name, field: "data_offsets") }

        guard let typeName = typeValue.string else {
            throw .badField(path: path, tensor: name, field: "dtype", expected: "a string", got: typeValue.kind)
        }
        guard let type = ElementType(rawValue: typeName) else {
            throw .unknownElementType(path: path, tensor: name, got: typeName)
        }
        let shape = try naturals(shapeValue, field: "shape", tensor: name, path: path)
        let offsets = try naturals(offsetsValue, field: "data_offsets", tensor: name, path: path)
        guard offsets.count == 2 else {
            throw .badField(
                path: path, tensor: name, field: "data_offsets", expected: "[begin, end]",
                got: "\(offsets.count) numbers")
        }
        guard offsets[0] <= offsets[1] else {
            throw .offsetsReversed(path: path, tensor: name, begin: offsets[0], end: offsets[1])
        }
        guard let expected = type.byteCount(shape: shape) else {
            throw .shapeOverflow(path: path, tensor: name, shape: shape)
        }
        guard offsets[1] - offsets[0] == expected else {
            throw .sizeMismatch(
                path: path, tensor: name, type: type, shape: shape, expected: expected, got: offsets[1] - offsets[0])
        }
        return Entry(name: name, type: type, shape: shape, offsets: offsets[0]..<offsets[1])
    }

    private static func naturals(
        _ value: JSONValue, field: String, tensor: String, path: String
    ) throws(SafetensorsError) -> [Int] {
        let expected = "an array of integers from 0 to \(Int.max)"
        guard let values = value.array else {
            throw .badField(path: path, tensor: tensor, field: field, expected: expected, got: value.kind)
        }
        var numbers: [Int] = []
        numbers.reserveCapacity(values.count)
        for element in values {
            guard let number = element.integer, number >= 0 else {
                var got = element.kind
                if case .number(let text) = element { got = text }
                throw .badField(path: path, tensor: tensor, field: field, expected: expected, got: got)
            }
            numbers.append(number)
        }
        return numbers
    }

    private static func checkCoverage(_ entries: [Entry], dataCount: Int, path: String) throws(SafetensorsError) {
        if let last = entries.max(by: { $0.offsets.upperBound < $1.offsets.upperBound }),
            last.offsets.upperBound > dataCount
        {
            throw .dataTruncated(path: path, tensor: last.name, expected: last.offsets.upperBound, got: dataCount)
        }
        var end = 0
        var previous = ""
        for entry in entries {
            let begin = entry.offsets.lowerBound
            if begin < end {
                throw .overlap(path: path, tensor: entry.name, other: previous, begin: begin, otherEnd: end)
            }
            if begin > end { throw .hole(path: path, tensor: entry.name, expected: end, got: begin) }
            end = entry.offsets.upperBound
            previous = entry.name
        }
        if end < dataCount { throw .trailingBytes(path: path, expected: end, got: dataCount) }
    }
}
