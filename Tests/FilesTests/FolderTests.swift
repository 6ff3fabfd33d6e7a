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
