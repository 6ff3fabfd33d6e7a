/// The lines of a text file, the one way in which every reader here cuts text into lines.
///
/// A line ends at LF or CRLF and nowhere else: U+2028, U+0085, form feeds and lone carriage returns are characters of the
/// line, as they are for Python's `open(newline="\n")` and JSON Lines. A byte-order mark at the start is skipped. The end
/// of the last line is no line of its own.
public struct TextLines: Sequence, Sendable {
    /// The file's content without its byte-order mark.
    private let bytes: [UInt8]
    private let path: String

    /// - Throws: ``FileError``.
    public init(path: String) throws(FileError) {
        let bytes = try RegularFile.bytes(path)
        try PlaceholderFile.refuse(bytes, path: path)
        self.init(bytes, path: path)
    }

    /// - Parameter path: what errors call the text.
    public init(_ bytes: [UInt8], path: String) {
        self.bytes = Self.hasMark(bytes) ? Array(bytes.dropFirst(3)) : bytes
        self.path = path
    }

    private static func hasMark(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0xEF, 0xBB, 0xBF]) }

    /// One line, without its end.
    public struct Line: Sendable {
        /// From 1.
        public let number: Int
        public let bytes: ArraySlice<UInt8>
        fileprivate let path: String

        /// Whether there is nothing but blanks on the line.
        public var isBlank: Bool { !bytes.contains { $0 > 0x20 } }

        /// - Throws: ``FileError/notUTF8(path:line:)``.
        public var text: String {
            get throws(FileError) {
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw .notUTF8(path: path, line: number)
                }
                return text
            }
        }
    }

    public struct Iterator: IteratorProtocol {
        fileprivate let lines: TextLines
        private var start = 0
        private var number = 0

        fileprivate init(_ lines: TextLines) { self.lines = lines }

        public mutating func next() -> Line? {
            let bytes = lines.bytes
            guard start < bytes.count else { return nil }
            let end = bytes[start...].firstIndex(of: 0x0A) ?? bytes.count
            let isCRLF = end > start && end < bytes.count && bytes[end - 1] == 0x0D
            number += 1
            defer { start = end + 1 }
            return Line(number: number, bytes: bytes[start..<(isCRLF ? end - 1 : end)], path: lines.path)
        }
    }

    public func makeIterator() -> Iterator { Iterator(self) }

    /// The text of every line.
    /// - Throws: ``FileError/notUTF8(path:line:)``.
    public func texts() throws(FileError) -> [String] {
        var texts: [String] = []
        for line in self { texts.append(try line.text) }
        return texts
    }
}
