import Files
import Foundation
import TestSupport
import Testing

@testable import Images

@Suite struct ImageFilesTests {
    @Test func imagesAreListedAndForeignOnesNamed() throws {
        let folder = try TemporaryFolder()
        let images = [
            "a.JPG", "b.jfif", "c.jpe", "d.tif", "e.avif", "f.HEIC", "g.gif", "h.bmp", "sub/i.webp", "sub/j.png",
        ]
        for name in images + ["k.psd", "l.JXL", "sub/m.svg", "notes.txt", "data.json", "README"] {
            try folder.write("x", to: name)
        }
        let list = try ImageFiles.list([folder.path])
        #expect(list.files == images.map { folder($0) })
        #expect(list.skipped.map(\.path) == ["k.psd", "l.JXL", "sub/m.svg"].map { folder($0) })
        #expect(
            list.skipped[1].reason
                == "'\(folder("l.JXL"))': it is JPEG XL, which is not decoded; expected JPEG, PNG, WebP, GIF, BMP, TIFF, "
                + "AVIF or HEIC. Convert it first")
        // Named by itself, a file is taken whatever it is called.
        #expect(try ImageFiles.list([folder("README")]).files == [folder("README")])
        #expect(message { _ = try ImageFiles.list([folder("nowhere")]) }.contains("No such file or directory"))
    }

    /// Links to folders are followed, loops end, and names that only look alike are two files.
    @Test func treesWithLinksAndNamesThatLookAlike() throws {
        let folder = try TemporaryFolder()
        try folder.write("x", to: "real/\u{E9}.png")
        try folder.write("x", to: "real/e\u{301}.png")
        try FileSystem.createFolder(folder("top"))
        #expect(symlink(folder("real"), folder("top/link")) == 0)
        #expect(symlink(folder("top"), folder("real/back")) == 0)
        let list = try ImageFiles.list([folder("top")])
        #expect(Set(list.files.map { ExactString($0) }).count == 2 && list.files.count == 2)
    }

    @Test func everyEndingHasOneVerdict() {
        for format in ImageFormat.allCases {
            for ending in format.endings {
                guard case .wanted = ImageFiles.verdict(ending: ending) else {
                    Issue.record("\(ending)")
                    continue
                }
            }
        }
        #expect(Set(ImageFormat.allCases.flatMap(\.endings)).count == ImageFormat.allCases.flatMap(\.endings).count)
    }

    @Test func nothingFoundSaysWhatCounts() {
        #expect(
            ImageFiles.nothingFound(in: ["a", "b"], skipped: [])
                == "no image (.jpg, .png, .webp, .gif, .bmp, .tif, .avif, .heic) in 'a', 'b'")
        #expect(
            ImageFiles.nothingFound(in: ["a"], skipped: [.init(path: "a/x.psd", reason: "'a/x.psd': why")])
                .hasSuffix("in 'a'; 1 skipped, the first: 'a/x.psd': why"))
    }
}
