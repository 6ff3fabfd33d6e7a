import Files
import StrictJSON

// Added tokens stand in five files, and each version of the library wrote a different set of them:
//
//   tokenizer.json            added_tokens
//   tokenizer_config.json     added_tokens_decoder; bos_token and its like; extra_special_tokens; additional_special_tokens
//   special_tokens_map.json   the same names as the line above, without the first
//   added_tokens.json         token and id
//
// Which of them count, and in which order, follows transformers (`PreTrainedTokenizerBase._from_pretrained` and
// `TokenizersBackend.__init__`, version 5). With `added_tokens_decoder`, only tokenizer_config.json is read. Without
// it, special_tokens_map.json comes before tokenizer_config.json, and tokenizer.json before added_tokens.json.

/// A token as a file declares it.
struct DeclaredToken: Sendable, Equatable {
    let content: ExactString
    /// Whether the file gives only a string, which is a different declaration from an object with the same content.
    var isBare = false
    var takesSpaceBefore = false  // lstrip
    var takesSpaceAfter = false  // rstrip
    var isSingleWord = false  // single_word
    /// nil if the file does not say: then special tokens are not, and others are.
    var isNormalized: Bool?  // normalized
    var isSpecial = false  // special

    /// Whether the token is searched in the normalised text.
    var isFoundNormalized: Bool { isNormalized ?? !isSpecial }

    static func == (a: DeclaredToken, b: DeclaredToken) -> Bool {
        a.content == b.content && a.isBare == b.isBare && a.takesSpaceBefore == b.takesSpaceBefore
            && a.takesSpaceAfter == b.takesSpaceAfter && a.isSingleWord == b.isSingleWord
            && a.isFoundNormalized == b.isFoundNormalized && a.isSpecial == b.isSpecial
    }

    /// A token declared by a string.
    init(bare content: String) {
        self.content = ExactString(content)
        isBare = true
    }

    /// A token declared in `added_tokens.json`.
    init(content: String, isSpecial: Bool) {
        self.content = ExactString(content)
        self.isSpecial = isSpecial
        isNormalized = !isSpecial
    }

    /// A token declared by an object with `content` and flags.
    /// - Parameters:
    ///   - place: the key of the object in `file`, for messages.
    ///   - isSpecial: whether it is a special token, whatever the object says; if nil, the object decides.
    /// - Throws: `JSONFileError`.
    init(
        _ object: JSONValue, at place: String, of file: JSONFile, isSpecial: Bool? = nil
    ) throws(JSONFileError) {
        func flag(_ key: String) throws(JSONFileError) -> Bool? {
            guard let value = object[key], value != .null else { return nil }
            guard let flag = value.bool else {
                throw .invalidValue(
                    file: file.path, key: "\(place).\(key)", expected: "true or false", got: value.words)
            }
            return flag
        }
        guard object.members != nil, let content = object["content"]?.string, !content.isEmpty else {
            throw .invalidValue(
                file: file.path, key: place, expected: "an object with a 'content' that is not empty", got: object.words
            )
        }
        self.content = ExactString(content)
        takesSpaceBefore = try flag("lstrip") ?? false
        takesSpaceAfter = try flag("rstrip") ?? false
        isSingleWord = try flag("single_word") ?? false
        isNormalized = try flag("normalized")
        let declared = try flag("special") ?? false
        self.isSpecial = isSpecial ?? declared
    }
}

/// What the files of a folder say about added and special tokens.
struct TokenDeclarations {
    /// In the order in which they are added; a later token with the same content replaces the flags of an earlier one.
    private(set) var added: [DeclaredToken] = []
    /// The standard special tokens, and further ones of the model, by their key.
    private(set) var named: [(key: ExactString, token: DeclaredToken)] = []

    /// The standard keys of special tokens, in transformers' order.
    static let standardKeys = [
        "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
    ]

    /// Special tokens by their key.
    init(special: KeyValuePairs<String, String>) {
        named = special.map { (ExactString($0), DeclaredToken(bare: $1)) }
        add([], extra: [])
    }

