import Files
import ModelFolders
import StrictJSON

/// A family of tokenizers: how its folders are recognised, and how one is opened.
public struct TokenizerFamily: ModelFamily {
    public let name: String
    /// Names of `tokenizer_class`, without the ending `Fast`, that mean only this family.
    let classes: [String]
    private let recognisesFiles: @Sendable (TokenizerFiles) throws -> Bool
    private let openFiles: @Sendable (TokenizerFiles) throws -> any TextTokenizer

    init(
        name: String, classes: [String], recognises: @escaping @Sendable (TokenizerFiles) throws -> Bool,
        open: @escaping @Sendable (TokenizerFiles) throws -> any TextTokenizer
    ) {
        self.name = name
        self.classes = classes
        recognisesFiles = recognises
        openFiles = open
    }

    /// A family that a program adds.
    /// - Parameter recognises: is asked before the families that come with the package.
    public init(
        name: String, recognises: @escaping @Sendable (ModelFolder) throws -> Bool,
        open: @escaping @Sendable (ModelFolder) throws -> any TextTokenizer
    ) {
        self.init(
            name: name, classes: [], recognises: { try recognises($0.folder) }, open: { try open($0.folder) })
    }

    public func recognises(_ folder: ModelFolder) throws -> Bool { try recognises(TokenizerFiles(folder)) }

    /// If the folder names a class, the class decides; otherwise the content of the files does.
    func recognises(_ files: TokenizerFiles) throws -> Bool {
        if let name = files.className, !files.isGeneric, !classes.isEmpty { return classes.contains(name) }
        return try recognisesFiles(files)
    }

    func open(_ files: TokenizerFiles) throws -> any TextTokenizer { try openFiles(files) }
}

/// Opens tokenizers of every family.
public enum TokenizerFolder {
    /// Where a new family is named.
    public static let families = FamilyList<TokenizerFamily>(
        kind: "tokenizer", [.openCLIP, .clip, .gpt2, .sigLIP, .pieces])

    /// The tokenizer in a model's folder, or in a folder of its own.
    /// - Throws: ``TokenizerError/noTokenizer(folder:)``, ``TokenizerError/unknownFamily(folder:got:known:)``, and
    ///   errors of the files.
    public static func open(_ path: String) throws -> any TextTokenizer { try open(ModelFolder(path)) }

    public static func open(_ folder: ModelFolder) throws -> any TextTokenizer {
        let files = try TokenizerFiles(folder)
        let known = families.all
        if let family = try known.first(where: { try $0.recognises(files) }) { return try family.open(files) }
        let got: String
        if let name = files.className, !files.isGeneric {
            got = "a tokenizer of class '\(printable(name))'"
        } else if let model = files.whole?.value["model"] {
            got = "a tokenizer.json with a model of type \(model["type"]?.words ?? "unknown")"
        } else if files.vocabulary != nil {
            got = "a vocab.json of an unknown kind"
        } else if let name = fileNames.first(where: folder.has), name != "vocab.json" {
            got = "a \(name)"
        } else {
            throw TokenizerError.noTokenizer(folder: folder.path)
        }
        throw TokenizerError.unknownFamily(folder: folder.path, got: got, known: known.map(\.name).sorted())
    }

    /// Whether a folder has files of a tokenizer; they may be of a family that is not read.
    public static func isThere(_ folder: ModelFolder) -> Bool { fileNames.contains(where: folder.has) }

    private static let fileNames = ["tokenizer.json", "vocab.json", "tokenizer.model", "spiece.model", "vocab.txt"]
}
