import Foundation
import Testing

@testable import CaptionMetrics

/// `Fixtures/captions.json`: captions with the tokens and scores of pycocoevalcap.
struct CaptionFixture: Decodable {
    struct Image: Decodable {
        let image_id: Int
        let references: [String]
        let candidate: String
        let reference_tokens: [String]
        let candidate_tokens: String
    }
    struct Score: Decodable {
        let corpus: Double
        let images: [Double]
    }
    let images: [Image]
    let scores: [String: Score]

    static func load() throws -> CaptionFixture {
        let url = try #require(
            Bundle.module.url(forResource: "captions", withExtension: "json", subdirectory: "Fixtures"))
        return try JSONDecoder().decode(CaptionFixture.self, from: Data(contentsOf: url))
    }

    func raw() throws -> TokenizedCaptions {
        try TokenizedCaptions(
            imageIDs: images.map { .number($0.image_id) }, rawReferences: images.map(\.references),
            rawCandidates: images.map(\.candidate))
    }
}

/// Captions given as tokens, for tests of metrics alone.
func tokenized(_ references: [[String]], _ candidates: [String]) throws -> TokenizedCaptions {
    try TokenizedCaptions(
        imageIDs: candidates.indices.map { .number($0) }, references: references, candidates: candidates,
        tokenizer: "test")
}
