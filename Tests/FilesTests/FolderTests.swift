import Foundation
import TestSupport
import Testing

@testable import Files

@Suite struct FolderTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The lock is held by whoever has the object, and gone with it.
    @Test func oneWriterAtATime() throws {
        var first: FolderLock? = try FolderLock(folder: folder.path, owner: "gmail align")
        #expect(first != nil)
        #expect(
            throws: FileError.locked(path: folder.path, owner: "gmail align, process \(getpid())")
        ) { try FolderLock(folder: folder.path, owner: "gmail align") }
        #expect(
            message { _ = try FolderLock(folder: folder.path, owner: "x") }
                == "'\(folder.path)' is in use by gmail align, process \(getpid()); wait until it has ended, or choose "
                + "another folder")
        _ = try FolderLock(folder: folder.path, name: ".lock-1", owner: "another part")
        first = nil
        _ = try FolderLock(folder: folder.path, owner: "gmail align")
    }

    /// A link with the lock's name could point at any file of the user's.
    @Test func aLinkIsNoLock() throws {
        let other = try folder.write("mine", to: "other")
        symlink(other, folder(".lock"))
        #expect(throws: FileError.self) { try FolderLock(folder: folder.path, owner: "x") }
        symlink(other, folder(".out.lock"))
        #expect(throws: FileError.self) { try OutputLock(for: folder("out"), owner: "x") }
        #expect(try RegularFile.bytes(other) == Array("mine".utf8))
    }

    /// The lock of a result lies beside it while it is held, and nowhere afterwards.
    @Test func oneWriterOfAFile() throws {
        let out = folder("out.json")
        var first: OutputLock? = try OutputLock(for: out, owner: "gmail embed")
        #expect(first != nil)
        #expect(throws: FileError.locked(path: out, owner: "gmail embed, process \(getpid())")) {
            try OutputLock(for: out, owner: "gmail embed")
        }
        // Other names in the folder are free, also those that look alike or are as long as a name may be.
        for name in ["e\u{301}", "\u{E9}", String(repeating: "n", count: 255)] {
            withExtendedLifetime(try OutputLock(for: folder(name), owner: "x")) {}
        }
        #expect(try folder.contents == [".out.json.lock"])
        first = nil
        #expect(try folder.contents == [])
        // What a killed process left holds nothing.
        try folder.write("gmail embed, process 1\n", to: ".out.json.lock")
        withExtendedLifetime(try OutputLock(for: out, owner: "x")) {}
        #expect(try folder.contents == [])
        #expect(
            message { _ = try OutputLock(for: folder("no/out"), owner: "x") }
                == "cannot write '\(folder("no/out"))': No such file or directory; does its folder exist, and may you write "
                + "there?")
    }

    @Test func copiesFilesAndFolders() throws {
        try folder.write("1", to: "a/b/one")
        try folder.write("2", to: "a/two")
        symlink(folder("a/b"), folder("a/link"))
        #expect(try FileSystem.files(below: folder("a")) == ["b/one", "link", "two"])
        try FileSystem.remove(folder("a/link"))
        try FileSystem.copy(folder("a"), to: folder("c"))
        #expect(try FileSystem.files(below: folder("c")) == ["b/one", "two"])
        #expect(try RegularFile.bytes(folder("c/two")) == Array("2".utf8))
        try FileSystem.recreateFolder(folder("c"))
        #expect(try FileSystem.entries(folder("c")) == [])
    }

    @Test func createAndRemove() throws {
        try FileSystem.createFolder(folder("a/b/c"))
        try FileSystem.createFolder(folder("a/b/c"))
        try folder.write("x", to: "a/b/file")
        symlink(folder("a/b/file"), folder("a/link"))
        let expected = FileError.failed(
            path: folder("a/b/file"), operation: "creating the folder", reason: "File exists")
        #expect(throws: expected) { try FileSystem.createFolder(folder("a/b/file")) }
        #expect(
            throws: FileError.failed(
                path: folder("a/b/file/d"), operation: "creating the folder", reason: "Not a directory")
        ) { try FileSystem.createFolder(folder("a/b/file/d")) }
        try FileSystem.remove(folder("a/link"))
        #expect(FileSystem.exists(folder("a/b/file")))
        try FileSystem.remove(folder("a"))
        try FileSystem.remove(folder("a"))
        #expect(!FileSystem.exists(folder("a")))
    }

    @Test(arguments: [("a/b", "a"), ("a", "."), ("/a", "/"), ("/a/b/", "/a"), ("/", "/")])
    func folderOfAPath(_ path: String, _ expected: String) { #expect(FileSystem.folder(of: path) == expected) }

    /// A remembered hash is that of the file as it is now, whatever its modification time says.
    @Test func rememberedHashes() throws {
        let hashes = FileHashes(memory: folder("cache/sha256.json"))
        let path = try folder.write("one", to: "weights")
        #expect(try hashes.sha256(of: path) == ContentHash.sha256(of: "one"))
        var before = stat()
        stat(path, &before)
        // In place, with the same length and the old modification time.
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.write(contentsOf: Data("two".utf8))
        try handle.close()
        var times = [before.st_atim, before.st_mtim]
        utimensat(AT_FDCWD, path, &times, 0)
        #expect(try hashes.sha256(of: path) == ContentHash.sha256(of: "two"))
        try folder.write("{broken", to: "cache/sha256.json")
        #expect(try hashes.sha256(of: path) == ContentHash.sha256(of: "two"))
    }
}
