import StrictJSON

/// What `tokenizer.json` says about its pipeline, asked part by part.
///
/// Each tokenizer here implements one pipeline. So every setting must be one that it implements, or one of the named
/// settings that change no id; everything else is refused by name.
struct TokenizerPipeline {
    private let file: JSONFile
    var path: String { file.path }

    /// Checks the file as a whole and its model of byte-pair encoding.
    /// - Parameter suffix: what marks the end of words; empty for nothing.
    /// - Throws: ``TokenizerError``, `JSONFileError`.
    init(_ file: JSONFile, suffix: String) throws {
        try self.init(file)
        let model = try model(["BPE"])
        try model.require(
            [
                "dropout": [nil, .null, .number("0"), .number("0.0")],
                "continuing_subword_prefix": [nil, .null, .string("")],
                "end_of_word_suffix": suffix.isEmpty ? [nil, .null, .string("")] : [.string(suffix)],
                "ignore_merges": [nil, .null, .bool(false)],
            ],
            // Every byte must have a token, so nothing is ever unknown.
            harmless: ["vocab", "merges", "unk_token", "fuse_unk", "byte_fallback"])
    }

    /// Checks the whole.
    init(_ file: JSONFile) throws {
        self.file = file
        try Part(file: file, place: "", value: file.value).require(
            [:],
            harmless: [
                "version", "added_tokens", "model", "normalizer", "pre_tokenizer", "post_processor", "decoder",
                // Rows are cut and filled up by whoever makes a batch; the sides are asked for elsewhere.
                "truncation", "padding",
            ])
    }

    /// The model.
    /// - Throws: ``TokenizerError`` when there is none, or one of another type.
    func model(_ supported: [String]) throws(TokenizerError) -> Part {
        guard let model = part("model") else { throw TokenizerError.missing(path: file.path, field: "model") }
        try model.requireType(supported)
        return model
    }

    /// A part of the pipeline; nil when it is absent or null.
    func part(_ key: String) -> Part? {
        guard let value = file.value[key], value != .null else { return nil }
        return Part(file: file, place: key, value: value)
    }

    /// The error for a part that should be there.
    func missing(_ key: String, supported: String) -> TokenizerError {
        .unsupported(path: file.path, field: key, supported: supported, got: "none")
    }

    /// A step of the pipeline, or a sequence of them.
    struct Part {
        let file: JSONFile
        /// Its key in the file.
        let place: String
        let value: JSONValue

        var type: String { value["type"]?.string ?? value.words }

        /// - Throws: ``TokenizerError/unsupported(path:field:supported:got:)``.
        func requireType(_ supported: [String]) throws(TokenizerError) {
            guard supported.contains(type) else {
                throw .unsupported(
                    path: file.path, field: "\(place) type", supported: supported.joined(separator: ", "), got: type)
            }
        }

        /// Refuses settings that are neither accepted nor harmless.
        /// - Parameter accepted: the values that a key may have; nil stands for an absent key.
        func require(_ accepted: [String: [JSONValue?]], harmless: Set<String> = []) throws(TokenizerError) {
            let prefix = place.isEmpty ? "" : "\(place)."
            for (key, values) in accepted.sorted(by: { $0.key < $1.key }) where !values.contains(value[key]) {
                throw .unsupported(
                    path: file.path, field: prefix + key,
                    supported: values.compactMap(\.self?.words).joined(separator: ", "),
                    got: value[key]?.words ?? "absent")
            }
            for member in value.members ?? []
            where member.key != "type" && accepted[member.key] == nil && !harmless.contains(member.key) {
                throw .unsupported(
                    path: file.path, field: prefix + member.key, supported: "none", got: member.value.words)
            }
        }

        /// The steps of a sequence, which must be of these types in this order.
        func steps(_ key: String, types: [String]) throws(TokenizerError) -> [Part] {
            try requireType(["Sequence"])
            try require([:], harmless: [key])
            let steps = (value[key]?.array ?? []).enumerated().map {
                Part(file: file, place: "\(place).\(key)[\($0)]", value: $1)
            }
            guard steps.map(\.type) == types else {
                throw .unsupported(
                    path: file.path, field: place, supported: "\(types.joined(separator: ", ")) in this order",
                    got: steps.map(\.type).joined(separator: ", "))
            }
            return steps
        }

        /// Splits into words by the pattern of GPT-2 and gives bytes their characters.
        func requireByteLevel() throws(TokenizerError) {
            try requireType(["ByteLevel"])
            try require(
                ["add_prefix_space": [.bool(false)], "use_regex": [nil, .bool(true)]], harmless: ["trim_offsets"])
        }

        /// The special tokens that a post-processor puts before and after a single text; nil if it has another form.
        var template: (before: [String], after: [String])? {
            switch type {
            case "ByteLevel": return ([], [])
            case "RobertaProcessing":
                guard let start = value["cls"]?.array?.first?.string, let end = value["sep"]?.array?.first?.string
                else {
                    return nil
                }
                return ([start], [end])
            case "TemplateProcessing":
                guard let pieces = value["single"]?.array,
                    let text = pieces.firstIndex(where: { $0["Sequence"] != nil })
                else { return nil }
                let names = pieces.map { $0["SpecialToken"]?["id"]?.string }
                guard names.indices.allSatisfy({ (names[$0] == nil) == ($0 == text) }) else { return nil }
                return (names[..<text].compactMap(\.self), names[(text + 1)...].compactMap(\.self))
            default: return nil
            }
        }
    }
}
