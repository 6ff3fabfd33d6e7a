// One line of a pairs manifest:
//
//   {"id": "coco-391895-0", "caption": "A man with a red helmet on a small moped.", "real": "real/391895.jpg",
//    "generated": "gen/391895-0.jpg",
//    "generator": {"model": "stable-diffusion-2-1", "seed": 91, "steps": 50, "guidance": 7.5, "scheduler": "ddim"}}

import Files
import Foundation
import StrictJSON

/// A real and a generated image of one caption.
public struct Pair: Sendable, Hashable {
    /// Unique within a manifest.
    public var id: String
    public var caption: String
    /// Relative to the manifest's folder; nil only where a reader allows it. Several pairs may share one.
    public var real: String?
    /// Relative to the manifest's folder.
    public var generated: String
    public var generator: GeneratorSettings?

    public init(
        id: String, caption: String, real: String?, generated: String, generator: GeneratorSettings? = nil
    ) {
        self.id = id
        self.caption = caption
        self.real = real
        self.generated = generated
        self.generator = generator
    }
}

/// How a generated image was made.
public struct GeneratorSettings: Sendable, Hashable {
    public var model: String
    public var seed: Int?
    public var steps: Int?
    /// Classifier-free guidance scale.
    public var guidance: Double?
    public var scheduler: String?
    /// SHA-256 over the model's files; the name alone does not say which weights they were.
    public var modelHash: String?

    public init(
        model: String, seed: Int? = nil, steps: Int? = nil, guidance: Double? = nil, scheduler: String? = nil,
        modelHash: String? = nil
    ) {
        self.model = model
        self.seed = seed
        self.steps = steps
        self.guidance = guidance
        self.scheduler = scheduler
        self.modelHash = modelHash
    }
}

extension Pair {
    /// Whether a manifest's lines must name a real image.
    public enum RealImages: Sendable, Hashable {
        case required
        /// For captions and generated images alone.
        case optional
    }

    static let keys = ["id", "caption", "real", "generated", "generator"]
    static let generatorKeys = ["model", "seed", "steps", "guidance", "scheduler", "model_sha256"]

    /// The pair of one manifest line.
    /// - Throws: ``DatasetError`` naming `path` and `line`.
    public init(
        json: UnsafeRawBufferPointer, path: String, line: Int, real realImages: RealImages = .required
    ) throws {
        let value: JSONValue
        do {
            value = try StrictJSON.parse(json, depthLimit: 4)
        } catch {
            throw DatasetError.brokenLine(path: path, line: line, reason: error.description)
        }
        let fields = try LineFields(value, prefix: "", known: Self.keys, path: path, line: line)
        id = try fields.text("id")
        caption = try fields.text("caption")
        generated = try fields.relativePath("generated")
        real =
            realImages == .optional && fields.isAbsent("real") ? nil : try fields.relativePath("real")
        guard let settings = fields["generator"] else { return }
        let inner = try LineFields(settings, prefix: "generator.", known: Self.generatorKeys, path: path, line: line)
        generator = GeneratorSettings(
            model: try inner.text("model"), seed: try inner.integer("seed"), steps: try inner.integer("steps"),
            guidance: try inner.number("guidance"),
            scheduler: inner.isAbsent("scheduler") ? nil : try inner.text("scheduler"),
            modelHash: inner.isAbsent("model_sha256") ? nil : try inner.text("model_sha256"))
    }

    /// The manifest line, without the newline: keys in the contract's order.
    public var jsonLine: String {
        var out: [UInt8] = []
        func member(_ key: String, _ text: String, first: Bool = false) {
            if !first { out.append(contentsOf: ", ".utf8) }
            StrictJSON.append(string: key, to: &out)
            out.append(contentsOf: ": ".utf8)
            StrictJSON.append(string: text, to: &out)
        }
        func raw(_ key: String, _ text: String) { out.append(contentsOf: ", \"\(key)\": \(text)".utf8) }
        out.append(UInt8(ascii: "{"))
        member("id", id, first: true)
        member("caption", caption)
        if let real { member("real", real) }
        member("generated", generated)
        if let generator {
            out.append(contentsOf: ", \"generator\": {".utf8)
            member("model", generator.model, first: true)
            if let seed = generator.seed { raw("seed", "\(seed)") }
            if let steps = generator.steps { raw("steps", "\(steps)") }
            if let guidance = generator.guidance { raw("guidance", "\(guidance)") }
            if let scheduler = generator.scheduler { member("scheduler", scheduler) }
            if let hash = generator.modelHash { member("model_sha256", hash) }
            out.append(UInt8(ascii: "}"))
        }
        out.append(UInt8(ascii: "}"))
        return String(decoding: out, as: UTF8.self)
    }
}

/// Typed access to the members of one line's object.
private struct LineFields {
    let members: [JSONMember]
    let prefix: String
    let path: String
    let line: Int

    init(_ value: JSONValue, prefix: String, known: [String], path: String, line: Int) throws {
        guard let members = value.members else {
            throw prefix.isEmpty
                ? DatasetError.lineNotObject(path: path, line: line, got: value.kind)
                : DatasetError.wrongType(
                    path: path, line: line, key: String(prefix.dropLast()), expected: "an object", got: value.kind)
        }
        for member in members where !known.contains(member.key) {
            throw DatasetError.unknownKey(path: path, line: line, key: prefix + member.key, known: known)
        }
        self.members = members
        self.prefix = prefix
        self.path = path
        self.line = line
    }

    /// The member, unless it is absent or null.
    subscript(key: String) -> JSONValue? {
        guard let value = members.first(where: { $0.key == key })?.value, value != .null else { return nil }
        return value
    }

    func isAbsent(_ key: String) -> Bool { self[key] == nil }

    /// A string with something else than white space in it.
    func text(_ key: String) throws -> String {
        guard let value = self[key] else {
            throw DatasetError.missingKey(path: path, line: line, key: prefix + key)
        }
        guard let text = value.string else { throw wrongType(key, "a string", value) }
        guard text.utf8.contains(where: { $0 > 0x20 }) else {
            throw DatasetError.emptyValue(path: path, line: line, key: prefix + key)
        }
        if let excess = TextLimit.excess(of: text) {
            throw DatasetError.wrongType(
                path: path, line: line, key: prefix + key, expected: TextLimit.expectation, got: excess)
        }
        return text
    }

    func relativePath(_ key: String) throws -> String {
        let text = try text(key)
        guard !text.utf8.contains(0) else { throw DatasetError.nulInPath(path: path, line: line, value: text) }
        guard !text.hasPrefix("/") else { throw DatasetError.unrelatedPath(path: path, line: line, value: text) }
        return text
    }

    func integer(_ key: String) throws -> Int? {
        guard let value = self[key] else { return nil }
        guard let number = value.integer else { throw wrongType(key, "a whole number", value) }
        return number
    }

    func number(_ key: String) throws -> Double? {
        guard let value = self[key] else { return nil }
        guard let number = value.double, number.isFinite else { throw wrongType(key, "a number", value) }
        return number
    }

    private func wrongType(_ key: String, _ expected: String, _ value: JSONValue) -> DatasetError {
        let got: String = if case .number(let text) = value { text } else { value.kind }
        return .wrongType(path: path, line: line, key: prefix + key, expected: expected, got: got)
    }
}
