/// Reads the wire format of protocol buffers, as far as SentencePiece's files use it: numbered fields with whole numbers,
/// floats and bytes. Reference: protobuf.dev, "Encoding".
struct ProtocolBuffer {
    enum Value {
        /// A varint, or a fixed number of 64 bits.
        case number(UInt64)
        case float(Float)
        /// A string or a message within.
        case bytes(ArraySlice<UInt8>)
    }

    /// What is wrong, and at which byte.
    struct Malformed: Error {
        let reason: String
        let offset: Int
    }

    private let bytes: ArraySlice<UInt8>
    private var position: Int

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    /// The next field; nil at the end.
    /// - Throws: `Malformed`.
    mutating func next() throws(Malformed) -> (field: Int, value: Value)? {
        guard position < bytes.endIndex else { return nil }
        let start = position
        let tag = try varint()
        guard tag >> 3 > 0, tag >> 3 <= 1 << 29 else {
            throw Malformed(reason: "a field has the number \(tag >> 3)", offset: start)
        }
        let field = Int(tag >> 3)
        switch tag & 7 {
        case 0: return (field, .number(try varint()))
        case 1: return (field, .number(try fixed(8)))
        case 2:
            let count = try varint()
            guard count <= UInt64(bytes.endIndex - position) else {
                throw Malformed(reason: "field \(field) goes beyond the end", offset: start)
            }
            defer { position += Int(count) }
            return (field, .bytes(bytes[position..<position + Int(count)]))
        case 5: return (field, .float(Float(bitPattern: UInt32(try fixed(4)))))
        default: throw Malformed(reason: "field \(field) is of the unknown kind \(tag & 7)", offset: start)
        }
    }

    private mutating func varint() throws(Malformed) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard position < bytes.endIndex else {
                throw Malformed(reason: "the file ends within a number", offset: start)
            }
            let byte = bytes[position]
            position += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw Malformed(reason: "a number has more than ten bytes", offset: start)
    }

    private mutating func fixed(_ count: Int) throws(Malformed) -> UInt64 {
        guard bytes.endIndex - position >= count else {
            throw Malformed(reason: "the file ends within a number", offset: position)
        }
        var value: UInt64 = 0
        for i in 0..<count { value |= UInt64(bytes[position + i]) << UInt64(8 * i) }
        position += count
        return value
    }
}
