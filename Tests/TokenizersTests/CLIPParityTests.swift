import Foundation
import TestSupport
import Testing

@testable import Tokenizers

/// Ids against `transformers` 5.23 and open_clip 3.3 with ftfy 6.3.1.
@Suite struct CLIPParityTests {
    struct Tiny: Decodable {
        let rows: [[String]]
        let batch: String
        let mask: Int
        let openAIBatch: String
        let decoded: [String]
    }

    struct Full: Decodable { let rows: [[String]] }

    /// Texts whose ids differ from the reference's.
    private func differing(_ rows: [[String]], _ tokenizer: CLIPTokenizer) -> [String] {
        rows.filter { row in
            let expected = tokenizer.cleaning == .openAI && row.count == 3 ? row[2] : row[1]
            return tokenizer.encode(row[0]).map { Int($0) } != unpacked(expected)
        }.map { $0[0] }
    }

    @Test(arguments: ["clip-tiny", "clip-tiny-json"]) func tinyVocabulary(_ folder: String) throws {
        let tiny = try decodeFixture("clip-tiny.json", as: Tiny.self)
        #expect(tiny.rows.count == 400)
        #expect(try differing(tiny.rows, CLIPTokenizer(folder: fixture(folder))) == [])
        #expect(try differing(tiny.rows, CLIPTokenizer(folder: fixture(folder), cleaning: .openAI)) == [])
    }

    @Test func batches() throws {
        let tiny = try decodeFixture("clip-tiny.json", as: Tiny.self)
        let texts = tiny.rows.map { $0[0] }
        let model = try CLIPTokenizer(folder: fixture("clip-tiny-json"))
        let batch = try model.encode(texts, contextLength: 16, truncation: .truncate)
        #expect(batch.ids.map { Int($0) } == unpacked(tiny.batch))
        #expect(batch.attentionMask.reduce(0, +) == Int64(tiny.mask))
        let openAI = try CLIPTokenizer(folder: fixture("clip-tiny"), cleaning: .openAI, padding: .zero)
        let zeros = try openAI.encode(texts, contextLength: 16, truncation: .truncate)
        #expect(zeros.ids.map { Int($0) } == unpacked(tiny.openAIBatch))
        #expect(batch.truncatedRows == texts.indices.filter { model.encode(texts[$0]).count > 14 })
        #expect(batch.truncatedRows.count > 10)
        for row in batch.truncatedRows { #expect(batch.row(row).last == Int64(model.endID)) }
    }

    @Test func decoding() throws {
        let tiny = try decodeFixture("clip-tiny.json", as: Tiny.self)
        let tokenizer = try CLIPTokenizer(folder: fixture("clip-tiny-json"))
        for (row, decoded) in zip(tiny.rows, tiny.decoded) {
            let ids = [tokenizer.startID!] + unpacked(row[1]) + [tokenizer.endID]
            #expect(Array(tokenizer.decode(ids, skippingSpecial: true).utf8) == Array(decoded.utf8))
        }
        // Tables of embeddings may be longer than the vocabulary.
        #expect(tokenizer.decode([64, 914, -1, 1 << 40, 65]) == tokenizer.decode([64, 65]))
        #expect(tokenizer.bytes(of: 914) == [] && tokenizer.bytes(of: 64) == Array("a".utf8))
    }

    @Test(.enabled(if: FullVocabulary.isThere)) func fullVocabulary() throws {
        let folder = try TemporaryFolder()
        let merges = try FullVocabulary.clipMerges(into: folder)
        let full = try decodeFixture("clip-full.json", as: Full.self)
        #expect(full.rows.count == 2000)
        for cleaning in [CLIPCleaning.huggingFace, .openAI] {
            let tokenizer = try CLIPTokenizer(openAIMerges: merges, cleaning: cleaning)
            #expect(tokenizer.startID == 49406 && tokenizer.endID == 49407 && tokenizer.vocabularySize == 49408)
            let wrong = differing(full.rows, tokenizer)
            print("report: CLIP \(cleaning): \(wrong.count) of \(full.rows.count) captions differ from the reference")
            #expect(wrong == [])
        }
    }

    /// Scalars of planes 0 and 1, beside letters, a space and an apostrophe: those that Unicode 14 knows, since the
    /// references' libraries follow different later versions. Every 32nd block of 64; all with `GMAIL_EXHAUSTIVE=1`.
    @Test(.enabled(if: FullVocabulary.isThere)) func scalars() throws {
        let folder = try TemporaryFolder()
        let merges = try FullVocabulary.clipMerges(into: folder)
        let sums = try decodeFixture("clip-scalars.json", as: [String: String].self)
        let step: UInt32 = ProcessInfo.processInfo.environment["GMAIL_EXHAUSTIVE"] == nil ? 32 : 1
        for (cleaning, name) in [(CLIPCleaning.huggingFace, "huggingFace"), (.openAI, "openAI")] {
            let tokenizer = try CLIPTokenizer(openAIMerges: merges, cleaning: cleaning)
            let expected = Array(sums[name]!.utf8)
            var wrong: [UInt32] = []
            for block in stride(from: 13 % step, to: UInt32(0x20000 / 64), by: Int(step)) {
                var crc = CRC32()
                for value in block * 64..<block * 64 + 64 {
                    guard let c = Unicode.Scalar(value), c.properties.generalCategory != .unassigned,
                        let age = c.properties.age, age.major <= 14
                    else { continue }
                    crc.update(tokenizer.encode("x\(c)y \(c)1 '\(c)"))
                }
                let sum = String(decoding: expected[Int(block) * 8..<Int(block) * 8 + 8], as: UTF8.self)
                if crc.value != UInt32(sum, radix: 16) { wrong.append(block * 64) }
            }
            print("report: CLIP \(cleaning), scalars: blocks that differ:", wrong.map { String($0, radix: 16) })
            #expect(wrong == [])
        }
    }
}
