import CaptionMetrics

/// The metrics of a run, settled before any caption is read: a metric that was requested and cannot be computed is an
/// error; one of the default list is left out with the reason.
struct MetricSelection {
    private(set) var choices: [MetricChoice] = []
    /// Metrics of the default list that cannot be computed, and why, one line each.
    private(set) var omissions: [String] = []
    private let options: MetricOptions
    private var data: MeteorData?

    /// - Throws: `MeteorError` and `SpiceError` for data that is missing or damaged.
    init(_ options: MetricOptions) throws {
        self.options = options
        if let asked = options.metrics?.choices {
            choices = asked
            if choices.contains(where: needsData) { data = try open(for: choices) }
        } else {
            try chooseDefaults()
        }
    }

    private mutating func chooseDefaults() throws {
        let wanted: [MetricChoice] =
            [.bleu, .meteor, .rouge, .cider, .spice] + (options.wordVectors == nil ? [] : [.wmd])
        var missing: MeteorError?
        if wanted.contains(where: needsData) {
            do {
                data = try MeteorData.open(path: options.meteorData)
            } catch {
                // A path that was given is a request, and a damaged file is not a missing one.
                guard case .dataMissing = error, options.meteorData == nil else { throw error }
                missing = error
            }
        }
        choices = wanted.filter { data != nil || !needsData($0) }
        let left = wanted.filter { !choices.contains($0) }.map(\.rawValue).joined(separator: " and ")
        if let missing { omissions.append("left out \(left): \(missing)") }
        if options.wordVectors == nil { omissions.append("left out wmd: it needs --word-vectors FILE") }
    }

    private func needsData(_ choice: MetricChoice) -> Bool {
        switch choice {
        case .meteor: options.meteorData != nil || options.meteor?.needData ?? true
        case .spice: options.spiceJar == nil
        default: false
        }
    }

    private func open(for choices: [MetricChoice]) throws -> MeteorData {
        do {
            return try MeteorData.open(path: options.meteorData)
        } catch {
            if case .dataMissing(let path) = error, !choices.contains(.meteor) {
                throw SpiceError.synsetsMissing(path: path)
            }
            throw error
        }
    }

    /// The metrics, ready to run over `captions`.
    func make(for captions: TokenizedCaptions) throws -> [any CaptionMetric] {
        try choices.map { try make($0, captions) }
    }

    private func make(_ choice: MetricChoice, _ captions: TokenizedCaptions) throws -> any CaptionMetric {
        switch choice {
        case .bleu: return BLEU()
        case .rouge: return ROUGEL()
        case .cider: return CIDEr(.d)
        case .ciderPlain: return CIDEr(.plain)
        case .meteor:
            let modules = options.meteor?.list ?? MeteorModule.allCases
            return try MeteorMetric(data: needsData(.meteor) ? data : nil, modules: modules)
        case .spice:
            if let jar = options.spiceJar { return SpiceJarMetric(jar: jar, java: options.java) }
            // `init` has opened it.
            guard let data else { throw SpiceError.synsetsMissing(path: MeteorData.defaultPath()) }
            return SpiceMetric(parser: try .bundled(), data: data)
        case .wmd:
            var vocabulary = Set<[UInt8]>()
            for caption in captions.references.joined() + captions.candidates {
                for word in caption.utf8.split(separator: 0x20) { vocabulary.insert(Array(word)) }
            }
            // `validate` has made sure that there is a path.
            let path = options.wordVectors ?? ""
            let vectors = try WordVectors(contentsOf: path, keeping: vocabulary)
            guard vectors.count > 0 || vocabulary.isEmpty else {
                throw CaptionDataError.wordVectors(
                    path: path, expected: "vectors of words in the captions",
                    got: "none for any of their \(vocabulary.count) words (captions are in lower case)")
            }
            return WordMoversDistance(vectors: vectors, variant: options.unitVectors ? .unit : .raw)
        }
    }
}
