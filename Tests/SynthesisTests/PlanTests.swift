import Datasets
import Files
import Foundation
import TestSupport
import Testing

@testable import Synthesis

@Suite struct ImageSeedTests {
    /// Fixed for ever: other values are other images. Computed by a second implementation, in Python integers, from the
    /// description at `ImageSeed`.
    static let table: [(seed: UInt64, row: Int, image: Int, expected: UInt64)] = [
        (0, 0, 0, 1829387618856068),
        (0, 1, 0, 2456140911577981),
        (0, 0, 1, 1509926161720061),
        (42, 0, 0, 3786024908582596),
        (42, 1, 0, 5941206980712179),
        (42, 413999, 4, 6659634358032172),
        (18446744073709551615, 16777215, 255, 8861848189481108),
        (7, 16777216, 0, 5883733142052370),
    ]

    @Test(arguments: table.indices)
    func seedsAreThoseOfTheTable(index: Int) {
        let (seed, row, image, expected) = Self.table[index]
        #expect(ImageSeed.derive(seed: seed, row: row, image: image) == expected)
    }

    /// The generator reads the low half only, so that half must never repeat within a run.
    @Test func noTwoImagesOfARunBeginWithTheSameNoise() {
        var seen = Set<UInt32>()
        for row in 0..<50_000 {
            for image in 0..<4 {
                seen.insert(UInt32(truncatingIfNeeded: ImageSeed.derive(seed: 7, row: row * 317, image: image)))
            }
        }
        #expect(seen.count == 200_000)
    }

    @Test func seedsFitTheNumbersOfJSON() {
        for row in 0..<1000 {
            #expect(ImageSeed.derive(seed: .max, row: row, image: row % 3) < 1 << 53)
        }
    }

    /// Every input bit moves about half of the low bits, the run's seed too.
    @Test func seedsAreSpread() {
        func low(_ seed: UInt64, _ row: Int, _ image: Int) -> UInt32 {
            UInt32(truncatingIfNeeded: ImageSeed.derive(seed: seed, row: row, image: image))
        }
        var flipped = 0
        let trials = 2000
        for row in 0..<trials {
            flipped += (low(1, row, 0) ^ low(1, row ^ 1, 0)).nonzeroBitCount
            flipped += (low(1, row, 0) ^ low(1, row, 1)).nonzeroBitCount
            flipped += (low(1, row, 0) ^ low(2, row, 0)).nonzeroBitCount
        }
        let mean = Double(flipped) / Double(3 * trials)
        #expect(abs(mean - 16) < 0.5, "\(mean)")
    }
}

@Suite struct PlanTests {
    @Test(arguments: [(10, 1, 3, nil), (10, 3, 4, nil), (1, 2, 5, nil), (23, 2, 7, 9), (8, 1, 8, 100)])
    func shardsAreDisjointAndComplete(rowCount: Int, images: Int, shards: Int, limit: Int?) throws {
        var seen: [PlannedImage] = []
        for index in 0..<shards {
            let plan = try SynthesisPlan(
                rows: rows(rowCount), limit: limit, imagesPerCaption: images,
                shard: Shard(parsing: "\(index)/\(shards)"), batchSize: 3)
            seen += (0..<plan.count).map(plan.image(at:))
            #expect(plan.totalCount == min(rowCount, limit ?? rowCount) * images)
            #expect((0..<plan.blockCount).flatMap { Array(plan.block($0)) } == Array(0..<plan.count))
        }
        let used = min(rowCount, limit ?? rowCount)
        #expect(seen.count == used * images)
        #expect(Set(seen) == Set((0..<used).flatMap { row in (0..<images).map { PlannedImage(row: row, number: $0) } }))
    }

    @Test func idsAreUniqueWithSeveralImages() throws {
        let one = try SynthesisPlan(rows: rows(3), batchSize: 1)
        #expect(one.id(of: one.image(at: 2)) == "row-2")
        let two = try SynthesisPlan(rows: rows(3), imagesPerCaption: 2, batchSize: 1)
        #expect((0..<two.count).map { two.id(of: two.image(at: $0)) }.prefix(3) == ["row-0-0", "row-0-1", "row-1-0"])
    }

