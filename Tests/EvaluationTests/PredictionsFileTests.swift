import CaptionFiles
import Files
import Foundation
import TestSupport
import Testing

@testable import Evaluation

@Suite struct PredictionsFileTests {
    private let folder: TemporaryFolder
    private var path: String { folder("scores/predictions.jsonl") }

    init() throws { folder = try TemporaryFolder() }

    private func open(_ tags: [String: String] = ["run": "a", "beam": "5"]) throws -> PredictionsFile {
        try PredictionsFile(path: path, tags: tags, owner: "gmail evaluate captioning")
    }

    private func prediction(_ id: ImageID, _ caption: String) -> Prediction {
        Prediction(
            imageID: id, file: "\(id).png", path: "in/\(id).png", caption: caption, references: ["r", "é\u{2028}s"])
    }

    private var ids: [ImageID] { [.name("x/p0.png"), .number(7), .large(.max)] }

    @Test func whatIsDoneIsThereAgain() throws {
        do {
            let file = try open()
            #expect(file.done.isEmpty)
            try file.append(prediction(ids[1], "a cat"))
            try file.append(prediction(ids[0], "a dog"))
        }
        // A last line without its end was cut by a crash.
        let partial = path + ".partial"
        let whole = try RegularFile.bytes(partial)
        try AtomicFile.write(whole + Array(#"{"caption": "half"#.utf8), to: partial)
        let file = try open()
        #expect(file.done == [ids[1]: prediction(ids[1], "a cat"), ids[0]: prediction(ids[0], "a dog")])
        try file.append(prediction(ids[2], "a fox"))
        let lines = try file.finish(ids)
        #expect(lines.map(\.caption) == ["a dog", "a cat", "a fox"])
        #expect(!FileSystem.exists(partial))
        let read = try CaptionFile(contentsOf: path)
        #expect(read.format == .lines && read.entries.map(\.imageID) == ids && read.lines == [1, 2, 3])
        #expect(
            try TextLines(path: path).texts()[2]
                == #"{"caption":"a fox","file":"18446744073709551615.png","image_id":18446744073709551615,"path":"in/18446744073709551615.png","references":["r","é\#u{2028}s"]}"#
        )
    }

    /// Other settings make other captions: none of the old ones is taken.
    @Test func otherTagsBeginAnew() throws {
        do { try open().append(prediction(ids[1], "a cat")) }
        #expect(try open(["run": "a", "beam": "1"]).done.isEmpty)
        #expect(try open().done.isEmpty)
    }

    @Test func twoProcessesDoNotMix() throws {
        let first = try open()
        #expect(
            message { _ = try open() }.hasPrefix(
                "'\(path)' is in use by gmail evaluate captioning, process"),
            "\(message { _ = try open() })")
        // Another file in the folder is another's.
        _ = try PredictionsFile(path: folder("scores/other.jsonl"), tags: [:], owner: "gmail evaluate captioning")
        try first.append(prediction(ids[1], "a cat"))
    }

    @Test func aBrokenRecordIsNamed() throws {
        do { try open().append(prediction(ids[1], "a cat")) }
        let partial = path + ".partial"
        try AtomicFile.write(RegularFile.bytes(partial) + Array("{\"image_id\": 7}\n".utf8), to: partial)
        #expect(
            message { _ = try open() }
                == "'\(partial)' line 3 is no record of a captioned image; remove the file to begin anew")
    }

    @Test func messages() {
        #expect(
            CaptioningEvaluationError.unreadableImages(count: 3, total: 9, first: ["a", "b"]).description
                == "3 of 9 images could not be read, and scores without them would be over another set: a; b; …")
    }
}

@Suite struct CaptioningSetTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func imagesOfAnyIdentifierAreFound() throws {
        for name in ["img/a.png", "img/b.png", "img/c.png", "img/d.png"] { try folder.write("", to: name) }
        let file = try folder.write(
            #"""
            {"images": [{"id": 18446744073709551615, "file_name": "d.png"}, {"id": "s", "file_name": "a.png"}, {"id": 2.0, "file_name": "val/b.png"}, {"id": 5, "file_name": "c.png"}],
             "annotations": [{"image_id": "s", "caption": "x"}, {"image_id": 2, "caption": "y"}, {"image_id": 2.0, "caption": "z"}, {"image_id": 18446744073709551615, "caption": "w"}]}
            """#, to: "c.json")
        let set = try CaptioningSet(file: file, folder: folder("img"), split: nil, limit: nil)
        #expect(set.images.map(\.id) == [.number(2), .large(.max), .name("s")])
        #expect(set.paths == ["b.png", "d.png", "a.png"].map { folder("img/\($0)") })
        #expect(set.notes == ["1 images of '\(file)' have no caption and are left out: c.png"])
        #expect(
            set.references.entries.map(\.caption) == ["y", "z", "w", "x"] && set.references.hash == set.contentHash)
        let part = try CaptioningSet(file: file, folder: folder("img"), split: nil, limit: 1)
        #expect(part.images.map(\.id) == [.number(2)] && part.paths.count == 1)
        // Only what is captioned must be there.
        try FileSystem.remove(folder("img/a.png"))
        #expect(try CaptioningSet(file: file, folder: folder("img"), split: nil, limit: 2).paths.count == 2)
        #expect(
            message { _ = try CaptioningSet(file: file, folder: folder("img"), split: nil, limit: nil) }
                == "1 of 3 images of '\(file)' are not in '\(folder("img"))': a.png; every image must be there, or results would "
                + "be of another set")
    }

    @Test func karpathysTestSplitIsMeant() throws {
        try folder.write("", to: "a.png")
        let file = try folder.write(
            #"{"images": [{"filename": "a.png", "imgid": 0, "split": "test", "sentences": [{"raw": "x"}]}, {"filename": "b.png", "imgid": 1, "split": "train", "sentences": [{"raw": "y"}]}]}"#,
            to: "k.json")
        let set = try CaptioningSet(file: file, folder: folder.path, split: nil, limit: nil)
        #expect(set.split == "test" && set.images.map(\.id) == [.number(0)])
        #expect(
            message { _ = try CaptioningSet(file: file, folder: folder.path, split: "val", limit: nil) }
                == "'\(file)': no split 'val'; the file has test, train")
    }
}
