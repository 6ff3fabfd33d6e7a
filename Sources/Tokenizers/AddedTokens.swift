/// Tokens that are found in the text as a whole, before anything else splits it.
struct AddedTokens: Sendable {
    private let tokens: [(content: [UInt8], id: Int32)]
    private var isFirstByte = [Bool](repeating: false, count: 256)

    init(_ tokens: [(content: [UInt8], id: Int32)]) {
        // The longest wins where several match.
        self.tokens = tokens.filter { !$0.content.isEmpty }.sorted { $0.content.count > $1.content.count }
        for token in self.tokens { isFirstByte[Int(token.content[0])] = true }
    }

    /// Calls `piece` for the stretches between tokens and `token` for the tokens, in order.
    func split(
        _ text: UnsafeBufferPointer<UInt8>, piece: (UnsafeBufferPointer<UInt8>) -> Void, token: (Int32) -> Void
    ) {
        var start = 0
        var i = 0
        while i < text.count {
            if isFirstByte[Int(text[i])], let match = match(text, at: i) {
                if i > start { piece(UnsafeBufferPointer(rebasing: text[start..<i])) }
                token(match.id)
                i += match.content.count
                start = i
            } else {
                i += 1
            }
        }
        if start < text.count { piece(UnsafeBufferPointer(rebasing: text[start...])) }
    }

    private func match(_ text: UnsafeBufferPointer<UInt8>, at i: Int) -> (content: [UInt8], id: Int32)? {
        tokens.first { token in
            i + token.content.count <= text.count && text[i..<i + token.content.count].elementsEqual(token.content)
        }
    }
}