    /// - Parameters:
    ///   - files: the files of the folder.
    ///   - defaults: the special tokens of the tokenizer's class, for keys that are in no file.
    /// - Throws: `JSONFileError`.
    init(_ files: TokenizerFiles, defaults: [String: String]) throws(JSONFileError) {
        let configuration = files.configuration
        let decoder = try configuration?.object("added_tokens_decoder")
        let map = decoder == nil ? files.specialTokensMap : nil
        named = try Self.standard(configuration, map, defaults: files.isGeneric ? [:] : defaults)
        var extra = ExtraTokens()
        if let configuration { try extra.read(configuration) }
        if let map { try extra.read(map: map) }
        named += extra.named

        let inFile = try files.whole.map(Self.addedTokens) ?? []
        if files.isGeneric { added = inFile.map(\.token) }
        var indexed: [Int: DeclaredToken] = [:]
        if let decoder {
            for key in decoder.keys {
                guard let id = Int(key) else {
                    throw .invalidValue(
                        file: decoder.path, key: "added_tokens_decoder", expected: "token ids as keys", got: "'\(key)'")
                }
                indexed[id] = try DeclaredToken(
                    decoder.value[key] ?? .null, at: "added_tokens_decoder.\(key)", of: decoder)
            }
        } else {
            if let file = files.addedTokens {
                let special = try Self.contents(configuration, map).union(extra.contents)
                for key in file.keys {
                    guard let id = try file.integer(key) else { throw file.invalid(key, expected: "a token id") }
                    indexed[id] = DeclaredToken(content: key, isSpecial: special.contains(ExactString(key)))
                }
            }
            for (id, token) in inFile { indexed[id] = token }
        }
        add(indexed.sorted { $0.key < $1.key }.map(\.value), extra: extra.list)
    }

    /// The content of a special token; nil when nothing names one.
    func content(of key: ExactString) -> ExactString? { named.first { $0.key == key }?.token.content }

    /// Appends the tokens that are missing, and marks the named ones as special.
    private mutating func add(_ indexed: [DeclaredToken], extra: [DeclaredToken]) {
        let known = Set((added + indexed).map(\.content))
        var new = indexed
        for token in named.map(\.token) + extra where !known.contains(token.content) && !new.contains(token) {
            new.append(token)
        }
        let special = Set(named.map(\.token.content))
        added += new.map { token in
            var token = token
            if token.isBare || special.contains(token.content) { token.isSpecial = true }
            return token
        }
    }

    // MARK: Parts

    /// The standard special tokens. A key with `null` has no token; an absent key has the default.
    private static func standard(
        _ configuration: JSONFile?, _ map: JSONFile?, defaults: [String: String]
    ) throws(JSONFileError) -> [(key: ExactString, token: DeclaredToken)] {
        var result: [(key: ExactString, token: DeclaredToken)] = []
        for key in standardKeys {
            guard let file = [map, configuration].compactMap({ $0 }).first(where: { $0.value[key] != nil }) else {
                if let content = defaults[key] { result.append((ExactString(key), DeclaredToken(bare: content))) }
                continue
            }
            guard let value = file.value[key], value != .null else { continue }
            let token =
                if let content = value.string { DeclaredToken(bare: content) } else {
                    try DeclaredToken(value, at: key, of: file, isSpecial: file.path == map?.path ? true : nil)
                }
            result.append((ExactString(key), token))
        }
        return result
    }

    /// The contents of the standard special tokens that files name, for `added_tokens.json`. Objects count only in
    /// special_tokens_map.json: transformers turns those of tokenizer_config.json into tokens too late for it.
    private static func contents(_ configuration: JSONFile?, _ map: JSONFile?) throws(JSONFileError) -> Set<ExactString>
    {
        var result: Set<ExactString> = []
        for key in standardKeys {
            let value = map?.value[key] ?? configuration?.value[key]
            if let content = value?.string ?? map?.value[key]?["content"]?.string {
                result.insert(ExactString(content))
            }
        }
        return result
    }

    /// `added_tokens` of tokenizer.json.
    private static func addedTokens(_ file: JSONFile) throws(JSONFileError) -> [(id: Int, token: DeclaredToken)] {
        guard let values = try file.value("added_tokens", expected: "an array", { $0.array }) else { return [] }
        var result: [(id: Int, token: DeclaredToken)] = []
        for (index, value) in values.enumerated() {
            let place = "added_tokens[\(index)]"
            guard let id = value["id"]?.integer else {
                throw .invalidValue(
                    file: file.path, key: place, expected: "an object with 'content' and 'id'", got: value.words)
            }
            result.append((id, try DeclaredToken(value, at: place, of: file)))
        }
        return result
    }
}

/// The special tokens beside the standard ones: those in a list, and those with a key of their own (`image_token`).
private struct ExtraTokens {
    /// `extra_special_tokens`; nil if no file has such a list.
    private var extra: [DeclaredToken]?
    /// `additional_special_tokens`, the older name, which counts if there is no list under the newer one.
    private var additional: [DeclaredToken]?
    private var explicit: [(key: ExactString, token: DeclaredToken)] = []
    private var found: [(key: ExactString, token: DeclaredToken)] = []

