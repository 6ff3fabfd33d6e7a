import Foundation
import StrictJSON

/// The steps of `normalizer` in a `tokenizer.json`, as far as tokenizers made from SentencePiece's have them.
struct PieceNormalizer: Sendable {
    enum Step: Sendable {
        /// Scalar by scalar.
        case lowercase
        /// A text by another.
        case replace([UInt32], [UInt32])
        /// Runs of white space (`\s+`), or of at least two spaces (` {2,}`), by a text.
        case replaceSpaces(onlyPlain: Bool, [UInt32])
        /// Each of some characters by a text.
        case replaceAny(Set<UInt32>, [UInt32])
        case strip(left: Bool, right: Bool)
        case prepend([UInt32])
        case composed
        case rules(CharacterMap)
    }

    let steps: [Step]

    /// - Throws: ``TokenizerError`` for a step that is not implemented.
    init(_ part: TokenizerPipeline.Part?) throws(TokenizerError) {
        var steps: [Step] = []
        for part in part?.sequence("normalizers") ?? [] { steps.append(try Self.step(part)) }
        self.steps = steps
    }

    init(_ steps: [Step]) { self.steps = steps }

    /// Whether no plain space is left in a normalised text.
    var replacesSpaces: Bool {
        guard case .replace([0x20], let other)? = steps.last else { return false }
        return !other.contains(0x20)
    }

    func callAsFunction(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        utf8(steps.reduce(scalars(ofUTF8: text)) { Self.apply($1, to: $0) })
    }

    private static func apply(_ step: Step, to text: [UInt32]) -> [UInt32] {
        var output: [UInt32] = []
        output.reserveCapacity(text.count + 4)
        switch step {
        case .lowercase: for scalar in text { PythonText.appendLower(scalar, to: &output) }
        case .replace(let old, let new):
            var i = 0
            while i < text.count {
                if text[i...].starts(with: old) {
                    output += new
                    i += old.count
                } else {
                    output.append(text[i])
                    i += 1
                }
            }
        case .replaceSpaces(let onlyPlain, let new):
            var i = 0
            while i < text.count {
                var end = i
                while end < text.count, onlyPlain ? text[end] == 0x20 : CharacterClass.of(text[end]) == .space {
                    end += 1
                }
                if end - i >= (onlyPlain ? 2 : 1) {
                    output += new
                    i = end
                } else {
                    output.append(text[i])
                    i += 1
                }
            }
        case .replaceAny(let set, let new):
            for scalar in text { if set.contains(scalar) { output += new } else { output.append(scalar) } }
        case .strip(let left, let right):
            var kept = text[...]
            if left { kept = kept.drop { CharacterClass.of($0) == .space } }
            if right { while let last = kept.last, CharacterClass.of(last) == .space { kept.removeLast() } }
            return Array(kept)
        case .prepend(let mark): return text.isEmpty ? text : mark + text
        case .composed: return Normalization.composed(text)
        case .rules(let map): rewrite(text, map, &output)
        }
        return output
    }

    /// By the `tokenizers` library's reading of SentencePiece's rules: a short character as the user sees it by the shortest
    /// rule that begins it, any other scalar by scalar.
    private static func rewrite(_ text: [UInt32], _ map: CharacterMap, _ output: inout [UInt32]) {
        func becomes(_ part: [UInt8]) -> [UInt32]? {
            part.withUnsafeBufferPointer { part in
                var found: [UInt32]?
                map.prefixes(of: part, from: 0) { _, text in
                    if found == nil { found = String(decoding: text, as: UTF8.self).unicodeScalars.map(\.value) }
                }
                return found
            }
        }
        for character in String(decoding: utf8(text), as: UTF8.self) {
            let bytes = Array(character.utf8)
            if bytes.count < 6, let whole = becomes(bytes) {
                output += whole
                continue
            }
            for scalar in character.unicodeScalars { output += becomes(Array(UTF8.encode(scalar)!)) ?? [scalar.value] }
        }
    }

    // MARK: Reading

