import CaptionFiles
import Foundation
import Safetensors
import TestSupport
import Testing

@testable import CaptionMetrics

@Suite struct WordMoversDistanceTests {
    struct Golden: Decodable {
        struct Image: Decodable {
            let image_id: Int
            let distance_raw, distance_unit: [Double?]
            let WMD_raw, WMD_unit: Double
        }
        struct Corpus: Decodable { let WMD_raw, WMD_unit: Double }
        let corpus: Corpus
        let images: [Image]
    }

    /// gensim normalises in single precision.
    private static let unitTolerance = 1e-7
    private static let rawTolerance = 1e-12

    @Test(
        .enabled(if: GoldenFiles.have("wmd.json.gz", "scores.json.gz", "wmd_vectors.bin", "wmd_stopwords.txt")),
        arguments: WordMoversDistance.Variant.allCases)
    func equalsTheGoldens(_ variant: WordMoversDistance.Variant) throws {
        let golden = try GoldenFiles.decode(Golden.self, "wmd.json.gz")
        let scores = try GoldenFiles.decode(ScoreTests.Golden.self, "scores.json.gz")
        let (vectorFile, stopWordFile) = (GoldenFiles.path("wmd_vectors.bin"), GoldenFiles.path("wmd_stopwords.txt"))
        let stopWords = try String(contentsOf: stopWordFile, encoding: .utf8).split(whereSeparator: \.isWhitespace)
        #expect(Set(stopWords.map(String.init)) == StopWords.english)

        let vectors = try WordVectors(contentsOf: vectorFile.path)
        #expect(vectors.count == 3125 && vectors.dimension == 48)
        let metric = WordMoversDistance(vectors: vectors, variant: variant)
        let byID = Dictionary(uniqueKeysWithValues: scores.images.map { ($0.image_id, $0) })
        let images = try golden.images.map { try #require(byID[$0.image_id]) }
        let tolerance = variant == .raw ? Self.rawTolerance : Self.unitTolerance
        var worst = 0.0
        for (expected, image) in zip(golden.images, images) {
            let distances = metric.distances(image.cand_tok, image.refs_tok)
            let wanted = variant == .raw ? expected.distance_raw : expected.distance_unit
            #expect(distances.count == wanted.count)
            for (distance, value) in zip(distances, wanted) {
                if let value { worst = max(worst, abs(distance - value)) } else { #expect(distance == .infinity) }
            }
        }
        #expect(worst <= tolerance, "\(worst)")

        let captions = try TokenizedCaptions(
            imageIDs: images.map { .number($0.image_id) }, references: images.map(\.refs_tok),
            candidates: images.map(\.cand_tok), tokenizer: "ptb-coco")
        let score = metric.evaluate(captions)[0]
        #expect(abs(score.corpus - (variant == .raw ? golden.corpus.WMD_raw : golden.corpus.WMD_unit)) <= tolerance)
        for (value, expected) in zip(score.perImage, golden.images) {
            #expect(abs(value - (variant == .raw ? expected.WMD_raw : expected.WMD_unit)) <= tolerance)
        }
    }

    private func vectors() throws -> WordVectors {
        try WordVectors(words: ["dog", "cat", "car"], values: [0, 0, 3, 4, 0, 10], dimension: 2)
    }

    @Test func distancesByHand() throws {
        let metric = WordMoversDistance(vectors: try vectors())
        #expect(metric.distances("dog", ["dog", "cat", "the", "unknown"]) == [0, 5, .infinity, .infinity])
        // Half of "dog" stays, half goes to "cat".
        #expect(metric.distances("a dog", ["the dog cat"]) == [2.5])
        #expect(try metric.evaluate(tokenized([["cat", "dog"]], ["dog"]))[0].corpus == 1)
        #expect(try metric.evaluate(tokenized([["the"]], ["dog"]))[0].corpus == 0)
    }

    /// Against all ways to match, on random costs.
    @Test func transportIsOptimal() {
        var generator = SeededGenerator(state: 7)
        func permutations(_ items: [Int]) -> [[Int]] {
            items.isEmpty
                ? [[]] : items.flatMap { item in permutations(items.filter { $0 != item }).map { [item] + $0 } }
        }
        for _ in 0..<200 {
            let n = Int.random(in: 1...5, using: &generator)
            let cost = (0..<n * n).map { _ in Double.random(in: 0...10, using: &generator) }
            let made = OptimalTransport.cost(
                supply: [Int](repeating: 3, count: n), demand: [Int](repeating: 3, count: n), cost: cost)
            let best = permutations(Array(0..<n)).map { order in
                order.enumerated().reduce(0.0) { $0 + cost[$1.offset * n + $1.element] }
            }.min()!
            #expect(abs(made - 3 * best) < 1e-9)
        }
    }

    @Test func readsBothLayouts() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("wmd-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let text = folder.appendingPathComponent("v.txt")
        try Data("dog 0 0\ncat 3 4\ncar 0 10\n".utf8).write(to: text)
        var binary = Data("3 2\n".utf8)
        for (word, values) in [("dog", [0, 0]), ("cat", [3, 4]), ("car", [0, 10])] as [(String, [Float])] {
            binary += Data("\(word) ".utf8)
            for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { binary += Data($0) } }
            binary += Data("\n".utf8)
        }
        let bin = folder.appendingPathComponent("v.bin")
        try binary.write(to: bin)
        for path in [text.path, bin.path] {
            let vectors = try WordVectors(contentsOf: path)
            #expect(vectors.values == [0, 0, 3, 4, 0, 10] && vectors.row(of: "car".utf8) == 2)
            let kept = try WordVectors(contentsOf: path, keeping: [Array("cat".utf8)])
            #expect(kept.values == [3, 4] && kept.row(of: "dog".utf8) == nil)
        }
        // Lines end at LF or CRLF, and a mark is no part of the first word.
        let marked = folder.appendingPathComponent("m.txt")
        try Data("\u{FEFF}dog 0 0\r\ncat 3 4 \r\ncar\u{2028} 0 10".utf8).write(to: marked)
        let lines = try WordVectors(contentsOf: marked.path)
        #expect(lines.values == [0, 0, 3, 4, 0, 10] && lines.row(of: "dog".utf8) == 0)
        #expect(lines.row(of: "car\u{2028}".utf8) == 2)
        try binary.dropLast(5).write(to: bin)
        #expect(
            throws: CaptionDataError.wordVectors(
                path: bin.path, expected: "3 words of 2 numbers", got: "the end of the file at word 3")
        ) { try WordVectors(contentsOf: bin.path) }
        try Data("dog 0 0\ncat 3 x\n".utf8).write(to: text)
        #expect(throws: CaptionDataError.wordVectors(path: text.path, expected: "a number on line 2", got: "'x'")) {
            try WordVectors(contentsOf: text.path)
        }
    }

    private static let table: [Float] = [0, 0.5, 3, -4, 0, 10]

    private func write(
        _ path: String, _ type: ElementType = .float32, shape: [Int] = [3, 2], metadata: [String: String] = [:],
        tensors: [String] = ["vectors"]
    ) throws {
        var bytes: [UInt8] = []
        for value in Self.table {
            switch type {
            case .float64: withUnsafeBytes(of: Double(value).bitPattern.littleEndian) { bytes += $0 }
            case .float16: withUnsafeBytes(of: Float16(value).bitPattern.littleEndian) { bytes += $0 }
            case .bfloat16: withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian) { bytes += $0 }
            default: withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
            }
        }
        try bytes.withUnsafeBytes { raw in
            try SafetensorsWriter.write(
                tensors: tensors.map { .init(name: $0, elementType: type, shape: shape, bytes: raw) },
                metadata: metadata, to: path)
        }
    }

    @Test func readsSafetensors() throws {
        let folder = try MeteorTestSupport.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("v.safetensors").path
        let beside = folder.appendingPathComponent("v.txt")
        let words = #"["dog", "caf\u00e9", "car"]"#
        for type in [ElementType.float16, .bfloat16, .float32, .float64] {
            try write(path, type, metadata: ["words": words])
            let vectors = try WordVectors(contentsOf: path)
            #expect(vectors.values == Self.table && vectors.dimension == 2, "\(type)")
            #expect(vectors.row(of: "caf\u{E9}".utf8) == 1)
            let kept = try WordVectors(contentsOf: path, keeping: [Array("car".utf8)])
            #expect(kept.values == [0, 10] && kept.row(of: "dog".utf8) == nil)
        }
        // Metadata wins over a list beside the file; without metadata the list counts, and is part of the hash.
        try Data("a\nb\r\nc\n".utf8).write(to: beside)
        #expect(try WordVectors(contentsOf: path).row(of: "dog".utf8) == 0)
        try write(path)
        let first = try WordVectors(contentsOf: path)
        #expect(first.row(of: "b".utf8) == 1 && first.count == 3)
        try Data("a\nb\nd\n".utf8).write(to: beside)
        #expect(try WordVectors(contentsOf: path).hash != first.hash)

        func error(_ expected: String, _ got: String) -> CaptionDataError {
            .wordVectors(path: path, expected: expected, got: got)
        }
        try Data("a\nb\n".utf8).write(to: beside)
        #expect(throws: error("3 words in '\(beside.path)', one per row of 'vectors'", "2")) {
            try WordVectors(contentsOf: path)
        }
        try FileManager.default.removeItem(at: beside)
        #expect(
            throws: error(
                "the words of its rows: metadata 'words' (a JSON array) or the file '\(beside.path)' (one per line)",
                "neither")
        ) { try WordVectors(contentsOf: path) }
        try write(path, .int32, metadata: ["words": words])
        #expect(throws: error("a tensor of F16, BF16, F32 or F64", "'vectors' of I32")) {
            try WordVectors(contentsOf: path)
        }
        try write(path, shape: [6], metadata: ["words": words])
        #expect(throws: error("a tensor [words, dimension]", "'vectors' of shape [6]")) {
            try WordVectors(contentsOf: path)
        }
        try write(path, tensors: ["a", "b"])
        #expect(throws: error("one tensor [words, dimension]", "2 tensors")) { try WordVectors(contentsOf: path) }
        try write(path, metadata: ["words": "dog cat"])
        #expect(
            throws: CaptionFileError.malformed(
                path: "\(path), metadata 'words'", line: 1, column: 1, expected: "'['", got: "'dog cat'")
        ) { try WordVectors(contentsOf: path) }
    }
}
