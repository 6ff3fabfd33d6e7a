import Foundation
import Testing
import Torch

@testable import Evaluation

/// Numbers with four entries ±1/2 per row: unit length, and every dot product exact in whatever order it is summed, so
/// that equal scores are equal bit for bit. Ties are many.
private func exactRows(_ count: Int, dimension: Int, seed: UInt64) -> [[Float]] {
    var state = seed
    func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
    return (0..<count).map { _ in
        var row = [Float](repeating: 0, count: dimension)
        var set = 0
        while set < 4 {
            let at = next(dimension)
            if row[at] == 0 {
                row[at] = next(2) == 0 ? 0.5 : -0.5
                set += 1
            }
        }
        return row
    }
}

private func tensor(_ rows: [[Float]]) -> Tensor { Tensor(rows.flatMap { $0 }, shape: [rows.count, rows[0].count]) }

/// The definition: sort all candidates by score, equals by index; the place of the first positive.
private func naiveRanks(_ images: [[Float]], _ texts: [[Float]], _ owner: [Int]) -> RetrievalRanks {
    let scores = images.map { image in
        // Zeros add nothing; there are four other entries.
        let entries = image.indices.filter { image[$0] != 0 }
        return texts.map { text in entries.reduce(Float(0)) { $0 + image[$1] * text[$1] } }
    }
    func order(_ scores: [Float]) -> [Int] {
        scores.indices.sorted { scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1 }
    }
    return RetrievalRanks(
        imageToText: images.indices.map { image in order(scores[image]).firstIndex { owner[$0] == image }! },
        textToImage: texts.indices.map { text in
            order(images.indices.map { scores[$0][text] }).firstIndex(of: owner[text])!
        })
}

@Suite struct RetrievalTests {
    // Several blocks of images (144 each), a broken panel at both ends, captions out of order, one to several per image,
    // duplicates of both; dimensions within one stretch of the product (256), over its edge, and over several.
    @Test(arguments: [(601, 13), (170, 256), (170, 259), (170, 700)])
    func ranksEqualTheNaiveOnes(count: Int, dimension: Int) throws {
        var images = exactRows(count, dimension: dimension, seed: 3)
        images[7] = images[3]
        images[count - 1] = images[0]
        var owner = Array(0..<count) + (0..<count * 5 / 7).map { ($0 * 37) % count }
        owner.swapAt(2, owner.count - 81)
        owner.swapAt(17, 133)
        var texts = exactRows(owner.count, dimension: dimension, seed: 5)
        texts[40] = texts[owner.count - 131]
        for text in stride(from: 0, to: texts.count, by: 3) { texts[text] = images[owner[text]] }
        let expected = naiveRanks(images, texts, owner)
        let ranks = try Retrieval.ranks(
            images: tensor(images), texts: tensor(texts), imageOfText: owner)
        #expect(ranks == expected)
        // The data must contain what it is there for.
        #expect(Set(ranks.imageToText).count > 20)
        #expect(ranks.textToImage.contains(0))
    }

    /// Rows whose products are rounded: equal pairs of rows still tie, wherever they stand.
    @Test func repeatedRowsTieExactly() throws {
        let generator = Generator(seed: 8)
        let distinct = Tensor.randn([40, 300], generator: generator)
        let copies = (0..<200).map { ($0 * 7) % 40 }
        let images = distinct.indexSelect(0, Tensor(copies))
        // One text per image, each the image's own row: every image ties with all copies of it, in both directions.
        let ranks = try Retrieval.ranks(images: images, texts: images, imageOfText: Array(0..<200))
        let earlier = (0..<200).map { image in (0..<image).count { copies[$0] == copies[image] } }
        #expect(ranks.imageToText == earlier)
        #expect(ranks.textToImage == earlier)
    }

    private struct Fixture: Decodable {
        struct Case: Decodable {
            let images: [[Float]]
            let texts: [[Float]]
            let owner: [Int]
            let image_to_text: [Double]
            let text_to_image: [Double]
        }
        let k: [Int]
        let cases: [String: Case]
    }

