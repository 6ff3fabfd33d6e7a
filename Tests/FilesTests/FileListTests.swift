import Files
import Foundation
import TestSupport
import Testing

@Suite struct FileListTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func list(_ paths: [String]) throws -> FileList {
        try FileList(paths) { $0 == "jpg" ? .wanted : $0 == "heic" ? .refused(reason: "no decoder") : .other }
    }

    private func names(_ paths: [String]) -> [String] { paths.map { String($0.dropFirst(folder.path.utf8.count + 1)) } }

    @Test func sortedByBytesBelowFolders() throws {
        for name in ["b/x.jpg", "a.jpg", "b/Z.JPG", "c.txt", "é.jpg", ".hidden.jpg", "d.heic"] {
            try folder.write("x", to: name)
        }
        let found = try list([folder.path + "/"])
        #expect(names(found.files) == [".hidden.jpg", "a.jpg", "b/Z.JPG", "b/x.jpg", "é.jpg"])
        #expect(found.skipped == [.init(path: folder("d.heic"), reason: "'\(folder("d.heic"))': no decoder")])
    }

    /// What is named itself is taken, in the order of the arguments; a path that is not there is an error.
    @Test func filesByName() throws {
        try folder.write("x", to: "photo.dat")
        try folder.write("x", to: "a.jpg")
        #expect(try names(list([folder("photo.dat"), folder("a.jpg")]).files) == ["photo.dat", "a.jpg"])
        #expect(throws: FileError.cannotOpen(path: folder("none"), reason: "No such file or directory")) {
            try list([folder("none")])
        }
    }

    /// Links are followed, to folders too; a folder is entered once, so that loops end.
    @Test func links() throws {
        try folder.write("x", to: "real/1.jpg")
        try folder.write("x", to: "tree/2.jpg")
        symlink("\(folder.path)/real", folder("tree/link"))
        symlink("..", folder("tree/up"))
        symlink(folder("tree"), folder("top"))
        symlink("nowhere", folder("tree/broken.jpg"))
        symlink("nowhere", folder("tree/broken.txt"))
        let found = try list([folder("top")])
        #expect(names(found.files) == ["top/2.jpg", "top/link/1.jpg"])
        #expect(
            found.skipped.map(\.reason) == [
                "cannot read '\(folder("top/broken.jpg"))': No such file or directory"
            ])
    }

    /// Two names that Swift calls equal are two files; a name that is not UTF-8 is told.
    @Test func namesAreBytes() throws {
        try folder.write("x", to: "e\u{301}.jpg")
        try folder.write("x", to: "\u{E9}.jpg")
        let broken = Array(folder.path.utf8) + [0x2F, 0xFF, 0x2E, 0x6A, 0x70, 0x67, 0]
        let descriptor = broken.withUnsafeBytes {
            open($0.baseAddress!.assumingMemoryBound(to: CChar.self), O_CREAT | O_WRONLY, 0o600)
        }
        close(descriptor)
        defer {
            _ = broken.withUnsafeBytes { unlink($0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
        }
        let found = try list([folder.path])
        #expect(Set(found.files.map { ExactString($0) }).count == 2)
        #expect(found.files.count == 2)
        #expect(found.skipped.map(\.path) == ["\(folder.path)/\\xFF.jpg"])
    }
}

@Suite struct ExactStringTests {
    @Test func comparesBytes() {
        let (composed, decomposed) = (ExactString("\u{E9}"), ExactString("e\u{301}"))
        #expect(composed.string == decomposed.string)
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed, ExactString("\u{E9}")]).count == 2)
        #expect(decomposed < composed)
    }

    @Test func errorsNameTheBeginningOfALongText() {
        #expect(abbreviated("a\nb\r\nc") == "a b c")
        #expect(abbreviated(String(repeating: "x", count: 100)) == String(repeating: "x", count: 100))
        #expect(abbreviated(String(repeating: "x", count: 101)) == String(repeating: "x", count: 100) + "…")
    }

    @Test func controlCharactersAreSpeltOut() {
        #expect(printable("a\tb\nc é 日") == "a\tb\nc é 日")
        #expect(printable("\u{1B}[31mred\u{7}\u{202E}\r\u{9B}") == "\\u{1B}[31mred\\u{7}\\u{202E}\\u{D}\\u{9B}")
    }
}
