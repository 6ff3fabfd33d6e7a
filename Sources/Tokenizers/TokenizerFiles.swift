import Foundation
import StrictJSON

/// What the tokenizer files of a Hugging Face folder say, in one form for both layouts.
///
/// `tokenizer.json` is read when it is there, else `vocab.json` and `merges.txt`. Every part whose meaning the tokenizer
/// would have to implement is checked against what it does implement.
struct TokenizerFiles {
    struct AddedToken: Equatable {
        let content: [UInt8]
        let id: Int
        /// Found in the normalised text instead of the text as given.
        let normalized: Bool
        let special: Bool
    }

    /// The file that vocabulary and merges come from.
    let path: String
    var vocabulary: [(token: [UInt8], id: Int)] = []
    var merges: [(left: [UInt8], right: [UInt8])] = []
    var addedTokens: [AddedToken] = []
    /// `tokenizer.json` without its vocabulary; nil for the older layout.
    var pipeline: JSONValue?
    /// Values of `tokenizer_config.json`, then `special_tokens_map.json`: `pad_token` and so on.
    private var configurations: [(path: String, value: JSONValue)] = []

    init(folder: String) throws(TokenizerError) {
        let single = folder + "/tokenizer.json"
        let vocabulary = folder + "/vocab.json"
        let merges = folder + "/merges.txt"
        let exists = FileManager.default.fileExists(atPath:)
        if exists(single) {
            path = single
            try readTokenizerJSON()
        } else if exists(vocabulary), exists(merges) {
            path = vocabulary
            self.vocabulary = try Self.vocabulary(try Self.json(vocabulary), path: vocabulary, field: "the vocabulary")
            self.merges = try Self.merges(lines: try Self.bytes(merges), path: merges)
        } else {
            throw .noTokenizer(folder: folder)
        }
        for name in ["tokenizer_config.json", "special_tokens_map.json"] where exists(folder + "/" + name) {
            configurations.append((folder + "/" + name, try Self.json(folder + "/" + name)))
        }
    }

    /// A special token such as `"pad_token"`: a string, or an object with its `content`. Nil when no file names one.
    func specialToken(_ role: String) throws(TokenizerError) -> (path: String, content: String)? {
        for (path, configuration) in configurations {
            switch configuration[role] {
            case nil, .null: continue
            case .string(let content): return (path, content)
            case .object(let members)?:
                if let content = JSONValue.object(members)["content"]?.string { return (path, content) }
                throw .missing(path: path, field: role + ".content")
            case let other?:
                throw .badField(
                    path: path, field: role, expected: "a string or an object with 'content'", got: other.kind)
            }
        }
        return nil
    }

    /// `model_max_length`, unless it is the huge number that stands for none.
    var modelMaxLength: Int? {
        for (_, configuration) in configurations {
            if let length = configuration["model_max_length"]?.integer, length > 0, length < 1 << 30 { return length }
        }
        return nil
    }

    func flag(_ name: String) -> Bool? {
        for (_, configuration) in configurations { if let flag = configuration[name]?.bool { return flag } }
        return nil
    }

    // MARK: tokenizer.json

    private mutating func readTokenizerJSON() throws(TokenizerError) {
        let document = try Self.json(path)
        guard let model = document["model"] else { throw .missing(path: path, field: "model") }
        try requireType(model, "model", ["BPE"])
        for (field, isPlain) in [
            ("dropout", model["dropout"].map { $0 == .null || $0.double == 0 } ?? true),
            (
                "continuing_subword_prefix",
                model["continuing_subword_prefix"].map { $0 == .null || $0.string == "" } ?? true
            ),
            ("byte_fallback", model["byte_fallback"]?.bool != true),
            ("ignore_merges", model["ignore_merges"]?.bool != true),
        ] where !isPlain {
            throw .unsupported(path: path, field: "model.\(field)", supported: "none", got: "set")
        }
        guard let vocabulary = model["vocab"] else { throw .missing(path: path, field: "model.vocab") }
        self.vocabulary = try Self.vocabulary(vocabulary, path: path, field: "model.vocab")
        guard let merges = model["merges"] else { throw .missing(path: path, field: "model.merges") }
        self.merges = try Self.merges(merges, path: path)
        for token in document["added_tokens"]?.array ?? [] { try readAddedToken(token) }
        pipeline = .object(
            (document.members ?? []).map { member in
                guard member.key == "model" else { return member }
                let rest = (model.members ?? []).filter { $0.key != "vocab" && $0.key != "merges" }
                return JSONMember(key: "model", value: .object(rest))
            })
    }