    /// Image 256 of a caption would have the noise of its image 0.
    @Test func moreImagesThanNoisesAreRefused() throws {
        #expect(
            ImageSeed.derive(seed: 1, row: 3, image: 256) & 0xFFFF_FFFF == ImageSeed.derive(seed: 1, row: 3, image: 0)
                & 0xFFFF_FFFF)
        #expect(
            ImageSeed.derive(seed: 1, row: 3, image: 255) & 0xFFFF_FFFF != ImageSeed.derive(seed: 1, row: 3, image: 0)
                & 0xFFFF_FFFF)
        _ = try SynthesisPlan(rows: rows(2), imagesPerCaption: 256, batchSize: 1)
        #expect(
            message { _ = try SynthesisPlan(rows: rows(2), imagesPerCaption: 257, batchSize: 1) }
                == "images per caption is 257, expected 1 to 256")
        #expect(message { _ = try SynthesisPlan(rows: rows(2), batchSize: 0) } == "batch size is 0, expected 1 or more")
    }

    @Test func keysAreUniqueOverTheSetWhateverTheShard() throws {
        var keys: [String] = []
        for index in 0..<3 {
            let plan = try SynthesisPlan(
                rows: rows(7), imagesPerCaption: 2, shard: Shard(parsing: "\(index)/3"), batchSize: 2)
            keys += (0..<plan.count).map { plan.key(of: plan.image(at: $0)) }
        }
        #expect(keys.sorted() == (0..<14).map { "0000000" + ($0 < 10 ? "0" : "") + "\($0)" })
    }

    @Test func filesAreSpreadOverFolders() {
        let name = SynthesisPlan.fileName(of: PlannedImage(row: 123_456, number: 2), ending: "png")
        #expect(name == "00123/00123456-2.png")
    }

    @Test func relativePathsLeadFromFolderToFile() {
        for (target, folder, expected) in [
            ("/data/real/1.jpg", "/data/out", "../real/1.jpg"), ("/data/out/x.png", "/data/out", "x.png"),
            ("/a/b", "/c/d/e", "../../../a/b"), ("/a/./b/../c.jpg", "/a/", "c.jpg"), ("p/q.jpg", "p/out", "../q.jpg"),
            // Canonically equal names are two folders, and a combining character does not hide a slash.
            ("/e\u{301}/x.jpg", "/\u{e9}", "../e\u{301}/x.jpg"), ("/a/\u{301}b/c.jpg", "/a", "\u{301}b/c.jpg"),
        ] {
            #expect(SynthesisFolder.relativePath(of: target, from: folder) == expected)
        }
    }
}

