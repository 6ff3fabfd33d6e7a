import Encoders
import Foundation
import Testing
import Tokenizers
import Torch
import TorchNN

@testable import Miniature

private func temporaryFolder() throws -> String {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("miniature-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}

@Suite struct BPETrainingTests {
    @Test func mergesTheMostFrequentPairFirst() {
        let training = BPETraining(texts: ["low low low", "lower", "new new"], mergeLimit: 4)
        // lo 4; then o-w</w> is 3 as low's ending, but after "lo" it is lo-w</w> 3; n-e and e-w</w> are 2, l-o-w-e-r 1.
        #expect(training.merges.map { "\($0.left) \($0.right)" } == ["l o", "lo w</w>", "e w</w>", "n ew</w>"])
    }

    @Test func gpt2WordsKeepTheirSpaceAndCase() throws {
        let training = BPETraining(texts: ["A ball. A ball", "a ball"], mergeLimit: 5, style: .gpt2)
        // Ġ is the space; " ball" comes three times, its pairs in the order of bytes.
        #expect(
            training.merges.map { "\($0.left) \($0.right)" } == ["a l", "al l", "b all", "Ġ ball", "Ġ A"])
        #expect(training.vocabulary.count == 256 + 5 + 1 && training.vocabulary.last == "<|endoftext|>")
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try LanguageModelObjective.writeTokenizer(training, contextLength: 32, to: folder)
        let tokenizer = try GPT2Tokenizer(folder: folder)
        #expect(tokenizer.vocabularySize == 262 && tokenizer.endID == 261 && training.endID == 261)
        #expect(tokenizer.encode(" ball").count == 1 && tokenizer.encode(" A ball").count == 2)
        for text in ["A ball. A ball", "  Ein Café,\n3 Bälle & 12 €! "] {
            #expect(try tokenizer.decode(tokenizer.encode(text).map(Int.init)) == text)
        }
    }

    @Test func tokenizerReadsItsFilesAndGoesThereAndBack() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let captions = World(seed: 0).scenes(.train, count: 60).flatMap(CaptionGrammar.captions(for:))
        let vocabulary = BPETraining(texts: captions, mergeLimit: 300)
        let configuration = MiniatureCLIP.configuration(vocabulary: vocabulary)
        try MiniatureCLIP.writeFiles(configuration, vocabulary: vocabulary, to: folder)
        let tokenizer = try CLIPTokenizer(folder: folder)
        #expect(tokenizer.vocabularySize == vocabulary.vocabulary.count)
        #expect(tokenizer.endID == vocabulary.endID && tokenizer.startID == vocabulary.startID)
        #expect(tokenizer.contextLength == 48)
        for caption in captions + ["Ein Café, 3 Bälle & 12 €!"] {
            let ids = tokenizer.tokens(caption).map(Int.init)
            let text = try tokenizer.decode(ids)
            func letters(_ text: String) -> String { text.lowercased().filter { !$0.isWhitespace } }
            #expect(letters(text) == letters(caption))
        }
        // A frequent word is one token.
        #expect(tokenizer.tokens("table").count == 1)
        #expect(try CLIPConfiguration(folder: folder).text.contextLength == 48)
    }
}
