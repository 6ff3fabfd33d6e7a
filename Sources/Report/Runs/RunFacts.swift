import StrictJSON

/// What `manifest.json` says about a run: data, models and programs.
public struct RunFacts: Sendable, Equatable {
    /// A file or folder that the run read.
    public struct Source: Sendable, Equatable {
        /// `pairs`, `validation`, `model`, …
        public let role: String
        public let path: String
        public let sha256: String?
        public let count: Int?
    }

    public struct Skipped: Sendable, Equatable {
        public let id: String
        public let reason: String
    }

    public let sources: [Source]
    public let seed: Int?
    public let device: String?
    public let dtype: String?
    public let steps: Int?
    /// Sorted by name.
    public let versions: [(name: String, value: String)]
    public let skipped: [Skipped]
    public let trainedElements: Int?
    public let frozenElements: Int?

    public static func == (a: RunFacts, b: RunFacts) -> Bool {
        a.sources == b.sources && a.seed == b.seed && a.device == b.device && a.dtype == b.dtype && a.steps == b.steps
            && a.skipped == b.skipped && a.trainedElements == b.trainedElements
            && a.frozenElements == b.frozenElements && a.versions.map(\.name) == b.versions.map(\.name)
            && a.versions.map(\.value) == b.versions.map(\.value)
    }

    /// Reads what is there, because manifests of several kinds of run record different things.
    /// - Returns: nil if there is no such file.
    static func read(_ path: String) throws -> RunFacts? {
        guard let root = try JSONDocument.value(path) else { return nil }
        guard case .object = root else {
            throw ReportError.unexpectedContent(path: path, line: nil, expected: "an object", got: root.kind)
        }
        let groups = root["parameterGroups"]?.array
        return RunFacts(
            sources: (root["sources"]?.array ?? []).compactMap { source in
                guard let role = source["role"]?.string else { return nil }
                return Source(
                    role: role, path: source["path"]?.string ?? "", sha256: source["sha256"]?.string,
                    count: source["count"]?.integer)
            },
            seed: root["seed"]?.integer, device: root["device"]?.string, dtype: root["dtype"]?.string,
            steps: root["steps"]?.integer,
            versions: (root["versions"]?.members ?? []).compactMap { member in
                member.value.string.map { (member.key, $0) }
            }.sorted { $0.0 < $1.0 },
            skipped: (root["skipped"]?.array ?? []).map { entry in
                Skipped(
                    id: entry["id"]?.string ?? entry["path"]?.string ?? entry.string ?? "?",
                    reason: entry["reason"]?.string ?? "")
            },
            trainedElements: groups.map { $0.reduce(0) { $0 + ($1["elements"]?.integer ?? 0) } },
            frozenElements: root["frozenElements"]?.integer)
    }
}
