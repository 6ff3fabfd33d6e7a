import Foundation

/// The caption fixtures of CaptionMetricsTests, written out as the files a user has.
enum CaptionFixtures {
    struct Captions: Decodable {
        struct Image: Decodable {
            let image_id: Int
            let references: [String]
            let candidate: String
        }
        struct Score: Decodable {
            let corpus: Double
            let images: [Double]
        }
        let images: [Image]
        let scores: [String: Score]
    }

    struct Meteor: Decodable {
        struct Group: Decodable {
            let corpus: Double
            let images: [Image]
        }
        struct Image: Decodable {
            let image_id: Int
            let candidate: String
            let references: [String]
            let score: Double
        }
        let tokenised: Group
    }

    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("CaptionMetricsTests/Fixtures")

    /// METEOR's tables, cut to the words of `meteor()`.
    static let meteorTables = folder.appendingPathComponent("meteor/tables").path

    static func captions() throws -> Captions {
        try JSONDecoder().decode(Captions.self, from: Data(contentsOf: folder.appendingPathComponent("captions.json")))
    }

    static func meteor() throws -> Meteor {
        try JSONDecoder().decode(
            Meteor.self, from: Data(contentsOf: folder.appendingPathComponent("meteor/meteor.json")))
    }

    /// `references.json` (COCO captions) and `candidates.json` (COCO results) in `folder`.
    static func write(
        _ images: [(id: Int, references: [String], candidate: String)], to folder: TemporaryFolder
    ) throws -> [String] {
        let annotations = images.flatMap { image in
            image.references.map { ["image_id": image.id, "caption": $0] as [String: Any] }
        }
        let results = images.map { ["image_id": $0.id, "caption": $0.candidate] as [String: Any] }
        let references = folder.url.appendingPathComponent("references.json")
        let candidates = folder.url.appendingPathComponent("candidates.json")
        try JSONSerialization.data(withJSONObject: ["annotations": annotations]).write(to: references)
        try JSONSerialization.data(withJSONObject: results).write(to: candidates)
        return ["--references", references.path, "--candidates", candidates.path]
    }
}
