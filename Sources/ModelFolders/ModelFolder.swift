import Files
import Foundation
import StrictJSON

/// A folder that holds a model as its authors publish it: weights, `config.json`, tokenizer, preprocessing.
///
/// Every family of models opens its files through this, so that all find weights by the same rule and refuse with the
/// same words. Files are read only when they are asked for.
public struct ModelFolder: Sendable, Hashable {
    public let path: String

    /// - Throws: ``ModelFolderError/notAFolder(path:got:)``.
    public init(_ path: String) throws(ModelFolderError) {
        guard FileSystem.isFolder(path) else {
            throw .notAFolder(path: path, got: FileSystem.exists(path) ? "a file" : "nothing")
        }
        self.path = path.utf8.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    }

    /// The path of a file in the folder.
    public func file(_ name: String) -> String { "\(path)/\(name)" }

    public func has(_ name: String) -> Bool { FileSystem.exists(file(name)) }

    /// The folder `name` in this one.
    public func folder(_ name: String) throws(ModelFolderError) -> ModelFolder { try ModelFolder(file(name)) }

    /// A JSON object of the folder; nil when there is no such file.
    public func json(_ name: String) throws -> JSONFile? { has(name) ? try JSONFile(file(name)) : nil }

    /// The `model_type` of `config.json`; nil without one.
    public func modelType() throws -> String? { try json("config.json")?.string("model_type") }

    /// Names in the folder, sorted by bytes.
    public func names() throws -> [String] { try FileSystem.entries(path) }
}

/// A folder that cannot be opened as a model.
public enum ModelFolderError: Error, Equatable, Sendable {
    case notAFolder(path: String, got: String)
    /// A file that every model of the kind has is not there.
    case missing(path: String, expected: String)
    /// A model of a family that is not read here.
    case unknownFamily(path: String, kind: String, got: String, known: [String])
    /// The keys of the weights are in no known layout.
    case unknownLayout(file: String, expected: String)
    /// There are weight files of several variants, and none was chosen.
    case severalVariants(path: String, variants: [String])
    case badIndex(file: String, reason: String)
}

extension ModelFolderError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .notAFolder(let path, let got):
            "'\(path)' is no model folder: there is \(got); give the folder that holds the weights and their configuration"
        case .missing(let path, let expected):
            "'\(path)' is no model folder: \(expected) expected in it; give the folder that holds the weights and their "
                + "configuration"
        case .unknownFamily(let path, let kind, let got, let known):
            "'\(path)' holds \(got), which is no \(kind) that is read here; known are \(known.joined(separator: ", "))"
        case .unknownLayout(let file, let expected):
            "\(file): the tensor names are of no known layout; expected \(expected)"
        case .severalVariants(let path, let variants):
            "'\(path)' has weights in several variants (\(variants.joined(separator: ", "))); choose one with --variant"
        case .badIndex(let file, let reason):
            "\(file): \(reason)"
        }
    }
}
