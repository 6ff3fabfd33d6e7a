/// How long one text may be: a caption, a prompt, a line to embed.
///
/// Models read some hundred tokens of it. What is longer than the limit is no caption but a file in the wrong place, and
/// tokenizing and counting it would take minutes before it is cut.
public enum TextLimit {
    /// Bytes of UTF-8.
    public static let bytes = 1 << 20

    /// - Parameter place: where in the file the text stands, such as `line 3`.
    /// - Throws: ``FileError/textTooLong(path:place:bytes:limit:)``.
    public static func check(_ text: String, path: String, place: @autoclosure () -> String) throws(FileError) {
        guard text.utf8.count > bytes else { return }
        throw .textTooLong(path: path, place: place(), bytes: text.utf8.count, limit: bytes)
    }
}
