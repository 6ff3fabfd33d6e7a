/// A set of words taken to mean one thing, with the synsets of all of them.
///
/// A concept starts with one word. Merging two concepts unites both sets, so a node becomes similar to more words as
/// the references of an image are read.
struct SceneConcept: Equatable, Sendable {
    /// Identifiers of the words, ascending, each once.
    private(set) var words: [Int32]
    /// Synset identifiers, ascending, each once.
    private(set) var synsets: [Int32]

    /// Shares a word or a synset with `other`.
    func isSimilar(to other: SceneConcept) -> Bool {
        words.sharesElement(with: other.words) || synsets.sharesElement(with: other.synsets)
    }

    /// 1 for a shared word, otherwise the Jaccard index of the synsets (0 when neither has any).
    func similarity(to other: SceneConcept) -> Double {
        if words.sharesElement(with: other.words) { return 1 }
        let shared = synsets.countOfShared(with: other.synsets)
        if shared == 0 { return 0 }
        return Double(shared) / Double(synsets.count + other.synsets.count - shared)
    }

    mutating func merge(_ other: SceneConcept) {
        words = words.union(other.words)
        synsets = synsets.union(other.synsets)
    }
}

/// Gives words small numbers and looks each one up in WordNet once.
struct SceneConceptTable {
    private let source: any SynsetSource
    private var concepts: [String: SceneConcept] = [:]
    private(set) var texts: [String] = []

    init(source: any SynsetSource) {
        self.source = source
    }

    /// The concept of one word or phrase. Words are distinguished as written; only the look-up trims and lower-cases.
    mutating func concept(_ text: String) -> SceneConcept {
        if let known = concepts[text] { return known }
        let key = text.trimmingBlanks().lowercased().replacingBlanks(with: "_")
        let concept = SceneConcept(
            words: [Int32(texts.count)], synsets: Array(Set(source.synsets(of: key))).sorted())
        texts.append(text)
        concepts[text] = concept
        return concept
    }

    /// The words of a concept, in the order they were first seen, joined by `/`.
    func text(of concept: SceneConcept) -> String {
        concept.words.map { texts[Int($0)] }.joined(separator: "/")
    }
}

extension String {
    fileprivate func trimmingBlanks() -> String {
        guard let first = utf8.firstIndex(where: { $0 > 32 }), let last = utf8.lastIndex(where: { $0 > 32 }) else {
            return ""
        }
        return String(self[first...last])
    }

    fileprivate func replacingBlanks(with separator: Character) -> String {
        utf8.contains(32) ? String(map { $0 == " " ? separator : $0 }) : self
    }
}

// Sorted arrays serve as sets: the sets are tiny (one word, a handful of synsets), so merging them is faster than
// hashing.
extension [Int32] {
    func sharesElement(with other: [Int32]) -> Bool {
        var i = 0
        var j = 0
        while i < count, j < other.count {
            if self[i] == other[j] { return true }
            if self[i] < other[j] { i += 1 } else { j += 1 }
        }
        return false
    }

    func countOfShared(with other: [Int32]) -> Int {
        var i = 0
        var j = 0
        var shared = 0
        while i < count, j < other.count {
            if self[i] == other[j] {
                shared += 1
                i += 1
                j += 1
            } else if self[i] < other[j] {
                i += 1
            } else {
                j += 1
            }
        }
        return shared
    }

    func union(_ other: [Int32]) -> [Int32] {
        var result: [Int32] = []
        result.reserveCapacity(count + other.count)
        var i = 0
        var j = 0
        while i < count || j < other.count {
            if j == other.count || (i < count && self[i] < other[j]) {
                result.append(self[i])
                i += 1
            } else if i == count || other[j] < self[i] {
                result.append(other[j])
                j += 1
            } else {
                result.append(self[i])
                i += 1
                j += 1
            }
        }
        return result
    }
}
