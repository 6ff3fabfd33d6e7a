import Files
import StrictJSON

/// Vocabulary and merges of byte-pair encoding, from `tokenizer.json` or from `vocab.json` and `merges.txt`.
struct BytePairFiles {
    /// The file that holds the vocabulary.
    let path: String
    let vocabulary: [(token: [UInt8], id: Int)]
    /// The first has the lowest rank.
    let merges: [(left: [UInt8], right: [UInt8])]
}

extension BytePairFiles {
    /// - Throws: ``TokenizerError``, `JSONFileError`, `FileError`.
    init(_ files: TokenizerFiles) throws {
        path = files.path
        if let whole = files.whole {
            guard let model = try whole.object("model") else {
                throw TokenizerError.missing(path: path, field: "model")
            }
            guard let vocabulary = try model.object("vocab") else {
                throw TokenizerError.missing(path: path, field: "model.vocab")
            }
            guard let merges = model.value["merges"] else {
                throw TokenizerError.missing(path: path, field: "model.merges")
            }
            self.vocabulary = try Self.vocabulary(vocabulary)
            self.merges = try Self.merges(merges, path: path)
        } else if let vocabulary = files.vocabulary {
            self.vocabulary = try Self.vocabulary(vocabulary)
            merges = try Self.merges(lines: files.folder.file("merges.txt")) { $0.starts(with: "#version".utf8) }
        } else {
            throw TokenizerError.noTokenizer(folder: files.folder.path)
        }
    }

    /// The file of merges as OpenAI publishes it, whose first line is its name.
    static func openAIMerges(_ path: String, limit: Int) throws -> [(left: [UInt8], right: [UInt8])] {
        var isFirst = true
        return try merges(lines: path, limit: limit) { _ in
            defer { isFirst = false }
            return isFirst
        }
    }

    private static func vocabulary(_ file: JSONFile) throws(JSONFileError) -> [(token: [UInt8], id: Int)] {
        var result: [(token: [UInt8], id: Int)] = []
        let members = file.value.members ?? []
        result.reserveCapacity(members.count)
        for member in members {
            guard let id = member.value.integer else { throw file.invalid(member.key, expected: "a token id") }
            result.append((Array(member.key.utf8), id))
        }
        return result
    }

    private static func merges(
        _ value: JSONValue, path: String
    ) throws(TokenizerError) -> [(left: [UInt8], right: [UInt8])] {
        guard let values = value.array else {
            throw .badField(path: path, field: "model.merges", expected: "an array", got: value.words)
        }
        var result: [(left: [UInt8], right: [UInt8])] = []
        result.reserveCapacity(values.count)
        for (i, merge) in values.enumerated() {
            if let text = merge.string {
                result.append(try pair(Array(text.utf8)[...], path: path, line: i + 1))
            } else if let parts = merge.array, parts.count == 2, let left = parts[0].string, let right = parts[1].string
            {
                result.append((Array(left.utf8), Array(right.utf8)))
            } else {
                throw .badField(
                    path: path, field: "model.merges[\(i)]", expected: "'left right' or [left, right]", got: merge.words
                )
            }
        }
        return result
    }

    /// One pair per line.
    private static func merges(
        lines path: String, limit: Int = .max, isTitle: (ArraySlice<UInt8>) -> Bool
    ) throws -> [(left: [UInt8], right: [UInt8])] {
        let bytes = try RegularFile.bytes(path)
        try PlaceholderFile.refuse(bytes, path: path)
        var result: [(left: [UInt8], right: [UInt8])] = []
        for line in TextLines(bytes, path: path) {
            if isTitle(line.bytes) || line.bytes.isEmpty { continue }
            if result.count == limit { break }
            result.append(try pair(line.bytes, path: path, line: line.number))
        }
        return result
    }

    private static func pair(
        _ text: ArraySlice<UInt8>, path: String, line: Int
    ) throws(TokenizerError) -> (left: [UInt8], right: [UInt8]) {
        let parts = text.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
            throw .badMerge(path: path, line: line, text: String(decoding: text, as: UTF8.self))
        }
        return (Array(parts[0]), Array(parts[1]))
    }
}
