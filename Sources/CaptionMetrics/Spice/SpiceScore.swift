/// Matched, spurious and missing tuples, and the F1 that follows from them.
public struct SpiceScore: Hashable, Sendable, Codable {
    /// Candidate tuples similar to some reference tuple (several may use the same one).
    public let truePositives: Int
    /// Candidate tuples similar to none.
    public let falsePositives: Int
    /// Reference tuples minus the matched candidate tuples; negative when several candidate tuples match one.
    public let falseNegatives: Int

    /// Matched share of the candidate tuples; 0 without candidate tuples.
    public var precision: Double {
        let proposed = truePositives + falsePositives
        return proposed == 0 ? 0 : Double(truePositives) / Double(proposed)
    }

    /// Matched share of the reference tuples; 0 without reference tuples.
    public var recall: Double {
        let wanted = truePositives + falseNegatives
        return wanted == 0 ? 0 : Double(truePositives) / Double(wanted)
    }

    /// Harmonic mean of precision and recall; 0 when either is 0.
    public var f1: Double {
        let (p, r) = (precision, recall)
        return p == 0 || r == 0 ? 0 : 2 * p * r / (p + r)
    }
}

/// SPICE of one image.
public struct SpiceImageScore: Hashable, Sendable {
    /// Over all tuples; its ``SpiceScore/f1`` is the image's SPICE.
    public let all: SpiceScore
    /// Every category's score. A category to which no reference tuple belongs is absent: it says nothing about the
    /// candidate.
    public let categories: [SpiceCategory: SpiceScore]
}

/// SPICE of a set of images.
public struct SpiceResult: Hashable, Sendable {
    /// Mean of the images' F1.
    public let corpus: Double
    /// Mean F1 per category over the images that have it; absent when no image has.
    public let categories: [SpiceCategory: Double]
    /// In the order of the candidates.
    public let images: [SpiceImageScore]

    init(images: [SpiceImageScore]) {
        self.images = images
        corpus = images.isEmpty ? 0 : images.reduce(0) { $0 + $1.all.f1 } / Double(images.count)
        var means: [SpiceCategory: Double] = [:]
        for category in SpiceCategory.allCases {
            let values = images.compactMap { $0.categories[category]?.f1 }
            if !values.isEmpty { means[category] = values.reduce(0, +) / Double(values.count) }
        }
        categories = means
    }
}

/// Only the last stage of SPICE: from the tuples of the candidate and of the references to the score.
public struct SpiceTupleScorer: Sendable {
    private let synsets: any SynsetSource

    /// - Parameter synsets: METEOR's WordNet look-up.
    public init(synsets: any SynsetSource) {
        self.synsets = synsets
    }

    /// Scores one image.
    ///
    /// - Parameters:
    ///   - candidate: the candidate's tuples, in the order the parser proposed them.
    ///   - references: the tuples of each reference; all references form one graph.
    public func score(candidate: [SceneTuple], references: [[SceneTuple]]) -> SpiceImageScore {
        var concepts = SceneConceptTable(source: synsets)
        return score(candidate: candidate, references: references, concepts: &concepts)
    }

    func score(
        candidate: [SceneTuple], references: [[SceneTuple]], concepts: inout SceneConceptTable
    ) -> SpiceImageScore {
        let proposed = SceneGraph(candidate, concepts: &concepts).propositions
        let wanted = SceneGraph(references.flatMap { $0 }, concepts: &concepts).propositions
        let table = concepts
        var categories: [SpiceCategory: SpiceScore] = [:]
        for category in SpiceCategory.allCases {
            let inCategory = wanted.filter { category.contains($0, text: table.text) }
            if inCategory.isEmpty { continue }
            categories[category] = Self.count(proposed.filter { category.contains($0, text: table.text) }, inCategory)
        }
        return SpiceImageScore(all: Self.count(proposed, wanted), categories: categories)
    }

    private static func count(_ proposed: [SceneGraph.Proposition], _ wanted: [SceneGraph.Proposition]) -> SpiceScore {
        let matched = proposed.count { candidate in
            wanted.contains { reference in
                candidate.count == reference.count && zip(candidate, reference).allSatisfy { $0.isSimilar(to: $1) }
            }
        }
        return SpiceScore(
            truePositives: matched, falsePositives: proposed.count - matched,
            falseNegatives: wanted.count - matched)
    }
}
