import CaptionFiles
import Datasets
import Foundation
import Testing

@Suite struct CaptionedImagesTests {
    let folder = try! TemporaryFolder()

    @Test func cocoImagesComeByIDWithTheirCaptionsInFileOrder() throws {
        let path = try folder.write(
            #"""
            {"info": {}, "images": [{"id": 9, "file_name": "9.jpg"}, {"id": 3, "file_name": "3.jpg"}, {"id": 5, "file_name": "5.jpg"}],
             "annotations": [{"id": 1, "image_id": 3, "caption": "b "}, {"id": 2, "image_id": 9, "caption": "x"},
                             {"id": 0, "image_id": 3, "caption": "a"}]}
            """#, to: "coco.json")
        let set = try CaptionedImages(path: path)
        #expect(set.images.map(\.id) == [.number(3), .number(9)])
        #expect(set.images[0].captions == ["b ", "a"])
        #expect(set.captionCount == 3)
        #expect(set.format == .coco && set.withoutCaption == ["5.jpg"])
        #expect(
            set.withoutCaptionNote == "1 images of '\(path)' have no caption and are left out: 5.jpg")
        #expect(
            message { _ = try CaptionedImages(path: path, split: "test") }
                == "'\(path)': split 'test' asked for, but the file names no splits; leave the split out")
    }

    let karpathy = #"""
        {"dataset": "coco", "images": [
          {"filepath": "val2014", "filename": "a.jpg", "cocoid": 8, "imgid": 0, "split": "test", "sentences": [{"raw": "one", "tokens": ["one"]}, {"raw": "two"}]},
          {"filename": "b.jpg", "imgid": 1, "split": "restval", "sentences": [{"raw": "three"}]}]}
        """#

    @Test func karpathySplitsAreSelected() throws {
        let path = try folder.write(karpathy, to: "dataset_coco.json")
        #expect(try CaptionedImages(path: path).images.count == 2)
        let test = try CaptionedImages(path: path, split: "test")
        #expect(
            test.images == [
                try #require(CaptionedImages(path: path).images.first)
            ])
        #expect(test.images[0].fileName == "val2014/a.jpg")
        #expect(test.images[0].captions == ["one", "two"])
        #expect(
            message { _ = try CaptionedImages(path: path, split: "val") }
                == "'\(path)': no split 'val'; the file has restval, test")
    }

    @Test func filesAreLookedForBelowTheFolder() throws {
        let path = try folder.write(karpathy, to: "dataset_coco.json")
        let test = try CaptionedImages(path: path, defaultSplit: "test")
        #expect(test.split == "test" && test.format == .karpathy && test.images.count == 1)
        #expect(
            message { _ = try test.fileNames(below: folder.path) }
                == "1 of 1 images of '\(path)' are not in '\(folder.path)': val2014/a.jpg; every image must be there, or results would be of another set"
        )
        try folder.write("", to: "a.jpg")
        #expect(try test.fileNames(below: folder.path) == ["a.jpg"])
        try FileManager.default.createDirectory(atPath: folder.file("val2014"), withIntermediateDirectories: true)
        try folder.write("", to: "val2014/a.jpg")
        #expect(try test.fileNames(below: folder.path) == ["val2014/a.jpg"])
    }

    /// A flat folder has one file for two names that differ in their folders.
    @Test func noFileStandsForTwoImages() throws {
        let path = try folder.write(
            #"[{"image": "x/p0.png", "caption": "a"}, {"image": "y/p0.png", "caption": "b"}, {"image": "q.png", "caption": "c"}]"#,
            to: "list.json")
        let set = try CaptionedImages(path: path)
        #expect(set.format == .list && set.images.map(\.id) == [.name("x/p0.png"), .name("y/p0.png"), .name("q.png")])
        try folder.write("", to: "q.png")
        // Neither is there: missing, not one for the other.
        #expect(
            message { _ = try set.fileNames(below: folder.path) }.hasPrefix("2 of 3 images of '\(path)' are not in"))
        try folder.write("", to: "p0.png")
        #expect(
            message { _ = try set.fileNames(below: folder.path) }
                == "'x/p0.png' and 'y/p0.png' of '\(path)' would both be read from '\(folder.path)/p0.png'; keep the folders "
                + "that the names begin with")
        #expect(try set.first(1).fileNames(below: folder.path) == ["p0.png"])
        // With one of the folders each has a file of its own.
        try FileManager.default.createDirectory(atPath: folder.file("y"), withIntermediateDirectories: true)
        try folder.write("", to: "y/p0.png")
        #expect(try set.fileNames(below: folder.path) == ["p0.png", "y/p0.png", "q.png"])
        // A file that is named without folders belongs to that image alone.
        let both = try folder.write(
            #"[{"image": "p0.png", "caption": "a"}, {"image": "x/p0.png", "caption": "b"}]"#, to: "both.json")
        #expect(
            message { _ = try CaptionedImages(path: both).fileNames(below: folder.path) }.hasPrefix(
                "'p0.png' and 'x/p0.png' of"))
    }

    @Test func filesThatNameNoImagesAreRefused() throws {
        let path = try folder.write(#"{"7": ["a"]}"#, to: "gts.json")
        #expect(
            message { _ = try CaptionedImages(path: path).fileNames(below: folder.path) }
                == "'\(path)' names no image files; expected COCO captions with 'images', Karpathy's file, or a list or JSON "
                + "Lines whose entries have 'image'")
    }

    /// Images of other splits without captions are nobody's concern.
    @Test func imagesWithoutCaptionsAreCounted() throws {
        let path = try folder.write(
            #"{"images": [{"filename": "a", "imgid": 0, "split": "test", "sentences": []}, {"filename": "b", "imgid": 1, "split": "train", "sentences": []}, {"filename": "c", "imgid": 2, "split": "test", "sentences": [{"raw": "x"}]}]}"#,
            to: "k.json")
        let set = try CaptionedImages(path: path, split: "test")
        #expect(set.images.map(\.fileName) == ["c"] && set.withoutCaption == ["a"])
        #expect(
            message { _ = try CaptionedImages(path: path, split: "train") }
                == "'\(path)' holds no captioned image in split 'train'")
    }

    @Test(arguments: [
        (#"{"images": {}}"#, "', images: expected an array, got an object"),
        (#"{"images": [], "annotations": []}"#, "' holds no captioned image"),
        (#"{"images": [{"file_name": "a"}], "annotations": []}"#, "', images[0].id: expected an image id, got nothing"),
        (
            #"{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "caption": "c"}]}"#,
            "', annotations[0].image_id: expected the id of an image in the file, got 2"
        ),
        (
            #"{"images": ["#,
            "' is not valid JSON: line 1, column 13: expected a value, got the end of the file"
        ),
        (
            #"{"images": [{"filename": "a", "imgid": 0, "sentences": [{"raw": "x"}]}]}"#,
            "', images[0].split: expected a string, got nothing"
        ),
    ])
    func brokenFilesAreNamed(json: String, problem: String) throws {
        let path = try folder.write(json, to: "broken.json")
        #expect(message { _ = try CaptionedImages(path: path) } == "'\(path)\(problem)")
    }
}
