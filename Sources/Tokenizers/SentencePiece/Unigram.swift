/// Splits a text into the pieces whose scores have the largest sum (Kudo 2018, arXiv 1804.10959), by dynamic programming
/// over the ends of pieces.
///
/// SentencePiece adds scores up in 32 bits and the `tokenizers` library in 64, which decides between paths that are nearly
/// equal; hence the type.
struct Unigram<Score: BinaryFloatingPoint & Sendable>: Sendable {
    private let trie: PieceTrie
    private let scores: [Score]
    private let unknownScore: Score
    /// The id of what has no piece.
    let unknownID: Int32

    /// - Parameters:
    ///   - pieces: those that are looked for, with their ids.
    ///   - scores: by id.
    ///   - lowest: the lowest score of a piece; what is unknown has 10 less.
    init(pieces: [(text: [UInt8], id: Int32)], scores: [Score], lowest: Score, unknownID: Int32) {
        trie = PieceTrie(pieces.map { ($0.text, $0.id) })
        self.scores = scores
        unknownScore = lowest - 10
        self.unknownID = unknownID
    }

    private struct Node {
        var id: Int32 = -1
        var start = -1
        var score: Score = 0
    }

    /// The best path: ids and where their texts end, in order. Unknown characters stand one by one.
    func split(_ text: UnsafeBufferPointer<UInt8>) -> [(id: Int32, end: Int)] {
        var best = [Node](repeating: Node(), count: text.count + 1)
        var start = 0
        while start < text.count {
            let reached = best[start].score
            let length = min(Self.characterLength(text[start]), text.count - start)
            var hasSingle = false
            func offer(_ id: Int32, _ end: Int, _ score: Score) {
                let total = score + reached
                if best[end].start < 0 || total > best[end].score {
                    best[end] = Node(id: id, start: start, score: total)
                }
            }
            trie.pieces(in: text, from: start) { count, id in
                offer(id, start + count, scores[Int(id)])
                if count == length { hasSingle = true }
            }
            if !hasSingle { offer(unknownID, start + length, unknownScore) }
            start += length
        }
        var path: [(id: Int32, end: Int)] = []
        var end = text.count
        while end > 0 {
            path.append((best[end].id, end))
            end = best[end].start
        }
        return path.reversed()
    }

    private static func characterLength(_ lead: UInt8) -> Int {
        lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
    }
}
