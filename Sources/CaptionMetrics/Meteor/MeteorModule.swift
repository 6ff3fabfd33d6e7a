/// One of METEOR's matchers, in the order in which they run (Denkowski and Lavie 2014, section 2).
public enum MeteorModule: String, CaseIterable, Sendable, Comparable {
    /// The same word.
    case exact
    /// Different words with one Snowball English stem.
    case stem
    /// Different words that share a WordNet synset.
    case synonym
    /// Phrases joined by an entry of the paraphrase table.
    case paraphrase

    /// Position in the 23 statistics and in `MeteorParameters.moduleWeights`.
    public var index: Int {
        switch self {
        case .exact: 0
        case .stem: 1
        case .synonym: 2
        case .paraphrase: 3
        }
    }

    /// Whether the matcher reads tables of the compiled data file.
    public var needsData: Bool { self == .synonym || self == .paraphrase }

    public static func < (left: MeteorModule, right: MeteorModule) -> Bool { left.index < right.index }

    /// Reads a list such as `exact,stem`.
    /// - Returns: the modules in running order, in whatever order they were named.
    /// - Throws: `MeteorError.unknownModule` for an unknown name, `MeteorError.repeatedModule` for one named twice,
    ///   `MeteorError.noModules` for an empty list.
    public static func list(_ text: String) throws(MeteorError) -> [MeteorModule] {
        var modules: [MeteorModule] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = part.filter { $0 != " " }
            if name.isEmpty { continue }
            guard let module = MeteorModule(rawValue: name) else { throw .unknownModule(name) }
            if modules.contains(module) { throw .repeatedModule(name) }
            modules.append(module)
        }
        if modules.isEmpty { throw .noModules }
        return modules.sorted()
    }
}

/// The constants of METEOR 1.5 for English, task "rank": the ones every captioning paper uses.
///
/// They are not settings, because METEOR with other numbers is another metric.
public enum MeteorParameters {
    /// Weight of recall against precision in Fmean = 1 / ((1 - alpha) / P + alpha / R).
    public static let alpha = 0.85
    /// Exponent of the fragmentation penalty.
    public static let beta = 0.20
    /// Largest fragmentation penalty.
    public static let gamma = 0.60
    /// Weight of a content word; a function word weighs 1 - delta.
    public static let delta = 0.75
    /// Weights of exact, stem, synonym and paraphrase matches in the score (the search uses others, see `MeteorAligner`).
    public static let moduleWeights = [1.0, 0.6, 0.8, 0.6]
    /// Partial alignments kept per reference position.
    public static let beamSize = 40
}