    /// The numbers of CLIP_benchmark's definition, as `make_retrieval_fixture.py` states it.
    @Test(arguments: ["random", "ties"])
    func recallEqualsTheDefinitionOfCLIPBenchmark(name: String) throws {
        let url = try #require(Bundle.module.url(forResource: "Fixtures/retrieval", withExtension: "json"))
        let fixture = try JSONDecoder().decode(Fixture.self, from: Data(contentsOf: url))
        #expect(fixture.k == [1, 5, 10])
        let data = try #require(fixture.cases[name])
        let metrics = try Retrieval.metrics(
            images: tensor(data.images), texts: tensor(data.texts), imageOfText: data.owner)
        for (direction, expected) in [
            (metrics.imageToText, data.image_to_text), (metrics.textToImage, data.text_to_image),
        ] {
            let values = [direction.recallAt1, direction.recallAt5, direction.recallAt10]
            for (value, expected) in zip(values, expected) { #expect(abs(value - expected) < 1e-12) }
        }
    }

    @Test func equalScoresRankByIndex() throws {
        // All four images alike, all texts alike: a text's image comes after those of lower index.
        let row: [Float] = [0.6, 0.8]
        let ranks = try Retrieval.ranks(
            images: tensor([row, row, row, row]), texts: tensor([row, row, row, row]), imageOfText: [2, 0, 3, 1])
        #expect(ranks.textToImage == [2, 0, 3, 1])
        #expect(ranks.imageToText == [1, 3, 0, 2])
    }

    @Test func anyPositiveCounts() throws {
        // Image 0's second text is the nearest of all; its first is the farthest.
        let images: [[Float]] = [[1, 0], [0, 1]]
        let texts: [[Float]] = [[-1, 0], [1, 0], [0.6, 0.8]]
        let metrics = try Retrieval.metrics(images: tensor(images), texts: tensor(texts), imageOfText: [0, 0, 1])
        #expect(metrics.imageToText.recallAt1 == 1)
        #expect(abs(metrics.textToImage.recallAt1 - 2.0 / 3) < 1e-12)
        #expect(metrics.textToImage.recallAt5 == 1)
    }

    @Test func rowsAreNormalisedFirst() throws {
        let images = exactRows(20, dimension: 9, seed: 1)
        let texts = exactRows(20, dimension: 9, seed: 2)
        let longer = texts.enumerated().map { index, row in row.map { $0 * Float(1 << (index % 3)) } }
        let owner = Array(0..<20)
        #expect(
            try Retrieval.ranks(images: tensor(images), texts: tensor(longer), imageOfText: owner)
                == Retrieval.ranks(images: tensor(images), texts: tensor(texts), imageOfText: owner))
    }

    @Test func chanceIsWhatRandomScoresReach() throws {
        // 50 images of 3 texts: P(hit at 5) = 1 - C(147, 5) / C(150, 5).
        let owner = (0..<150).map { $0 / 3 }
        let metrics = try Retrieval.metrics(
            images: tensor(exactRows(50, dimension: 8, seed: 4)), texts: tensor(exactRows(150, dimension: 8, seed: 6)),
            imageOfText: owner)
        var misses = 1.0
        for k in 0..<5 { misses *= Double(147 - k) / Double(150 - k) }
        #expect(abs(metrics.imageToText.chanceAt5 - (1 - misses)) < 1e-12)
        #expect(abs(metrics.textToImage.chanceAt10 - 0.2) < 1e-12)
        #expect(metrics.protocolTag.contains("50 images, 150 captions"))
    }

    @Test func metricsAreWrittenUnderTheFieldsNames() throws {
        let metrics = try Retrieval.metrics(images: tensor([[1, 0]]), texts: tensor([[1, 0]]), imageOfText: [0])
        let json = String(decoding: try JSONEncoder().encode(metrics), as: UTF8.self)
        for key in ["image_to_text", "text_to_image", "R@1", "R@5", "R@10", "captions"] {
            #expect(json.contains("\"\(key)\""))
        }
    }

    @Test func messages() throws {
        let rows = tensor([[1, 0], [0, 1]])
        let table: [(RetrievalError, () throws -> Void)] = [
            (
                .shapes(images: [2, 2], texts: [2, 3]),
                { _ = try Retrieval.ranks(images: rows, texts: .ones([2, 3]), imageOfText: [0, 1]) }
            ),
            (
                .ownerCount(texts: 2, owners: 1),
                { _ = try Retrieval.ranks(images: rows, texts: rows, imageOfText: [0]) }
            ),
            (
                .ownerOutOfRange(text: 1, owner: 2, images: 2),
                { _ = try Retrieval.ranks(images: rows, texts: rows, imageOfText: [0, 2]) }
            ),
            (
                .imagesWithoutText(first: [1], count: 1),
                { _ = try Retrieval.ranks(images: rows, texts: rows, imageOfText: [0, 0]) }
            ),
            (
                .notFinite(what: "text", row: 1),
                { _ = try Retrieval.ranks(images: rows, texts: tensor([[1, 0], [.nan, 1]]), imageOfText: [0, 1]) }
            ),
            (
                .notFinite(what: "image", row: 0),
                {
                    _ = try Retrieval.ranks(
                        images: tensor([[.infinity, 0], [0, 1]]), texts: rows, imageOfText: [0, 1])
                }
            ),
        ]
        for (expected, run) in table { #expect(throws: expected) { try run() } }
        let texts = table.map { "\($0.0)" }
        #expect(
            texts == [
                "image features [2, 2] and text features [2, 3] do not pair: expected [N, D] and [M, D] with N, M and D at least 1 and one D",
                "1 image numbers for 2 texts: expected one per text",
                "text 1 belongs to image 2, but there are images 0 to 1",
                "1 images have no text and could never be found: 1; leave them out",
                "text 1 has features that are not finite (NaN or infinity): its rank would mean nothing; embed it again, in float32",
                "image 0 has features that are not finite (NaN or infinity): its rank would mean nothing; embed it again, in float32",
            ])
    }
}