    var list: [DeclaredToken] { extra ?? additional ?? [] }

    /// Contents that make a token of `added_tokens.json` special.
    var contents: [ExactString] { (extra ?? []).filter { $0.isBare || $0.isSpecial }.map(\.content) }

    /// Tokens found among other settings come first; of a key that occurs twice, the explicit value counts.
    var named: [(key: ExactString, token: DeclaredToken)] {
        var result = found
        for (key, token) in explicit { Self.set(key, token, in: &result) }
        return result
    }

    /// Reads tokenizer_config.json.
    mutating func read(_ file: JSONFile) throws(JSONFileError) {
        for key in file.keys where Self.isOwn(key) {
            guard let value = file.value[key] else { continue }
            if let content = value.string {
                Self.set(ExactString(key), DeclaredToken(bare: content), in: &explicit)
            } else if Self.isMarked(value) {
                Self.set(ExactString(key), try DeclaredToken(value, at: key, of: file), in: &found)
            }
        }
        additional = try Self.tokens("additional_special_tokens", of: file)
        guard let value = file.value["extra_special_tokens"] else {
            (extra, additional) = (additional, nil)
            return
        }
        if value.members?.isEmpty == false {
            try readObject(value, of: file)
        } else if let list = value.members == nil ? try Self.tokens("extra_special_tokens", of: file) : [],
            !list.isEmpty
        {
            extra = list
        } else {
            (extra, additional) = (additional ?? [], nil)
        }
    }

    /// Reads special_tokens_map.json, which comes before tokenizer_config.json.
    mutating func read(map file: JSONFile) throws(JSONFileError) {
        for key in file.keys where Self.isOwn(key) {
            guard let value = file.value[key] else { continue }
            if let content = value.string {
                Self.set(ExactString(key), DeclaredToken(bare: content), in: &found)
            } else if value.members != nil {
                Self.set(ExactString(key), try DeclaredToken(value, at: key, of: file, isSpecial: true), in: &found)
            }
        }
        if let value = file.value["extra_special_tokens"], value.members != nil {
            extra = nil
            try readObject(value, of: file)
        } else if let new = try Self.tokens("extra_special_tokens", of: file, takesPlainObjects: true) {
            extra = (extra ?? []) + new.filter { !(extra ?? []).contains($0) }
        }
        if let list = try Self.tokens("additional_special_tokens", of: file) { additional = list }
    }

    private mutating func readObject(_ value: JSONValue, of file: JSONFile) throws(JSONFileError) {
        for member in value.members ?? [] {
            let token =
                if let content = member.value.string {
                    DeclaredToken(bare: content)
                } else {
                    try DeclaredToken(member.value, at: "extra_special_tokens.\(member.key)", of: file)
                }
            Self.set(ExactString(member.key), token, in: &explicit)
        }
    }

    /// A list of tokens; nil when the key is not there.
    private static func tokens(
        _ key: String, of file: JSONFile, takesPlainObjects: Bool = false
    ) throws(JSONFileError) -> [DeclaredToken]? {
        guard let found = file.value[key] else { return nil }
        if found == .null { return [] }
        guard let values = found.array else { throw file.invalid(key, expected: "an array of tokens") }
        var result: [DeclaredToken] = []
        for (index, value) in values.enumerated() {
            if let content = value.string {
                result.append(DeclaredToken(bare: content))
                continue
            }
            guard takesPlainObjects || isMarked(value) else {
                // transformers accepts no other object either; the defaults of its flags would be a guess.
                throw .invalidValue(
                    file: file.path, key: "\(key)[\(index)]",
                    expected: "a string, or an object with \"__type\": \"AddedToken\"", got: value.words)
            }
            result.append(
                try DeclaredToken(
                    value, at: "\(key)[\(index)]", of: file, isSpecial: takesPlainObjects ? true : nil))
        }
        return result
    }

    private static func isMarked(_ value: JSONValue) -> Bool { value["__type"]?.string == "AddedToken" }

    private static func isOwn(_ key: String) -> Bool {
        key.hasSuffix("_token") && !TokenDeclarations.standardKeys.contains(key)
    }

    private static func set(
        _ key: ExactString, _ token: DeclaredToken, in list: inout [(key: ExactString, token: DeclaredToken)]
    ) {
        if let index = list.firstIndex(where: { $0.key == key }) {
            list[index].token = token
        } else {
            list.append((key, token))
        }
    }
}
