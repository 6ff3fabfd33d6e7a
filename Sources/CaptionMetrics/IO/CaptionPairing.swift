import CaptionFiles

/// References and candidates brought together by image, and what did not fit, by id.
///
/// The rules, which `rules` states in words: an image is scored if it has both references and a candidate; of several
/// candidates for an image the first counts; empty captions are scored as they are. Images come in the order in which
/// the references first name them.
public struct CaptionPairing: Sendable {
    public let imageIDs: [ImageID]
    public let references: [[String]]
    public let candidates: [String]
    /// SHA-256 of both files, by role.
    public let dataHashes: [String: String]
    public let findings: [Finding]

    /// Something the user should know about the files.
    public struct Finding: Sendable, Equatable {
        public enum Kind: String, Sendable, CaseIterable {
            case candidatesWithoutReferences, referencesWithoutCandidates, duplicateCandidates
            case emptyCandidates, emptyReferences

            /// What is done about it.
            public var rule: String {
                switch self {
                case .candidatesWithoutReferences: "left out: there is nothing to compare them with"
                case .referencesWithoutCandidates: "left out: only images with a candidate are scored"
                case .duplicateCandidates: "the first candidate of the image is scored, the others are ignored"
                case .emptyCandidates: "scored as captions without words"
                case .emptyReferences: "kept as references without words"
                }
            }

            var subject: String {
                switch self {
                case .candidatesWithoutReferences: "candidates without references"
                case .referencesWithoutCandidates: "images with references but no candidate"
                case .duplicateCandidates: "images with more than one candidate"
                case .emptyCandidates: "images with an empty candidate"
                case .emptyReferences: "images with an empty reference"
                }
            }
        }

        public let kind: Kind
        /// The images concerned, each once, in file order.
        public let imageIDs: [ImageID]

        /// One line, with at most ten ids.
        public var summary: String {
            let shown = imageIDs.prefix(10).map(\.description).joined(separator: ", ")
            let more = imageIDs.count > 10 ? ", and \(imageIDs.count - 10) more" : ""
            return "\(imageIDs.count) \(kind.subject) (\(shown)\(more)); \(kind.rule)"
        }
    }

    /// - Throws: `CaptionDataError.noImages` for an empty file, `.noCommonImages` when the ids have nothing in common.
    public init(references: CaptionFile, candidates: CaptionFile) throws {
        guard !references.entries.isEmpty, !candidates.entries.isEmpty else { throw CaptionDataError.noImages }
        var position: [ImageID: Int] = [:]
        position.reserveCapacity(references.entries.count / 4)
        var ids: [ImageID] = []
        var grouped: [[String]] = []
        for entry in references.entries {
            if let known = position[entry.imageID] {
                grouped[known].append(entry.caption)
            } else {
                position[entry.imageID] = ids.count
                ids.append(entry.imageID)
                grouped.append([entry.caption])
            }
        }

        var own = [String?](repeating: nil, count: ids.count)
        var strangers = OrderedIDs()
        var repeated = OrderedIDs()
        for entry in candidates.entries {
            guard let index = position[entry.imageID] else {
                strangers.insert(entry.imageID)
                continue
            }
            if own[index] == nil { own[index] = entry.caption } else { repeated.insert(entry.imageID) }
        }

        var missing: [ImageID] = []
        var emptyCandidates: [ImageID] = []
        var emptyReferences: [ImageID] = []
        var kept: (ids: [ImageID], references: [[String]], candidates: [String]) = ([], [], [])
        for (index, id) in ids.enumerated() {
            guard let candidate = own[index] else {
                missing.append(id)
                continue
            }
            kept.ids.append(id)
            kept.references.append(grouped[index])
            kept.candidates.append(candidate)
            if Self.isEmpty(candidate) { emptyCandidates.append(id) }
            if grouped[index].contains(where: Self.isEmpty) { emptyReferences.append(id) }
        }
        guard !kept.ids.isEmpty else {
            throw CaptionDataError.noCommonImages(
                references: ids.count, candidates: strangers.ids.count, referenceExample: ids[0].description,
                candidateExample: strangers.ids[0].description)
        }
        imageIDs = kept.ids
        self.references = kept.references
        self.candidates = kept.candidates
        dataHashes = ["references": references.hash, "candidates": candidates.hash]
        findings = [
            Finding(kind: .candidatesWithoutReferences, imageIDs: strangers.ids),
            Finding(kind: .referencesWithoutCandidates, imageIDs: missing),
            Finding(kind: .duplicateCandidates, imageIDs: repeated.ids),
            Finding(kind: .emptyCandidates, imageIDs: emptyCandidates),
            Finding(kind: .emptyReferences, imageIDs: emptyReferences),
        ].filter { !$0.imageIDs.isEmpty }
    }

    /// The captions tokenised with the PTB tokenizer.
    public func tokenized() throws -> TokenizedCaptions {
        try TokenizedCaptions(
            imageIDs: imageIDs, rawReferences: references, rawCandidates: candidates, dataHashes: dataHashes)
    }

    private static func isEmpty(_ caption: String) -> Bool {
        caption.utf8.allSatisfy { $0 == 0x20 || (0x09...0x0D).contains($0) }
    }

    private struct OrderedIDs {
        private(set) var ids: [ImageID] = []
        private var seen = Set<ImageID>()

        mutating func insert(_ id: ImageID) {
            if seen.insert(id).inserted { ids.append(id) }
        }
    }
}
