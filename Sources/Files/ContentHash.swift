/// SHA-256 of content, as 64 lower-case hexadecimal digits: what `sha256sum` prints.
public enum ContentHash {
    public static func sha256(of bytes: UnsafeRawBufferPointer) -> String {
        var hasher = SHA256()
        hasher.update(bytes)
        return hexadecimal(hasher.finish())
    }

    public static func sha256(of bytes: [UInt8]) -> String { bytes.withUnsafeBytes { sha256(of: $0) } }

    public static func sha256(of text: String) -> String { sha256(of: Array(text.utf8)) }

    /// The hash of a file's content; the file is mapped, not read into memory.
    /// - Throws: ``FileError/cannotOpen(path:reason:)``, ``FileError/notRegularFile(path:got:)``.
    public static func sha256(ofFile path: String) throws(FileError) -> String {
        let file = try MappedFile(path: path)
        return file.withUnsafeBytes { sha256(of: $0) }
    }

    /// Digits of a digest.
    public static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
