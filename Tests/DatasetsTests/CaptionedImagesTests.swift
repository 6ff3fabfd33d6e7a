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
        #expect(set.images.map(\.id) == [3, 9])
        #expect(set.images[0].captions == ["b ", "a"])
        #expect(set.captionCount == 3)
        #expect(set.format == .coco && set.withoutCaption == 1)
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

    @Test(arguments: [
        (#"{"images": {}}"#, "images: expected an array, got an object"),
        (#"{"images": [], "annotations": []}"#, "holds no captioned image"),
        (#"{"images": [{"file_name": "a"}]}"#, "images[0].id: expected a whole number, got nothing"),
        (
            #"{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "caption": "c"}]}"#,
            "annotations[0].image_id: expected the id of an image in the file, got 2"
        ),
        (#"{"images": ["#, "top level: expected JSON, got the text ends too early, at column 13"),
        (
            #"{"images": [{"filename": "a", "imgid": 0, "split": "test", "sentences": []}]}"#,
            "images[0].sentences: expected at least one caption, got none"
        ),
    ])
    func brokenFilesAreNamed(json: String, problem: String) throws {
        let path = try folder.write(json, to: "broken.json")
        let text = message { _ = try CaptionedImages(path: path) }
        #expect(text == (problem.hasPrefix("holds") ? "'\(path)' \(problem)" : "'\(path)': \(problem)"))
    }
}
