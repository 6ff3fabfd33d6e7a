import Files
import Foundation
import Synchronization

/// What a command says to its user.
///
/// Notes go to standard error and never stop work: a full disk under `2>log`, a closed descriptor or a reader that left
/// cost the note, nothing else. Results go to standard output; a result that cannot be written is an error.
public enum Terminal {
    /// Writes a line to standard error. Control characters in it (from the names of files, say) are spelt out.
    public static func note(_ text: String) { write(printable(text) + "\n") }

    /// Writes text as it is to standard error, escape sequences included.
    public static func write(_ text: String) {
        // Nobody can be told where this goes wrong.
        if !Output.write(Array(text.utf8), to: STDERR_FILENO), errno == EPIPE {
            pipeClosed.store(true, ordering: .relaxed)
        }
    }

    private static let pipeClosed = Atomic(false)

    /// Whether a write found that its reader had left.
    static var isPipeClosed: Bool { pipeClosed.load(ordering: .relaxed) }

    /// Writes a result for people to standard output, at once. Control characters in it are spelt out.
    /// - Throws: ``FileError`` when it cannot be written.
    public static func output(_ text: String, terminator: String = "\n") throws(FileError) {
        try write(Array((printable(text) + terminator).utf8))
    }

    /// Writes a result for programs to standard output, at once: the same JSON, with control characters as escapes.
    /// - Throws: ``FileError`` when it cannot be written.
    public static func output(json: String, terminator: String = "\n") throws(FileError) {
        try write(Array((escaped(json) + terminator).utf8))
    }

    /// JSON escapes the controls below U+0020 itself; the others can stand in its strings alone.
    private static func escaped(_ json: String) -> String {
        guard json.unicodeScalars.contains(where: isControl) else { return json }
        return json.unicodeScalars.reduce(into: "") { text, scalar in
            if isControl(scalar) {
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
    }

    private static func write(_ bytes: [UInt8]) throws(FileError) {
        // What `print` still holds comes first.
        fflush(nil)
        guard Output.write(bytes, to: STDOUT_FILENO) else {
            let code = errno
            if code == EPIPE { pipeClosed.store(true, ordering: .relaxed) }
            throw .system("standard output", "writing", code)
        }
    }

    /// Fills the descriptors 0, 1 and 2 where the caller closed them, so that the first file opened does not get the number
    /// of standard output and receive what is printed. Writing to these says that nobody can read it.
    public static func reserveDescriptors() {
        for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) < 0 {
            // The lowest free number is the one that is missing, since those below it are open.
            _ = open("/dev/null", O_RDONLY)
        }
    }
}
