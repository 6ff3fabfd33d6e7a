import Foundation

/// What is wrong with a safetensors file, an index, or a request to read or write one.
///
/// Every case names the file; the text says what, where, expected, got, and the next step when there is one.
public enum SafetensorsError: Error, Equatable, Sendable {
    // Opening
    case noCheckpoint(folder: String)

    // Header
    case fileTooShort(path: String, got: Int)
    case headerTooLarge(path: String, got: UInt64, limit: Int)
    case headerTruncated(path: String, expected: Int, got: Int)
    case headerNotUTF8(path: String, offset: Int)
    case headerNotJSON(path: String, reason: String)
    case headerTooDeep(path: String, limit: Int)
    case headerNotObject(path: String, got: String)
    case duplicateKey(path: String, key: String)
    case metadataNotStrings(path: String, key: String?, got: String)

    // Tensor entries
    case entryNotObject(path: String, tensor: String, got: String)
    case missingField(path: String, tensor: String, field: String)
    case unknownField(path: String, tensor: String, field: String)
    case badField(path: String, tensor: String, field: String, expected: String, got: String)
    case unknownElementType(path: String, tensor: String, got: String)
    case shapeOverflow(path: String, tensor: String, shape: [Int])
    case offsetsReversed(path: String, tensor: String, begin: Int, end: Int)
    case sizeMismatch(path: String, tensor: String, type: ElementType, shape: [Int], expected: Int, got: Int)
    case dataTruncated(path: String, tensor: String, expected: Int, got: Int)
    case overlap(path: String, tensor: String, other: String, begin: Int, otherEnd: Int)
    case hole(path: String, tensor: String, expected: Int, got: Int)
    case trailingBytes(path: String, expected: Int, got: Int)

    // Access
    case tensorNotFound(path: String, tensor: String, nearest: String?)
    case wrongShape(path: String, tensor: String, expected: [Int], got: [Int])
    case wrongElementType(path: String, tensor: String, expected: ElementType, got: ElementType)

    // Sharded checkpoints
    case badIndex(path: String, reason: String)
    case unsafeShardName(path: String, tensor: String, shard: String)
    case missingShard(index: String, shard: String)
    case tensorNotInShard(index: String, tensor: String, shard: String)
    case tensorNotInIndex(index: String, tensor: String, shard: String)

    // Writing
    case duplicateTensor(path: String, tensor: String)
    case reservedName(path: String)
    case sourceSize(path: String, tensor: String, expected: Int, got: Int)
}

extension SafetensorsError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .noCheckpoint(let folder):
            "'\(folder)' holds neither model.safetensors nor model.safetensors.index.json"
                + " (PyTorch .bin files are not read: convert them with safetensors first)"
        case .fileTooShort(let path, let got):
            "'\(path)': a safetensors file starts with 8 bytes of header length, the file has \(got); is it complete?"
        case .headerTooLarge(let path, let got, let limit):
            "'\(path)': header length is \(got) bytes, the limit is \(limit); is this a safetensors file?"
        case .headerTruncated(let path, let expected, let got):
            "'\(path)': header should be \(expected) bytes long, the file holds only \(got) of them; is it complete?"
        case .headerNotUTF8(let path, let offset):
            "'\(path)': header is not UTF-8 (byte \(offset) of the header)"
        case .headerNotJSON(let path, let reason):
            "'\(path)': header is not valid JSON: \(reason)"
        case .headerTooDeep(let path, let limit):
            "'\(path)': header nests deeper than \(limit) levels; a safetensors header needs 3"
        case .headerNotObject(let path, let got):
            "'\(path)': header should be a JSON object, got \(got)"
        case .duplicateKey(let path, let key):
            "'\(path)': header names '\(key)' twice"
        case .metadataNotStrings(let path, let key, let got):
            if let key {
                "'\(path)': __metadata__ entry '\(key)' should be a string, got \(got)"
            } else {
                "'\(path)': __metadata__ should be an object of strings, got \(got)"
            }
        case .entryNotObject(let path, let tensor, let got):
            "'\(path)': tensor '\(tensor)' should be described by an object, got \(got)"
        case .missingField(let path, let tensor, let field):
            "'\(path)': tensor '\(tensor)' has no '\(field)'"
        case .unknownField(let path, let tensor, let field):
            "'\(path)': tensor '\(tensor)' has the unknown field '\(field)'; expected dtype, shape, data_offsets"
        case .badField(let path, let tensor, let field, let expected, let got):
            "'\(path)': tensor '\(tensor)': \(field) should be \(expected), got \(got)"
        case .unknownElementType(let path, let tensor, let got):
            "'\(path)': tensor '\(tensor)' has dtype '\(got)'; known are "
                + ElementType.allCases.map(\.headerName).joined(separator: ", ")
        case .shapeOverflow(let path, let tensor, let shape):
            "'\(path)': tensor '\(tensor)' has shape \(shape), more bytes than 63 bits can count"
        case .offsetsReversed(let path, let tensor, let begin, let end):
            "'\(path)': tensor '\(tensor)' begins at \(begin) and ends at \(end), before its beginning"
        case .sizeMismatch(let path, let tensor, let type, let shape, let expected, let got):
            "'\(path)': tensor '\(tensor)' is \(type.headerName) \(shape), which needs \(expected) bytes;"
                + " data_offsets give it \(got)"
        case .dataTruncated(let path, let tensor, let expected, let got):
            "'\(path)': tensor '\(tensor)' ends at byte \(expected) of the data, the file holds \(got);"
                + " it is truncated, copy or download it again"
        case .overlap(let path, let tensor, let other, let begin, let otherEnd):
            "'\(path)': tensor '\(tensor)' begins at \(begin), inside '\(other)', which ends at \(otherEnd)"
        case .hole(let path, let tensor, let expected, let got):
            "'\(path)': tensor '\(tensor)' should begin at \(expected), where the data before it ends, but begins at \(got)"
        case .trailingBytes(let path, let expected, let got):
            "'\(path)': the tensors cover \(expected) bytes of data, the file holds \(got)"
        case .tensorNotFound(let path, let tensor, let nearest):
            "'\(path)': no tensor '\(tensor)'" + (nearest.map { "; did you mean '\($0)'?" } ?? "")
        case .wrongShape(let path, let tensor, let expected, let got):
            "'\(path)': tensor '\(tensor)' should have shape \(expected), got \(got)"
        case .wrongElementType(let path, let tensor, let expected, let got):
            "'\(path)': tensor '\(tensor)' should be \(expected.headerName), got \(got.headerName)"
        case .badIndex(let path, let reason):
            "index '\(path)': \(reason)"
        case .unsafeShardName(let path, let tensor, let shard):
            "index '\(path)': tensor '\(tensor)' is said to be in '\(shard)'; expected a file name in the same folder"
        case .missingShard(let index, let shard):
            "index '\(index)': shard '\(shard)' is not there; download it too"
        case .tensorNotInShard(let index, let tensor, let shard):
            "index '\(index)': tensor '\(tensor)' should be in '\(shard)', which does not have it"
        case .tensorNotInIndex(let index, let tensor, let shard):
            "index '\(index)' does not list tensor '\(tensor)', which is in '\(shard)'"
        case .duplicateTensor(let path, let tensor):
            "cannot write '\(path)': tensor '\(tensor)' was given twice"
        case .reservedName(let path):
            "cannot write '\(path)': '__metadata__' is no name for a tensor"
        case .sourceSize(let path, let tensor, let expected, let got):
            "cannot write '\(path)': tensor '\(tensor)' needs \(expected) bytes, its source gave \(got)"
        }
    }
}
