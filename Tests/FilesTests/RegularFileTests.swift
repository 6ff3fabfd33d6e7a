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
        symlink("/dev/null", folder("link"))
        let socket = try boundSocket(folder("s"))
        defer { close(socket) }
        for (name, got) in [
            (folder("pipe"), "a named pipe"), (folder("folder"), "a folder"), ("/dev/zero", "a device"),
            (folder("link"), "a device"), (folder("s"), "a socket"),
        ] {
            let expected = FileError.notRegularFile(path: name, got: got)
            // As a target it would be replaced.
            #expect(throws: expected) { try RegularFile.checkTarget(name) }
            #expect(throws: expected) { try AtomicFile.write("x", to: name) }
            #expect(throws: expected) { try OutputLock(for: name, owner: "x") }
            #expect(throws: expected) { try RegularFile.bytes(name) }
            #expect(throws: expected) { try MappedFile(path: name) }
            #expect(throws: expected) { try ContentHash.sha256(ofFile: name) }
        }
        #expect(
            message { _ = try RegularFile.bytes(folder("pipe")) }
                == "'\(folder("pipe"))' is a named pipe; expected a regular file")
    }

    /// A socket's name: nothing can be opened there.
    private func boundSocket(_ path: String) throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        try #require(path.utf8.count < MemoryLayout.size(ofValue: address.sun_path))
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        return descriptor
    }

    /// What is there already as a file may be replaced, and so may a link to one.
    @Test func targets() throws {
        let file = try folder.write("x", to: "file")
        symlink(file, folder("link"))
        symlink("nowhere", folder("broken"))
        for name in ["file", "link", "broken", "new"] { try RegularFile.checkTarget(folder(name)) }
        #expect(throws: FileError.self) { try RegularFile.checkTarget("a\u{0}b") }
    }

    @Test func textsHaveALimit() {
        #expect(TextLimit.excess(of: String(repeating: "é", count: 1 << 19)) == nil)
        #expect(TextLimit.excess(of: String(repeating: "é", count: 1 << 19) + "a") == "1048577 bytes")
        #expect(TextLimit.expectation == "a text of at most 1048576 bytes")
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
