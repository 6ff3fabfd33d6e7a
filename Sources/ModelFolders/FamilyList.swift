import Files
import Synchronization

/// A family of models, and how its folders are recognised. How a folder is opened is up to the floor that knows the
/// kind (encoders, language models, captioners, generators).
public protocol ModelFamily: Sendable {
    /// What messages call it, such as `CLIP`.
    var name: String { get }
    /// Whether the folder holds a model of the family, judged by `model_type` and file names; weights are not opened.
    func recognises(_ folder: ModelFolder) throws -> Bool
}

/// The families of one kind: those that come with the package, and those that a program adds.
///
/// A new family is named in such a list and nowhere else. The first family that recognises a folder opens it; the one
/// added last is asked first.
public final class FamilyList<Family: ModelFamily>: Sendable {
    /// `encoder`, `language model`: the kind in messages.
    public let kind: String
    /// The files by which families are recognised, in the words of messages; a folder with none of them is no model
    /// folder.
    public let expected: String
    private let list: Mutex<[Family]>

    public init(kind: String, expecting expected: String = "config.json", _ families: [Family]) {
        self.kind = kind
        self.expected = expected
        list = Mutex(families)
    }

    public var all: [Family] { list.withLock { $0 } }

    /// Adds a family; it is asked before the others.
    public func add(_ family: Family) { list.withLock { $0.insert(family, at: 0) } }

    /// The family of a folder.
    /// - Throws: ``ModelFolderError/unknownFamily(path:kind:got:known:)``, ``ModelFolderError/missing(path:expected:)``, and
    ///   what is wrong with the folder's files.
    public func family(of folder: ModelFolder) throws -> Family {
        let families = all
        if let family = try families.first(where: { try $0.recognises(folder) }) { return family }
        func unknown(_ got: String) -> ModelFolderError {
            .unknownFamily(path: folder.path, kind: kind, got: got, known: families.map(\.name).sorted())
        }
        if let pipeline = try folder.json("model_index.json")?.string("_class_name") {
            throw unknown("a pipeline of class '\(printable(pipeline))'")
        }
        guard folder.has("config.json") else {
            throw ModelFolderError.missing(path: folder.path, expected: expected)
        }
        let type = try folder.modelType().map { "a model of type '\(printable($0))'" }
        throw unknown(type ?? "a config.json without 'model_type'")
    }
}
