/// How long one text may be: a caption, a prompt, a line to embed.
///
/// Models read some hundred tokens of it. What is longer than the limit is no caption but a file in the wrong place, and
/// tokenizing and counting it would take minutes before it is cut.
public enum TextLimit {
    /// Bytes of UTF-8.
    public static let bytes = 1 << 20

    /// What an error expects.
    public static let expectation = "a text of at most \(bytes) bytes"

    /// What an error got in its place; nil for a text within the limit.
    public static func excess(of text: String) -> String? {
        text.utf8.count > bytes ? "\(text.utf8.count) bytes" : nil
    }
}