@Suite struct CaptionRowsTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func textLinesAreRows() throws {
        let path = try folder.write("a red cube\r\n  two balls \nthe end", to: "a.txt")
        let file = try CaptionRows(path: path)
        #expect(
            file.rows == [
                CaptionRow(id: "00000000", caption: "a red cube"), CaptionRow(id: "00000001", caption: "  two balls "),
                CaptionRow(id: "00000002", caption: "the end"),
            ])
        #expect(file.contentHash == ContentHash.sha256(of: "a red cube\r\n  two balls \nthe end"))
    }

    @Test func objectsAreRows() throws {
        let path = try folder.write(
            #"{"id": "x", "caption": "a cat", "image": "real/x.jpg"}"# + "\n\n" + #"{"caption": "é", "id": 7}"# + "\n",
            to: "a.jsonl")
        #expect(
            try CaptionRows(path: path).rows == [
                CaptionRow(id: "x", caption: "a cat", image: "real/x.jpg"), CaptionRow(id: "7", caption: "é"),
            ])
    }

    @Test func cocoCaptionsAreRowsInTheOrderOfImages() throws {
        let path = try folder.write(
            """
            {"images": [{"id": 9, "file_name": "9.jpg"}, {"id": 2, "file_name": "2.jpg"}],
             "annotations": [{"image_id": 9, "caption": "nine"}, {"image_id": 2, "caption": "two"},
                             {"image_id": 9, "caption": "nine again"}]}
            """, to: "captions_train2014.json")
        #expect(
            try CaptionRows(path: path).rows == [
                CaptionRow(id: "coco-2-0", caption: "two", image: "2.jpg"),
                CaptionRow(id: "coco-9-0", caption: "nine", image: "9.jpg"),
                CaptionRow(id: "coco-9-1", caption: "nine again", image: "9.jpg"),
            ])
    }

    private func karpathy(_ name: String, _ splits: [String]) throws -> String {
        let images = splits.enumerated().map { index, split in
            #"{"imgid": \#(index), "filename": "\#(index).jpg", "split": "\#(split)", "sentences": [{"raw": "c \#(index)"}]}"#
        }
        return try folder.write("\u{FEFF}{\"images\": [\(images.joined(separator: ", "))]}", to: name)
    }

    /// Captions that results are measured on become training pairs only when somebody asks for them.
    @Test func splitsOfKarpathysFileAreChosen() throws {
        let path = try karpathy("dataset_coco.json", ["train", "test", "restval", "val", "train"])
        let table: [(asked: String?, ids: [Int], used: String)] = [
            (nil, [0, 2, 4], "train+restval"), ("train", [0, 4], "train"), ("test", [1], "test"),
            ("val+test", [1, 3], "val+test"), ("train+restval+val+test", [0, 1, 2, 3, 4], "train+restval+val+test"),
        ]
        for (asked, ids, used) in table {
            let file = try CaptionRows(path: path, split: asked)
            #expect(file.rows.map(\.id) == ids.map { "coco-\($0)-0" })
            #expect(file.split == used)
        }
        let flickr = try CaptionRows(path: karpathy("dataset_flickr30k.json", ["test", "train"]))
        #expect(flickr.rows.map(\.id) == ["flickr30k-1-0"] && flickr.split == "train")
        let measured = try karpathy("dataset_coco.json", ["test", "val"])
        #expect(
            message { _ = try CaptionRows(path: measured) }
                == "'\(measured)': no split 'train+restval'; the file has test, val")
        #expect(message { _ = try CaptionRows(path: path, split: "train+vel") }.contains("no split 'train+vel'"))
        #expect(message { _ = try CaptionRows(path: path, split: "") }.contains("no split ''"))
        let text = try folder.write("one", to: "a.txt")
        #expect(
            message { _ = try CaptionRows(path: text, split: "train") }.contains("expected a Karpathy file (.json)"))
        #expect(try CaptionRows(path: text).split == nil)
    }

    /// Every layout of captions files makes rows; names of images are ids as they stand.
    @Test func otherLayoutsAreRows() throws {
        let list = try folder.write(
            #"[{"image": "x/p0.png", "caption": ["one", "two"]}, {"image": "val2014/COCO_val2014_000000000007.jpg", "caption": "three"}]"#,
            to: "list.json")
        #expect(
            try CaptionRows(path: list).rows == [
                CaptionRow(id: "x/p0.png-0", caption: "one", image: "x/p0.png"),
                CaptionRow(id: "x/p0.png-1", caption: "two", image: "x/p0.png"),
                CaptionRow(id: "coco-7-0", caption: "three", image: "val2014/COCO_val2014_000000000007.jpg"),
            ])
        let byImage = try folder.write(#"{"7": ["one"]}"#, to: "gts.json")
        #expect(try CaptionRows(path: byImage).rows == [CaptionRow(id: "coco-7-0", caption: "one")])
        // The content decides, not the ending.
        let lines = try folder.write(#"{"id": "a", "caption": "x"}"#, to: "lines.json")
        #expect(try CaptionRows(path: lines).rows == [CaptionRow(id: "a", caption: "x")])
        #expect(
            message { _ = try CaptionRows(path: lines, split: "train") }.contains("expected a Karpathy file (.json)"))
        #expect(
            message { _ = try CaptionRows(path: list, split: "train") }
                == "'\(list)': split 'train' asked for, but the file names no splits; leave the split out")
    }

    @Test func emptyAndRepeatedEntriesOfJSONAreSeen() throws {
        let path = try folder.write(
            #"{"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [{"image_id": 1, "caption": " \n"}, {"image_id": 1, "caption": "x"}]}"#,
            to: "a.json")
        let file = try CaptionRows(path: path)
        #expect(file.rows.map(\.id) == ["coco-1-1"] && file.emptyCount == 1)
        let twice = try folder.write(
            #"{"images": [{"imgid": 3, "filename": "a", "split": "train", "sentences": [{"raw": "x"}]}, {"imgid": 3, "filename": "b", "split": "train", "sentences": [{"raw": "y"}]}]}"#,
            to: "b.json")
        #expect(
            message { _ = try CaptionRows(path: twice) }.contains(
                "images[1].imgid: expected an id of its own, got 3 again"))
    }

    /// Lines end at LF or CRLF, ids are bytes, marks are skipped; pipes are no files.
    @Test func textIsReadAsEverywhere() throws {
        let separated = "one\u{2028}still one\u{85}\rand here\r\ntwo\u{0C}"
        let path = try folder.write("\u{FEFF}" + separated, to: "a.txt")
        #expect(
            try CaptionRows(path: path).rows.map(\.caption) == [
                "one\u{2028}still one\u{85}\rand here", "two\u{0C}",
            ])
        let objects = try folder.write(
            "\u{FEFF}{\"id\": \"caf\u{e9}\", \"caption\": \"a\u{2028}b\"}\r\n{\"id\": \"cafe\u{301}\", \"caption\": \"c\"}\n",
            to: "a.jsonl")
        #expect(try CaptionRows(path: objects).rows.map(\.caption) == ["a\u{2028}b", "c"])
        for name in ["p.txt", "p.jsonl", "p.json"] {
            #expect(mkfifo(folder.file(name), 0o600) == 0)
            let text = message { _ = try CaptionRows(path: folder.file(name)) }
            #expect(text == "'\(folder.file(name))' is a named pipe; expected a regular file")
        }
    }
}
