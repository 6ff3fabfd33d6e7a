import CaptionFiles
import Files
import Foundation
import Safetensors

/// Word vectors in a safetensors file: exactly one tensor of two dimensions, `[words, dimension]`, in F16, BF16, F32 or
/// F64 (read as single precision), under any name. Other tensors are refused, because which one holds the vectors would
/// be a guess.
///
/// The words of the rows are in the metadata under `words`, a JSON array of strings, or in a text file beside the
/// tensor file with the same name and the ending `.txt` (`glove.safetensors`, `glove.txt`), one word per line. The
/// metadata takes precedence.
extension WordVectors {
    static let metadataKey = "words"

    init(safetensors path: String, keeping vocabulary: Set<[UInt8]>?) throws {
        let file = try SafetensorsFile(path: path)
        func fail(_ expected: String, _ got: String) -> CaptionDataError {
            .wordVectors(path: path, expected: expected, got: got)
        }
        guard file.names.count == 1, let view = file.tensors.first else {
            throw fail("one tensor [words, dimension]", "\(file.names.count) tensors")
        }
        guard view.shape.count == 2, view.shape[1] > 0 else {
            throw fail("a tensor [words, dimension]", "'\(view.name)' of shape \(view.shape)")
        }
        guard let element = Self.reader(of: view.elementType) else {
            throw fail("a tensor of F16, BF16, F32 or F64", "'\(view.name)' of \(view.elementType.headerName)")
        }
        let words = try Self.words(of: file)
        guard words.list.count == view.shape[0] else {
            throw fail("\(view.shape[0]) words in \(words.place), one per row of '\(view.name)'", "\(words.list.count)")
        }
        let dimension = view.shape[1]
        var keys: [[UInt8]] = []
        var values: [Float] = []
        view.withUnsafeBytes { bytes in
            let size = view.elementType.size
            for (row, word) in words.list.enumerated() where vocabulary?.contains(word) ?? true {
                keys.append(word)
                for index in row * dimension..<(row + 1) * dimension { values.append(element(bytes, index * size)) }
            }
        }
        var hash = try ContentHash.sha256(ofFile: path)
        // Words in a separate file are as much a part of the data as the numbers.
        if let wordsHash = words.hash { hash = ContentHash.sha256(of: "\(hash)\n\(wordsHash)") }
        try self.init(keys: keys, values: values, dimension: dimension, hash: hash, path: path)
    }

    private static func reader(of type: ElementType) -> ((UnsafeRawBufferPointer, Int) -> Float)? {
        switch type {
        case .float32:
            { Float(bitPattern: UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt32.self))) }
        case .float64:
            { Float(Double(bitPattern: UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt64.self)))) }
        case .float16:
            { Float(Float16(bitPattern: UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt16.self)))) }
        case .bfloat16:
            {
                let bits = UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: $1, as: UInt16.self))
                return Float(bitPattern: UInt32(bits) << 16)
            }
        default: nil
        }
    }

    private static func words(of file: SafetensorsFile) throws -> (list: [[UInt8]], place: String, hash: String?) {
        if let text = file.metadata[metadataKey] {
            var list: [[UInt8]] = []
            let bytes = Array(text.utf8)
            try bytes.withUnsafeBufferPointer { buffer in
                var reader = JSONReader(buffer, path: "\(file.path), metadata '\(metadataKey)'")
                try reader.readArray { reader, _ in list.append(Array(try reader.readString().utf8)) }
                try reader.finish()
            }
            return (list, "metadata '\(metadataKey)'", nil)
        }
        let beside = (file.path as NSString).deletingPathExtension + ".txt"
        guard FileSystem.exists(beside) else {
            throw CaptionDataError.wordVectors(
                path: file.path,
                expected: "the words of its rows: metadata '\(metadataKey)' (a JSON array) or the file '\(beside)' "
                    + "(one per line)",
                got: "neither")
        }
        let data = try RegularFile.bytes(beside)
        try PlaceholderFile.refuse(data, path: beside)
        let lines = TextLines(data, path: beside).map { Array($0.bytes) }
        return (lines, "'\(beside)'", ContentHash.sha256(of: data))
    }
}
