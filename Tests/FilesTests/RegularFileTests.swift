import Files
import Foundation
import TestSupport
import Testing

/// What is opened must be a regular file: a pipe would be waited for without end.
@Suite struct RegularFileTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func readsBytes() throws {
        let bytes = (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(try RegularFile.bytes(folder.write(bytes, to: "a")) == bytes)
        #expect(try RegularFile.bytes(folder.write([], to: "empty")) == [])
    }

    @Test(.timeLimit(.minutes(1))) func refusesWhatIsNoFile() throws {
        mkfifo(folder("pipe"), 0o600)
        try FileSystem.createFolder(folder("folder"))
        for (name, got) in [
            (folder("pipe"), "a named pipe"), (folder("folder"), "a folder"), ("/dev/zero", "a device"),
        ] {
            let expected = FileError.notRegularFile(path: name, got: got)
            #expect(throws: expected) { try RegularFile.bytes(name) }
            #expect(throws: expected) { try MappedFile(path: name) }
            #expect(throws: expected) { try ContentHash.sha256(ofFile: name) }
        }
        #expect(
            message { _ = try RegularFile.bytes(folder("pipe")) }
                == "'\(folder("pipe"))' is a named pipe; expected a regular file")
    }

    @Test func saysWhyItCannotOpen() {
        #expect(throws: FileError.cannotOpen(path: folder("none"), reason: "No such file or directory")) {
            try RegularFile.bytes(folder("none"))
        }
        #expect(
            message { _ = try RegularFile.bytes("a\u{0}b") }
                == "cannot read 'a\\u{0}b': its name has a NUL character in it")
    }

    @Test(arguments: [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n", "a git-lfs pointer"),
        ("<!DOCTYPE html><html></html>", "a web page"),
        ("\u{FEFF}  \n<HTML lang=en>", "a web page"),
    ]) func namesPlaceholders(_ text: String, _ what: String) throws {
        do {
            try PlaceholderFile.refuse(Array(text.utf8), path: "w")
            Issue.record("nothing was refused")
        } catch {
            guard case .placeholder("w", let got, _) = error else { throw error }
            #expect(got == what)
        }
        try PlaceholderFile.refuse(Array("{\"a\": \"<html>\"}".utf8), path: "w")
        try PlaceholderFile.refuse([], path: "w")
    }
}
