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

    /// Writes a result to standard output, at once.
    /// - Throws: ``FileError`` when it cannot be written.
    public static func output(_ text: String, terminator: String = "\n") throws(FileError) {
        try output(Array((text + terminator).utf8))
    }

    public static func output(_ bytes: [UInt8]) throws(FileError) {
        // What `print` still holds comes first.
        fflush(nil)
        guard Output.write(bytes, to: STDOUT_FILENO) else {
            let code = errno
            if code == EPIPE { pipeClosed.store(true, ordering: .relaxed) }
            throw .system("standard output", "writing", code)
        }
    }
}
