import TorchNN

/// For which part of a model an adapter was made, and how the adapter names the modules there.
///
/// PEFT names modules by the class that was adapted. An adapter of a whole CLIP has `vision_model.encoder.…`, and so
/// has one of `CLIPVisionModelWithProjection`, which has no text tower. Since transformers 5, one of `CLIPVisionModel`
/// or `CLIPTextModel` has only `encoder.…`. One of `GPT2Model` has `h.0.…` where the language model has
/// `transformer.h.0.…`.
struct AdapterView: Equatable {
    /// The module that the adapter takes for the whole model: a child of the model, or `""` for the model itself.
    let root: String
    /// Children of the model that the adapter knows; nil means all of them.
    let parts: Set<String>?

    static let whole = AdapterView(root: "", parts: nil)

    /// The adapter's name of the module or tensor at `path`; nil for one that it does not know.
    func name(of path: String) -> String? {
        if !root.isEmpty {
            return path.hasPrefix(root + ".") ? String(path.dropFirst(root.count + 1)) : nil
        }
        return parts.map { $0.contains(Self.top(path)) } ?? true ? path : nil
    }

    func path(of name: String) -> String { root.isEmpty ? name : "\(root).\(name)" }

    /// The first part of a path.
    static func top(_ path: String) -> String { String(path.prefix { $0 != "." }) }

    /// - Parameters:
    ///   - names: names of the modules that the adapter updates.
    ///   - tops: first parts of all names in the adapter's file.
    ///   - modelClass: class of the adapted model, if the adapter says it.
    ///   - leavingOut: parts of models that the caller leaves out.
    ///   - fits: whether the adapter's tensors fit the model in this view.
    /// - Throws: `AdapterError.ambiguousPart`, `.nothingToApply`.
    static func find(
        folder: String, names: Set<String>, tops: Set<String>, model: Module, modelClass: String?, leavingOut: [String],
        fits: (AdapterView) throws -> Bool
    ) throws -> AdapterView {
        let paths = Set(model.namedModules().map(\.path))
        let children = paths.filter { !$0.isEmpty && !$0.contains(".") }
        let made = modelClass.flatMap(parts(of:))
        if names.isEmpty || names.contains(where: { children.contains(top($0)) || leavingOut.contains(top($0)) }) {
            // If it does not name its class, it knows the parts for which its file has tensors.
            let isWhole = modelClass.map { $0.lowercased() == "\(type(of: model))".lowercased() } ?? names.isEmpty
            return AdapterView(root: "", parts: made.map(Set.init) ?? (isWhole ? nil : tops))
        }
        if let only = made?.first {
            guard children.contains(only) else {
                guard leavingOut.contains(only) else { return .whole }
                throw AdapterError.nothingToApply(folder: folder, parts: [only])
            }
            return AdapterView(root: only, parts: nil)
        }
        let candidates = children.sorted().filter { child in names.contains { paths.contains("\(child).\($0)") } }
            .map { AdapterView(root: $0, parts: nil) }
        guard candidates.count > 1 else { return candidates.first ?? .whole }
        let fitting = try candidates.filter(fits)
        guard fitting.count < 2 else {
            throw AdapterError.ambiguousPart(folder: folder, parts: fitting.map(\.root))
        }
        return fitting.first ?? candidates[0]
    }

    /// Children of a two-tower model that a class of transformers has, the tower first: for `CLIPVisionModel`,
    /// `SiglipTextModel`, `CLIPVisionModelWithProjection` and the like. Nil for other classes.
    private static func parts(of modelClass: String) -> [String]? {
        for (word, tower, projection) in [
            ("Vision", "vision_model", "visual_projection"), ("Text", "text_model", "text_projection"),
        ] {
            if modelClass.hasSuffix("\(word)ModelWithProjection") { return [tower, projection] }
            if modelClass.hasSuffix("\(word)Model") || modelClass.hasSuffix("\(word)Transformer") { return [tower] }
        }
        return nil
    }
}
