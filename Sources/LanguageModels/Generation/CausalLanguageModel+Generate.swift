import Torch

extension CausalLanguageModel {
    /// Continues prompts: greedily, by sampling, or by beam search.
    ///
    /// All prompts run as one batch. Split long lists before, because memory grows with rows × positions. The tokens
    /// are those of transformers' `generate` with the same settings, except that a sequence does not depend on the
    /// others in its batch.
    /// - Parameters:
    ///   - draws: the uniform numbers that `.sampling` needs; other strategies use none.
    ///   - tokenBytes: the bytes of a token (`TextTokenizer.bytes(of:)`); needed for stop strings.
    ///   - onToken: gets every token once it is chosen, and may end the generation; not with beams.
    /// - Returns: for each prompt its sequences, best first for beams. A beam search may return fewer than requested if
    ///   stop strings end every continuation.
    /// - Throws: `LanguageModelError`, and what `tokenBytes` throws.
    public func generate(
        _ prompts: [Prompt], _ settings: GenerationSettings, draws: UniformDraws? = nil,
        tokenBytes: ((Int) throws -> [UInt8])? = nil,
        onToken: ((StreamedToken) -> StreamingDecision)? = nil
    ) throws -> [[GeneratedSequence]] {
        try settings.validate(vocabularySize: vocabularySize)
        try check(prompts, settings, tokenBytes: tokenBytes)
        guard !prompts.isEmpty else { return [] }
        let stops = StopConditions(settings, bytesOfToken: tokenBytes)
        return try inferenceMode {
            switch settings.strategy {
            case .greedy:
                return try generateLine(
                    prompts, settings, sequenceCount: 1, stops: stops, chooser: GreedyChooser(), onToken: onToken)
            case .sampling(let sampling):
                guard let draws else {
                    throw LanguageModelError.invalidSetting(
                        name: "draws", expected: "uniform draws for sampling", got: "none")
                }
                let table = try draws.table(
                    sequences: prompts.count * sampling.sequenceCount, tokens: settings.maximumNewTokens)
                return try generateLine(
                    prompts, settings, sequenceCount: sampling.sequenceCount, stops: stops,
                    chooser: SamplingChooser(sampling, table: table), onToken: onToken)
            case .beams(let search):
                guard onToken == nil else { throw LanguageModelError.streamingBeams(beamCount: search.beamCount) }
                return try generateBeams(prompts, settings, search, stops: stops)
            }
        }
    }

    /// Continues prefix embeddings `[B, P, C]` (an image's), without any tokens before.
    public func generate(
        prefixes: Tensor, _ settings: GenerationSettings, draws: UniformDraws? = nil,
        tokenBytes: ((Int) throws -> [UInt8])? = nil,
        onToken: ((StreamedToken) -> StreamingDecision)? = nil
    ) throws -> [[GeneratedSequence]] {
        try generate(
            (0..<prefixes.size(0)).map { Prompt(prefix: prefixes[$0]) }, settings, draws: draws,
            tokenBytes: tokenBytes, onToken: onToken)
    }

    private func check(
        _ prompts: [Prompt], _ settings: GenerationSettings, tokenBytes: ((Int) throws -> [UInt8])?
    ) throws(LanguageModelError) {
        for (index, prompt) in prompts.enumerated() {
            if let shape = prompt.prefix?.shape, shape.count != 2 || shape[1] != embeddingSize {
                throw .prefixShape(prompt: index, expected: "[length, \(embeddingSize)]", got: shape)
            }
            for (position, id) in prompt.tokens.enumerated() where !(0..<vocabularySize).contains(id) {
                throw .tokenOutOfVocabulary(
                    prompt: index, position: position, id: id, vocabularySize: vocabularySize)
            }
            guard prompt.length > 0 else { throw .emptyPrompt(prompt: index) }
            // The last new token does not run through the model, so it needs no position.
            guard prompt.length + settings.maximumNewTokens - 1 <= contextLength else {
                throw .contextExceeded(
                    prompt: index, length: prompt.length, newTokens: settings.maximumNewTokens,
                    contextLength: contextLength)
            }
        }
        guard settings.stopStrings.isEmpty || tokenBytes != nil else {
            throw .stopStringsNeedBytes(strings: settings.stopStrings)
        }
    }
}

extension GenerationSettings {
    /// - Throws: `LanguageModelError.invalidSetting`, which names the setting.
    func validate(vocabularySize: Int) throws(LanguageModelError) {
        func require(_ holds: Bool, _ name: String, _ expected: String, _ got: some Any) throws(LanguageModelError) {
            guard holds else { throw .invalidSetting(name: name, expected: expected, got: "\(got)") }
        }
        try require(maximumNewTokens >= 1, "maximumNewTokens", "at least 1", maximumNewTokens)
        try require(
            (0...maximumNewTokens).contains(minimumNewTokens), "minimumNewTokens",
            "0 to maximumNewTokens (\(maximumNewTokens))", minimumNewTokens)
        for token in stopTokens {
            try require(
                (0..<vocabularySize).contains(token), "stopTokens", "ids from 0 to \(vocabularySize - 1)", token)
        }
        try require(Set(stopTokens).count < vocabularySize, "stopTokens", "fewer than all tokens", stopTokens.count)
        for text in stopStrings { try require(!text.isEmpty, "stopStrings", "texts that are not empty", "\"\"") }
        switch strategy {
        case .greedy: break
        case .sampling(let sampling):
            try require(
                sampling.temperature > 0 && sampling.temperature.isFinite, "temperature", "a number above 0",
                sampling.temperature)
            if let k = sampling.topK { try require(k >= 1, "topK", "at least 1", k) }
            try require(
                sampling.topP > 0 && sampling.topP <= 1, "topP", "above 0 and at most 1", sampling.topP)
            try require(sampling.sequenceCount >= 1, "sequenceCount", "at least 1", sampling.sequenceCount)
        case .beams(let search):
            try require(search.beamCount >= 1, "beamCount", "at least 1", search.beamCount)
            let kept = search.candidateCount(stopTokens: stopTokens)
            let allowed = vocabularySize - (minimumNewTokens > 0 ? Set(stopTokens).count : 0)
            try require(
                kept <= allowed, "beamCount",
                "so few that its \(kept) candidates fit the vocabulary of \(allowed)", search.beamCount)
            try require(search.lengthPenalty.isFinite, "lengthPenalty", "a finite number", search.lengthPenalty)
            try require(
                (1...search.beamCount).contains(search.sequenceCount), "sequenceCount",
                "1 to beamCount (\(search.beamCount))", search.sequenceCount)
        }
    }
}

extension GenerationSettings.BeamSearch {
    /// Continuations considered per step: enough that as many continue as there are beams, even if all of the best end.
    func candidateCount(stopTokens: [Int]) -> Int { max(2, 1 + Set(stopTokens).count) * beamCount }
}
