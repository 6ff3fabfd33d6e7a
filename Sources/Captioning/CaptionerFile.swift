import Files
import Foundation
import StrictJSON

// What must be known of a trained captioner to use it as it was trained. The authors' `.pt` files hold none of it, and
// a wrong normalisation does not fail but only gives worse captions (CLIP_prefix_caption#33), so it is written beside
// the weights.

/// `captioner.json`: the name of the family, the number of the layout, and the keys of the family's architecture.
public struct CaptionerFile {
    public static let name = "captioner.json"
    /// The version of the file's layout; other versions are refused.
    static let formatVersion = 1
    fileprivate static let (familyKey, versionKey) = ("captioner", "format_version")

    let path: String
    private let bytes: [UInt8]
    private let keys: [String]

    /// Reads `captioner.json` in `folder` strictly: every key must be there, and no other.
    /// - Throws: `CaptioningError.badFile`, `FileError`.
    public static func read(_ folder: String) throws -> any CaptionerArchitecture {
        let path = "\(folder)/\(name)"
        guard FileSystem.exists(path) else {
            throw CaptioningError.badFile(path: path, reason: "is not there; is '\(folder)' a captioner's checkpoint?")
        }
        let bytes = try RegularFile.bytes(path)
        let file: JSONFile
        do {
            file = try JSONFile(bytes, path: path)
        } catch {
            throw CaptioningError.badFile(path: path, reason: "is no JSON object: \(error)")
        }
        let version = try file.integer(versionKey)
        guard version == formatVersion else {
            throw CaptioningError.badFile(
                path: path,
                reason: "format version \(version.map(String.init) ?? "none"), this program reads \(formatVersion)")
        }
        // Files from the time of a single family do not name it.
        let kind = try file.string(familyKey) ?? ClipCapConfiguration.family
        guard let family = CaptionerFamily.named(kind) else {
            throw CaptioningError.badFile(
                path: path,
                reason: "is of a captioner of kind '\(printable(kind))'; known are "
                    + CaptionerFamily.all.map(\.name).sorted().joined(separator: ", "))
        }
        let architecture = try family.read(
            CaptionerFile(path: path, bytes: bytes, keys: file.keys.filter { $0 != familyKey && $0 != versionKey }))
        try architecture.validate()
        return architecture
    }

    /// Writes `captioner.json` into `folder`; atomic, and byte-identical for equal content.
    public static func write(_ architecture: any CaptionerArchitecture, to folder: String) throws {
        try AtomicFile.write(text(architecture), to: "\(folder)/\(name)")
    }

    private static func text<Architecture: CaptionerArchitecture>(_ architecture: Architecture) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(WholeFile(architecture: architecture)), as: UTF8.self) + "\n"
    }

    func decode<Architecture: CaptionerArchitecture>(_ type: Architecture.Type) throws -> Architecture {
        do {
            let architecture = try JSONDecoder().decode(type, from: Data(bytes))
            // Encoding the architecture again tells which keys exist.
            let known = try JSONFile([UInt8](JSONEncoder().encode(architecture)), path: path).keys
            if let stranger = keys.first(where: { !known.contains($0) }) {
                throw CaptioningError.badFile(
                    path: path,
                    reason: "unknown key '\(printable(stranger))'; known are \(known.sorted().joined(separator: ", "))")
            }
            return architecture
        } catch let error as DecodingError {
            throw CaptioningError.badFile(path: path, reason: Self.reason(error))
        }
    }

    private static func reason(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "'\(key.stringValue)' is missing"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))' should be \(type)"
        case .dataCorrupted(let context):
            "'\(context.codingPath.map(\.stringValue).joined(separator: "."))': \(context.debugDescription)"
        @unknown default: "\(error)"
        }
    }
}

/// The architecture's keys and those of the file.
private struct WholeFile<Architecture: CaptionerArchitecture>: Encodable {
    let architecture: Architecture

    struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(_ name: String) { stringValue = name }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    func encode(to encoder: any Encoder) throws {
        try architecture.encode(to: encoder)
        var head = encoder.container(keyedBy: Key.self)
        try head.encode(Architecture.family, forKey: Key(CaptionerFile.familyKey))
        try head.encode(CaptionerFile.formatVersion, forKey: Key(CaptionerFile.versionKey))
    }
}