    private static func step(_ part: TokenizerPipeline.Part) throws(TokenizerError) -> Step {
        func refused(_ key: String, _ supported: String) -> TokenizerError {
            .unsupported(
                path: part.file.path, field: "\(part.place).\(key)", supported: supported,
                got: part.value[key]?.words ?? "absent")
        }
        func text(_ key: String) throws(TokenizerError) -> [UInt32] {
            guard let text = part.value[key]?.string else { throw refused(key, "a text") }
            return text.unicodeScalars.map(\.value)
        }
        func flag(_ key: String) throws(TokenizerError) -> Bool {
            guard let flag = part.value[key]?.bool else { throw refused(key, "true, false") }
            return flag
        }
        switch part.type {
        case "Lowercase":
            try part.require([:])
            return .lowercase
        case "NFC":
            try part.require([:])
            return .composed
        case "Prepend":
            try part.require([:], harmless: ["prepend"])
            return .prepend(try text("prepend"))
        case "Strip":
            try part.require([:], harmless: ["strip_left", "strip_right"])
            return .strip(left: try flag("strip_left"), right: try flag("strip_right"))
        case "Replace":
            try part.require([:], harmless: ["pattern", "content"])
            let new = try text("content")
            if let old = part.value["pattern"]?["String"]?.string, !old.isEmpty {
                return .replace(old.unicodeScalars.map(\.value), new)
            }
            switch part.value["pattern"]?["Regex"]?.string {
            case #"\s+"#?: return .replaceSpaces(onlyPlain: false, new)
            case " {2,}"?: return .replaceSpaces(onlyPlain: true, new)
            case let pattern?:
                if let set = characters(pattern) { return .replaceAny(set, new) }
                throw .unsupported(
                    path: part.file.path, field: "\(part.place).pattern",
                    supported: #"a text, \s+, " {2,}", a list of characters in brackets"#, got: "'\(pattern)'")
            case nil: throw refused("pattern", "a text, or a regular expression")
            }
        case "Precompiled":
            try part.require([:], harmless: ["precompiled_charsmap"])
            guard let text = part.value["precompiled_charsmap"]?.string, let data = Data(base64Encoded: text) else {
                throw refused("precompiled_charsmap", "base64")
            }
            return .rules(try CharacterMap([UInt8](data), path: part.file.path))
        default:
            throw .unsupported(
                path: part.file.path, field: "\(part.place) type",
                supported: "Lowercase, NFC, Prepend, Strip, Replace, Precompiled", got: part.type)
        }
    }

    /// The characters of a pattern like `[!"#\\\]]`; nil for any other pattern.
    static func characters(_ pattern: String) -> Set<UInt32>? {
        var rest = Array(pattern.unicodeScalars)
        guard rest.count > 2, rest.removeFirst() == "[", rest.removeLast() == "]", rest[0] != "^" else { return nil }
        var listed: [(scalar: Unicode.Scalar, isEscaped: Bool)] = []
        var i = 0
        while i < rest.count {
            guard rest[i] == "\\" else {
                // A class within the class, or one without an end.
                if rest[i] == "[" || rest[i] == "]" || rest[i] == "&" && i + 1 < rest.count && rest[i + 1] == "&" {
                    return nil
                }
                listed.append((rest[i], false))
                i += 1
                continue
            }
            guard i + 1 < rest.count, rest[i + 1].isASCII, !rest[i + 1].properties.isAlphabetic,
                rest[i + 1].properties.numericType == nil
            else { return nil }
            listed.append((rest[i + 1], true))
            i += 2
        }
        var set: Set<UInt32> = []
        i = 0
        while i < listed.count {
            if i + 2 < listed.count, listed[i + 1].scalar == "-", !listed[i + 1].isEscaped {
                guard listed[i].scalar <= listed[i + 2].scalar else { return nil }
                set.formUnion(listed[i].scalar.value...listed[i + 2].scalar.value)
                i += 3
            } else {
                set.insert(listed[i].scalar.value)
                i += 1
            }
        }
        return set
    }
}

extension TokenizerPipeline.Part {
    /// The steps of a sequence; a single step is one of one.
    func sequence(_ key: String) -> [TokenizerPipeline.Part] {
        guard type == "Sequence" else { return [self] }
        return (value[key]?.array ?? []).enumerated().map {
            TokenizerPipeline.Part(file: file, place: "\(place).\(key)[\($0)]", value: $1)
        }
    }
}
