/// The words of captions as numbers: words with equal bytes have equal numbers, from 1.
///
/// Captions are numbered image by image: the references of image 0, its candidate, those of image 1, …
struct WordIndex: Sendable {
    enum Separator: Sendable {
        /// Every character at which Python's `str.split()` splits; runs count as one, and there are no empty words.
        case whitespace
        /// Single blanks, as in Python's `split(' ')`: an empty caption has one empty word.
        case blank
    }

    let words: [Int32]
    /// Where each caption starts in `words`, and the end.
    let captionStarts: [Int]
    /// Number of the first caption of each image, and the end. The last caption of an image is its candidate.
    let imageStarts: [Int]

    var imageCount: Int { imageStarts.count - 1 }

    func references(of image: Int) -> Range<Int> { imageStarts[image]..<imageStarts[image + 1] - 1 }
    func candidate(of image: Int) -> Int { imageStarts[image + 1] - 1 }
    func range(of caption: Int) -> Range<Int> { captionStarts[caption]..<captionStarts[caption + 1] }

    init(_ captions: TokenizedCaptions, separator: Separator) {
        var interner = WordInterner()
        var words: [Int32] = []
        var captionStarts = [0]
        var imageStarts = [0]
        func add(_ caption: String) {
            var caption = caption
            caption.withUTF8 { bytes in
                switch separator {
                case .whitespace: Self.splitAtWhitespace(bytes) { words.append(interner.number(of: $0)) }
                case .blank: Self.splitAtBlanks(bytes) { words.append(interner.number(of: $0)) }
                }
            }
            captionStarts.append(words.count)
        }
        for (references, candidate) in zip(captions.references, captions.candidates) {
            for reference in references { add(reference) }
            add(candidate)
            imageStarts.append(captionStarts.count - 1)
        }
        self.words = words
        self.captionStarts = captionStarts
        self.imageStarts = imageStarts
    }

    static func splitAtBlanks(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void) {
        var start = 0
        for index in 0..<bytes.count where bytes[index] == 0x20 {
            body(UnsafeBufferPointer(rebasing: bytes[start..<index]))
            start = index + 1
        }
        body(UnsafeBufferPointer(rebasing: bytes[start...]))
    }

    static func splitAtWhitespace(
        _ bytes: UnsafeBufferPointer<UInt8>, _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) {
        var start = 0
        var index = 0
        while index < bytes.count {
            let length = whitespaceLength(bytes, index)
            if length > 0 {
                if index > start { body(UnsafeBufferPointer(rebasing: bytes[start..<index])) }
                index += length
                start = index
            } else {
                index += 1
            }
        }
        if index > start { body(UnsafeBufferPointer(rebasing: bytes[start..<index])) }
    }

    /// The length in bytes of the white space at `index`, or 0. The set is Python's `str.isspace`.
    @inline(__always)
    private static func whitespaceLength(_ bytes: UnsafeBufferPointer<UInt8>, _ index: Int) -> Int {
        let byte = bytes[index]
        if byte < 0x80 { return byte == 0x20 || (0x09...0x0D).contains(byte) || (0x1C...0x1F).contains(byte) ? 1 : 0 }
        func next(_ offset: Int) -> UInt8 { index + offset < bytes.count ? bytes[index + offset] : 0 }
        switch byte {
        case 0xC2: return next(1) == 0x85 || next(1) == 0xA0 ? 2 : 0  // U+0085, U+00A0
        case 0xE1: return next(1) == 0x9A && next(2) == 0x80 ? 3 : 0  // U+1680
        case 0xE2:
            if next(1) == 0x80 {  // U+2000-200A, 2028, 2029, 202F
                return (0x80...0x8A).contains(next(2)) || [0xA8, 0xA9, 0xAF].contains(next(2)) ? 3 : 0
            }
            return next(1) == 0x81 && next(2) == 0x9F ? 3 : 0  // U+205F
        case 0xE3: return next(1) == 0x80 && next(2) == 0x80 ? 3 : 0  // U+3000
        default: return 0
        }
    }
}

/// Gives equal byte strings equal numbers, from 1, in the order of first appearance.
private struct WordInterner {
    private var bytes: [UInt8] = []
    private var starts: [Int] = [0]
    /// Open addressing: the number of the word in each slot, 0 if free.
    private var slots = [Int32](repeating: 0, count: 1 << 12)

    mutating func number(of word: UnsafeBufferPointer<UInt8>) -> Int32 {
        var slot = Self.hash(word) & (slots.count - 1)
        while slots[slot] != 0 {
            let number = Int(slots[slot])
            if equals(word, number) { return Int32(number) }
            slot = (slot + 1) & (slots.count - 1)
        }
        bytes.append(contentsOf: word)
        starts.append(bytes.count)
        let number = Int32(starts.count - 1)
        slots[slot] = number
        if starts.count * 2 > slots.count { grow() }
        return number
    }

    private func equals(_ word: UnsafeBufferPointer<UInt8>, _ number: Int) -> Bool {
        let start = starts[number - 1]
        guard starts[number] - start == word.count else { return false }
        for index in 0..<word.count where bytes[start + index] != word[index] { return false }
        return true
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        bytes.withUnsafeBufferPointer { bytes in
            for number in 1..<starts.count {
                let word = UnsafeBufferPointer(rebasing: bytes[starts[number - 1]..<starts[number]])
                var slot = Self.hash(word) & (slots.count - 1)
                while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
                slots[slot] = Int32(number)
            }
        }
    }

    /// FNV-1a, its high bits folded in.
    private static func hash(_ word: UnsafeBufferPointer<UInt8>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in word { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 29)) & 0x7FFF_FFFF)
    }
}