    private mutating func readAddedToken(_ token: JSONValue) throws(TokenizerError) {
        guard let content = token["content"]?.string, !content.isEmpty, let id = token["id"]?.integer else {
            throw .badField(
                path: path, field: "added_tokens", expected: "objects with 'content' and 'id'", got: token.kind)
        }
        for field in ["lstrip", "rstrip", "single_word"] where token[field]?.bool == true {
            throw .unsupported(path: path, field: "added token '\(content)', \(field)", supported: "false", got: "true")
        }
        let bytes = Array(content.utf8)
        addedTokens.append(
            AddedToken(
                content: bytes, id: id, normalized: token["normalized"]?.bool ?? true,
                special: token["special"]?.bool ?? false))
        if let entry = vocabulary.first(where: { $0.token == bytes }) {
            guard entry.id == id else {
                throw .badField(
                    path: path, field: "id of added token '\(content)'", expected: "\(entry.id), as in the vocabulary",
                    got: "\(id)")
            }
        } else {
            vocabulary.append((bytes, id))
        }
    }

    /// The `type` of a part of the pipeline, checked.
    func requireType(_ value: JSONValue, _ field: String, _ supported: [String]) throws(TokenizerError) {
        let type = value["type"]?.string ?? value.kind
        guard supported.contains(type) else {
            throw .unsupported(
                path: path, field: "\(field) type", supported: supported.joined(separator: ", "), got: type)
        }
    }

    // MARK: parts

    private static func vocabulary(
        _ value: JSONValue, path: String, field: String
    ) throws(TokenizerError) -> [(token: [UInt8], id: Int)] {
        guard let members = value.members else {
            throw .badField(path: path, field: field, expected: "an object of token ids", got: value.kind)
        }
        var result: [(token: [UInt8], id: Int)] = []
        result.reserveCapacity(members.count)
        for member in members {
            guard let id = member.value.integer else {
                throw .badField(
                    path: path, field: "id of '\(member.key)'", expected: "an integer", got: member.value.kind)
            }
            result.append((Array(member.key.utf8), id))
        }
        return result
    }

    private static func merges(
        _ value: JSONValue, path: String
    ) throws(TokenizerError) -> [(left: [UInt8], right: [UInt8])] {
        guard let values = value.array else {
            throw .badField(path: path, field: "model.merges", expected: "an array", got: value.kind)
        }
        var result: [(left: [UInt8], right: [UInt8])] = []
        result.reserveCapacity(values.count)
        for (i, merge) in values.enumerated() {
            switch merge {
            case .string(let text): result.append(try pair(Array(text.utf8)[...], path: path, line: i + 1))
            case .array(let parts):
                guard parts.count == 2, let left = parts[0].string, let right = parts[1].string else { fallthrough }
                result.append((Array(left.utf8), Array(right.utf8)))
            default:
                throw .badField(
                    path: path, field: "model.merges[\(i)]", expected: "'left right' or [left, right]", got: merge.kind)
            }
        }
        return result
    }

    /// `merges.txt`: a `#version` line, then one pair per line.
    static func merges(
        lines bytes: [UInt8], path: String, limit: Int = .max
    ) throws(TokenizerError) -> [(left: [UInt8], right: [UInt8])] {
        var result: [(left: [UInt8], right: [UInt8])] = []
        for (i, line) in bytes.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            // OpenAI's file starts with its own name, quoted, before the same word.
            if i == 0, String(decoding: line, as: UTF8.self).contains("#version") { continue }
            let trimmed = line.last == 0x0D ? line.dropLast() : line
            if trimmed.isEmpty { continue }
            if result.count == limit { break }
            result.append(try pair(trimmed, path: path, line: i + 1))
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

    static func bytes(_ path: String) throws(TokenizerError) -> [UInt8] {
        do {
            return try Array(Data(contentsOf: URL(fileURLWithPath: path)))
        } catch {
            throw .cannotRead(path: path, reason: error.localizedDescription)
        }
    }

    private static func json(_ path: String) throws(TokenizerError) -> JSONValue {
        let bytes = try bytes(path)
        do throws(JSONSyntaxError) {
            return try StrictJSON.parse(bytes)
        } catch {
            throw .notJSON(path: path, reason: error.description)
        }
    }
}
