import CaptionFiles
import Foundation
import TestSupport
import Testing

@Suite struct CaptionFileTests {
    private func read(_ text: String, withImages: Bool = false) throws -> CaptionFile {
        try CaptionFile(Array(text.utf8), path: "f.json", withImages: withImages)
    }

    private static let two = [
        CaptionFile.Entry(imageID: .number(7), caption: "a dog"),
        CaptionFile.Entry(imageID: .number(7), caption: "b \"c\" é\n"),
    ]

    @Test(arguments: [
        (
            CaptionFile.Format.coco,
            #"{"info": {"a": [1, 2.5e3, null, true]}, "images": [{"id": 7}], "annotations": [{"image_id": 7, "id": 1, "caption": "a dog"}, {"caption": "b \"c\" \u00e9\n", "image_id": 7}]}"#
        ),
        (
            .coco,
            #"{"categories": [{"id": 5, "name": "x"}], "annotations": [{"image_id": 7, "image": 3, "caption": "a dog"}, {"caption": "b \"c\" é\n", "image_id": 7.0}]}"#
        ),
        (
            .list,
            #"[{"image_id": 7, "caption": "a dog", "x": {"y": []}}, {"image_id": 7, "caption": "b \"c\" é\n", "score": NaN}]"#
        ),
        (.list, #"[{"image_id": "7", "caption": ["a dog", "b \"c\" é\n"]}]"#),
        (.list, #"{"version": 1, "results": [{"image_id": 7, "caption": ["a dog", "b \"c\" é\n"]}]}"#),
        (
            .list,
            #"[{"image": "coco/val2014/COCO_val2014_000000000007.jpg", "caption": ["a dog", "b \"c\" é\n"]}]"#
        ),
        (
            .karpathy,
            #"{"dataset": "coco", "images": [{"sentids": [1], "imgid": 9, "sentences": [{"tokens": ["a"], "raw": "a dog"}, {"raw": "b \"c\" é\n"}], "cocoid": 7}, {"cocoid": 8, "sentences": []}]}"#
        ),
        (
            .lines,
            #"{"image_id": 7, "caption": "a dog"}"# + "\r\n\n  "
                + #"{"image": "x.jpg", "image_id": 7, "caption": "b \"c\" é\n"} "#
        ),
        (.lines, #"{"caption": ["a dog", "b \"c\" é\n"], "image_id": 7}"#),
        (.byImage, #"{"7": ["a dog", {"id": 3, "caption": "b \"c\" é\n"}]}"#),
        (.byImage, "\u{FEFF}" + #" { "7" : [ "a dog" , "b \"c\" \u00E9\u000a" ] , "8": []} "#),
    ])
    func readsEveryLayout(_ format: CaptionFile.Format, _ text: String) throws {
        let file = try read(text)
        #expect(file.format == format)
        #expect(file.entries == Self.two)
        #expect(file.images.isEmpty)
    }

    struct Case: Decodable {
        let name: String
        let text: String
        let entries: [[Value]]

        enum Value: Decodable {
            case id(ImageID)

            init(from decoder: any Decoder) throws { self = .id(try ImageID(from: decoder)) }

            var text: String { if case .id(let id) = self { id.description } else { "" } }
        }
    }

    /// What pycocotools 2.0.11 makes of odd files (Fixtures/make_pycocotools.py).
    @Test func readsWhatPycocotoolsReads() throws {
        let path = try #require(
            Bundle.module.url(forResource: "pycocotools", withExtension: "json", subdirectory: "Fixtures"))
        let cases = try JSONDecoder().decode([Case].self, from: Data(contentsOf: path))
        #expect(cases.count == 15)
        for item in cases {
            let entries = try read(item.text).entries
            let got = entries.map { [$0.imageID.description, $0.caption] }
            // pycocotools groups by image; the order within an image is the file's.
            #expect(
                got.sorted { $0[0] < $1[0] } == item.entries.map { $0.map(\.text) }.sorted { $0[0] < $1[0] },
                "\(item.name)")
        }
    }

    @Test(arguments: [
        ("7", ImageID.number(7)), ("7.0", .number(7)), ("7e2", .number(700)), ("-3", .number(-3)), ("0", .number(0)),
        ("-0.0", .number(0)), ("\"7\"", .number(7)), ("\"007\"", .name("007")), ("\"7.0\"", .name("7.0")),
        ("9223372036854775807", .number(.max)), ("9223372036854775808", .large(9_223_372_036_854_775_808)),
        ("18446744073709551615", .large(.max)), ("\"18446744073709551615\"", .large(.max)),
        ("-9223372036854775808", .number(.min)), ("1e19", .large(10_000_000_000_000_000_000)),
        ("\"a/b.jpg\"", .name("a/b.jpg")), ("123456789012345678", .number(123_456_789_012_345_678)),
        ("1234567890123456789", .number(1_234_567_890_123_456_789)),
    ])
    func identifiersAreNumbersOrNames(_ text: String, _ id: ImageID) throws {
        #expect(try read("[{\"image_id\": \(text), \"caption\": \"a\"}]").entries.map(\.imageID) == [id])
        // As JSON they come back the same.
        #expect(try JSONDecoder().decode([ImageID].self, from: JSONEncoder().encode([id])) == [id])
    }

    @Test(arguments: ["1.5", "18446744073709551616", "1e300", "NaN", "true", "null", "007", "1.", "-", "{}", "[7]"])
    func whatIsNoIdentifierIsNamed(_ text: String) {
        let got = message { _ = try read("[\n{\"image_id\": \(text), \"caption\": \"a\"}]") }
        #expect(
            got.hasPrefix("'f.json', [0].image_id (line 2): expected an image id (a whole number or a string), got "))
    }

    /// COCO's file names carry COCO's numbers; other names keep their folders. Names are compared byte by byte.
    @Test func imagesWithoutNumbersGoByTheirFiles() throws {
        let names = [
            "COCO_train2014_000000391895.jpg", "x/p0.png", "y/p0.png", "COCO_val2014_12.jpg", "COCO_000000391895.jpg",
            "caf\u{E9}.jpg", "cafe\u{301}.jpg",
        ]
        let list = names.map { "{\"image\": \"\($0)\", \"caption\": \"c\"}" }.joined(separator: ", ")
        let file = try read("[\(list)]", withImages: true)
        #expect(file.entries[0].imageID == .number(391895))
        #expect(file.entries.dropFirst().map(\.imageID.description) == Array(names.dropFirst()))
        #expect(Set(file.entries.map(\.imageID)).count == names.count)
        #expect(file.images.map { Array($0.fileName.utf8) } == names.map { Array($0.utf8) })
    }

    @Test func imagesComeWithTheirNames() throws {
        #expect(
            try read(
                #"{"annotations": [{"image_id": 3, "caption": "a"}], "images": [{"file_name": "4.jpg", "id": 4, "url": 1}, {"id": 3.0, "file_name": "3.jpg"}]}"#,
                withImages: true
            ).images == [.init(id: .number(4), fileName: "4.jpg"), .init(id: .number(3), fileName: "3.jpg")])
        #expect(
            try read(
                #"{"images": [{"filepath": "val", "filename": "a.jpg", "imgid": 2, "split": "test", "sentences": []}, {"filename": "b.jpg", "cocoid": 5, "imgid": 2, "split": "val", "sentences": [{"raw": "x"}]}]}"#,
                withImages: true
            ).images == [
                .init(id: .number(2), fileName: "val/a.jpg", split: "test"),
                .init(id: .number(5), fileName: "b.jpg", split: "val"),
            ])
        // Lists repeat an image for each of its captions.
        #expect(
            try read(
                #"[{"image": "a.jpg", "caption": "x"}, {"image": "a.jpg", "caption": "y"}, {"image_id": 4, "caption": "z", "image": null}]"#,
                withImages: true
            ).images == [.init(id: .name("a.jpg"), fileName: "a.jpg")])
    }

    @Test func linesKeepTheirIdentifiers() throws {
        let file = try CaptionFile(
            Array(
                "{\"id\": 7, \"caption\": \"a\", \"image\": \"p.jpg\"}\n\n{\"caption\": [\"b\", \"c\"], \"id\": \"x\"}"
                    .utf8),
            path: "f", withImages: true, lineKeys: ["id", "caption", "image"])
        #expect(
            file.entries == [
                .init(imageID: .name("p.jpg"), caption: "a", id: "7"),
                .init(imageID: .name("x"), caption: "b", id: "x"),
                .init(imageID: .name("x"), caption: "c", id: "x"),
            ])
        #expect(file.lines == [1, 3, 3])
        #expect(
            message {
                _ = try CaptionFile(
                    Array("{\"id\": 7, \"caption\": \"a\"}\n{\"id\": 8, \"imgae\": \"b\", \"caption\": \"c\"}".utf8),
                    path: "f",
                    withImages: true, lineKeys: ["id", "caption", "image"])
            } == "'f', line 2: expected no other keys than 'id', 'caption', 'image', got 'imgae'")
    }

    private static let layouts =
        "COCO captions {\"annotations\": [{\"image_id\", \"caption\"}]}, COCO results [{\"image_id\", \"caption\"}] or "
        + "{\"results\": […]}, Karpathy's {\"images\": [{\"filename\", \"sentences\": [{\"raw\"}]}]}, BLIP's and LAVIS's "
        + "[{\"image\", \"caption\"}], {\"image id\": [\"caption\", …]}, or JSON Lines of {\"image_id\" or \"image\", \"caption\"}"

    /// What a user sees, in full.
    private static let broken: [(text: String, message: String)] = [
        (
            #"[{"image_id": 1, "caption": "a"},]"#,
            "'f.json', [1]: expected an object with 'image_id' or 'image' and 'caption', got ']'"
        ),
        (#"[{"image_id": 1}]"#, "'f.json', [0] (image 1): expected 'caption', a string, got an entry without it"),
        (
            "{\"annotations\": [\n{\"image_id\": 1, \"caption\": \"a\"},\n{\"image\": \"x\", \"caption\": \"a\"}]}",
            "'f.json', annotations[1] (line 3): expected 'image_id', got an entry without it"
        ),
        (#"[{"caption": "a"}]"#, "'f.json', [0]: expected 'image_id' or 'image', got an entry without it"),
        (#"[{"image_id": 1, "caption": NaN}]"#, "'f.json', [0].caption: expected a string, got 'NaN}]'"),
        (#"[{"image_id": 1, "caption": null}]"#, "'f.json', [0].caption: expected a string, got null"),
        (#"[{"image_id": 1, "caption": ["a", 5]}]"#, "'f.json', [0].caption[1]: expected a string, got 5"),
        (
            "{\"1\": [\"a\"\n \"b\"]}",
            "'f.json' is not valid JSON: line 2, column 2: expected ',' or ']', got '\"b\"]}'"
        ),
        (
            #"{"1": ["a"]"#,
            "'f.json' is not valid JSON: line 1, column 12: expected ',' or '}', got the end of the file"
        ),
        (
            #"{"annotations": {}}"#, "'f.json', annotations: expected an array, got an object"
        ),
        (
            #"{"1": "a", "2": 5}"#,
            "'f.json', image 2: expected captions: strings, or objects with 'caption', got a number"
        ),
        (#"{"1": "a", "1": "b"}"#, "'f.json', image 1: expected each image once, got it again"),
        (
            #"{"model": 5}"#,
            "'f.json' holds captions in no layout that is read here: got an object whose 'model' holds a number, expected \(layouts)"
        ),
        ("\"a\"", "'f.json' holds captions in no layout that is read here: got a string, expected \(layouts)"),
        ("", "'f.json' holds captions in no layout that is read here: got the end of the file, expected \(layouts)"),
        (
            #"{"images": [{"id": 1, "file_name": "a"}]}"#,
            "'f.json', images[0]: expected 'sentences' (Karpathy's layout), or 'annotations' beside 'images' (COCO's), got neither"
        ),
        (
            #"{"images": [{"cocoid": 1, "sentences": [{"raw": "a"}, {"tokens": []}]}]}"#,
            "'f.json', images[0].sentences[1].raw: expected a string, got nothing"
        ),
        (
            #"{"images": [{"imgid": 3, "sentences": []}, {"imgid": 3, "sentences": []}]}"#,
            "'f.json', images[1].imgid: expected an id of its own, got 3 again"
        ),
        ("[] x", "'f.json' is not valid JSON: line 1, column 4: expected the end of the file, got 'x'"),
        (
            "{\"image_id\": 1, \"caption\": \"a\"}\n{\"image_id\": 2, \"caption\": 3}",
            "'f.json', line 2: caption: expected a string, got 3"
        ),
        (
            "{\"image_id\": 1, \"caption\": \"a\"} {\"image_id\": 2, \"caption\": \"b\"}",
            "'f.json' is not valid JSON: line 1, column 33: expected the end of the line, got '{\"image_id\":'"
        ),
        (
            "{\"image_id\": 1, \"caption\": \"a\"}\n[1]",
            "'f.json', line 2: expected an object with 'image_id', 'image' or 'id' and 'caption', got an array"
        ),
    ]

    @Test(arguments: broken.indices)
    func saysWhatIsWrong(_ index: Int) {
        #expect(message { _ = try read(Self.broken[index].text) } == Self.broken[index].message)
    }

    @Test func imagesThatDoNotFitAreNamed() {
        for (text, expected) in [
            (
                #"{"images": [{"id": 1, "file_name": "a"}], "annotations": [{"image_id": 2, "caption": "c"}]}"#,
                "'f.json', annotations[0].image_id: expected the id of an image in the file, got 2"
            ),
            (
                #"{"images": [{"file_name": "a"}], "annotations": []}"#,
                "'f.json', images[0].id: expected an image id, got nothing"
            ),
            (
                #"{"images": [{"id": 1, "file_name": "a"}, {"id": 1.0, "file_name": "b"}], "annotations": []}"#,
                "'f.json', images[1].id: expected an id of its own, got 1 again"
            ),
            (
                #"[{"image_id": 1, "image": "a", "caption": "x"}, {"image_id": 1, "image": "b", "caption": "x"}]"#,
                "'f.json', [1].image: expected 'a', which image 1 has above, got 'b'"
            ),
        ] {
            #expect(message { _ = try read(text, withImages: true) } == expected)
        }
    }

    /// Bytes that are no UTF-8 would become other captions.
    @Test func otherEncodingsAreRefused() {
        for bytes in [[0x63, 0x61, 0x66, 0xE9], [0x5C, 0x6E, 0xE9, 0x5C, 0x6E]] as [[UInt8]] {
            let got = message {
                _ = try CaptionFile(
                    Array(#"[{"image_id": 1, "caption": ""#.utf8) + bytes + Array("\"}]".utf8), path: "f")
            }
            #expect(got.contains("expected UTF-8 in the string that begins here"), "\(got)")
        }
    }

    @Test func filesThatStandForOthersAreNamed() throws {
        let folder = try TemporaryFolder()
        let pointer = try folder.write("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", to: "a.json")
        #expect(message { _ = try CaptionFile(contentsOf: pointer) }.contains("a git-lfs pointer"))
        #expect(message { _ = try CaptionFile(contentsOf: folder("none")) }.hasPrefix("cannot read"))
        #expect(mkfifo(folder("pipe"), 0o600) == 0)
        #expect(
            message { _ = try CaptionFile(contentsOf: folder("pipe")) }
                == "'\(folder("pipe"))' is a named pipe; expected a regular file")
        let good = try folder.write(#"[{"image_id": 1, "caption": "a"}]"#, to: "b.json")
        #expect(
            try CaptionFile(contentsOf: good).hash
                == CaptionFile(Array(#"[{"image_id": 1, "caption": "a"}]"#.utf8), path: "").hash)
    }

    @Test func deepNestingIsRefused() {
        for text in [String(repeating: "[", count: 100_000), #"{"info": "# + String(repeating: "[", count: 100_000)] {
            #expect(throws: CaptionFileError.self) { try read(text) }
        }
        let depth = 127
        let fine = #"{"info": "# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
        #expect(message { _ = try read(fine) }.contains("in no layout"))
        #expect(message { _ = try read(#"{"x": "# + fine + "}") }.contains("at most 128 levels of nesting"))
    }

    @Test func brokenFilesThrow() throws {
        let whole = Array(#"{"annotations": [{"image_id": 7, "caption": "a \"b\" \u00e9 c"}], "x": -1.5}"#.utf8)
        for length in 0..<whole.count {
            #expect(throws: CaptionFileError.self) { try CaptionFile(Array(whole[..<length]), path: "f") }
        }
        var state: UInt64 = 3
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<3 { bytes[random(bytes.count)] = UInt8(random(256)) }
            // Either is fine; a crash is not.
            _ = Result { try CaptionFile(bytes, path: "f", withImages: true) }
        }
    }
}
