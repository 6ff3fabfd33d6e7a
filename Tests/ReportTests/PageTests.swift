import Foundation
import FoundationXML
import Images
import Testing

@testable import Report

@Suite struct PageTests {
    /// Elements and texts of a page that is well-formed XML.
    private final class Outline: NSObject, XMLParserDelegate {
        var counts: [String: Int] = [:]
        var classes: [String: Int] = [:]
        var attributes: [(name: String, value: String)] = []
        var text = ""

        func parser(
            _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
            attributes found: [String: String]
        ) {
            counts[name, default: 0] += 1
            for (key, value) in found { attributes.append((key, value)) }
            for word in (found["class"] ?? "").split(separator: " ") { classes[String(word), default: 0] += 1 }
        }

        func parser(_ parser: XMLParser, foundCharacters string: String) { text += string }
    }

    private func outline(_ html: String) throws -> Outline {
        let parser = XMLParser(data: Data(html.utf8))
        let outline = Outline()
        parser.delegate = outline
        #expect(parser.parse(), "line \(parser.lineNumber): \(parser.parserError.map { "\($0)" } ?? "")")
        return outline
    }

    private let hostile = #"<script>alert("1")</script> & <b>bold</b> ]]> '"#

    @Test func thePageIsWellFormedAndHoldsNothingFromElsewhere() throws {
        let folders = try RunFolders()
        let names = ["one <i>", "two & 'co'"]
        for (index, name) in names.enumerated() {
            try folders.fullRun(
                name, recipe: RunFolders.recipe("r\(index)", rank: 4 + index, description: "<u>not</u> & a tag"),
                cider: 0.9 + Double(index), captions: [hostile, "http is a word", "c\u{1}"])
        }
        for index in 0..<3 { try folders.picture("photos/\(index).png") }
        let report = try RunReport(
            runs: RunSet(paths: names.map(folders.path)),
            options: .init(title: "A <title> & more", images: folders.path("photos")))
        let page = try outline(report.html)
        #expect(page.counts["script"] == nil)
        #expect(page.counts["b"] == 3 * 2 + 2, "one label per caption, two tiles; none from a caption")
        #expect(page.counts["i"] == nil)
        #expect(page.counts["u"] == nil)
        #expect(page.text.contains(hostile))
        #expect(page.text.contains("A <title> & more"))
        #expect(page.text.contains("<u>not</u> & a tag"))
        // No address outside the page, whatever the attribute.
        let words = page.attributes.filter { $0.name == "src" }.reduce(report.html) {
            $0.replacingOccurrences(of: $1.value, with: "")
        }
        for address in ["http:", "https:", "//", "url(", "@import"] { #expect(!words.contains(address), "\(address)") }
        for (name, value) in page.attributes where ["src", "href"].contains(name) {
            #expect(value.hasPrefix("data:image/jpeg;base64,") || value.hasPrefix("#"))
        }
        #expect(page.counts["img"] == 3)
        #expect(report.missingImages.isEmpty)
        let pictures = page.attributes.filter { $0.name == "src" }.map(\.value)
        let bytes = try #require(Data(base64Encoded: String(pictures[0].dropFirst("data:image/jpeg;base64,".count))))
        #expect(bytes.prefix(3) == Data([0xFF, 0xD8, 0xFF]))
    }

    @Test func allSectionsAreThere() throws {
        let folders = try RunFolders()
        for (name, cider) in [("a", 0.9), ("b", 1.1)] {
            try folders.fullRun(name, recipe: RunFolders.recipe(name, rank: name == "a" ? 4 : 8), cider: cider)
        }
        let report = try RunReport(runs: RunSet(paths: ["a", "b"].map(folders.path)))
        let page = try outline(report.html)
        for id in ["results", "setup", "curves", "gap", "gallery"] {
            #expect(page.attributes.contains { $0.name == "id" && $0.value == id }, "\(id)")
        }
        #expect(!page.attributes.contains { $0.name == "id" && $0.value == "left-out" })
        // Two marked cells: CIDEr, and nothing else differs.
        #expect(page.classes["best"] == 1)
        #expect(page.text.contains("110.00"))
        #expect(page.text.contains("published, other data: not comparable with the rows above"))
        #expect(page.classes["published"] == 2, "one row of the paper for both recipes, and one of the gap")
        #expect(page.text.contains("adapter.rank"))
        #expect(page.text.contains("12\u{202F}345"))
        #expect(page.text.contains("learning_rate/a, learning_rate/b"))
        #expect(page.classes["map"] == 4)
        #expect(page.classes["diagnosis"] == 2)
        #expect(page.text.contains("a gap of <style>.") && page.text.contains("hardly a gap."))
        #expect(page.text.contains("(closure) coral 0.71"))
        let gap = try #require(report.gapTable).text()
        for title in ["closure before", "R@1 before", "linear AUC before"] { #expect(gap.contains(title), "\(title)") }
        #expect(page.classes["bars"] == 4)
        // No photo is there: all are named, none is fatal.
        #expect(report.missingImages.map(\.image) == ["0.png", "1.png", "2.png"])
        #expect(report.missingImages[0].reason == "not found: photos/0.png")
        #expect(page.counts["img"] == nil)
        // Twice the same page.
        #expect(try RunReport(runs: RunSet(paths: ["a", "b"].map(folders.path))).html == report.html)
    }

    @Test func aBareRunSaysWhatIsMissing() throws {
        let folders = try RunFolders()
        try folders.write(RunFolders.recipe("bare"), "bare/recipe.yaml")
        let report = try RunReport(runs: RunSet(paths: [folders.path("bare")]))
        let page = try outline(report.html)
        #expect(report.captionTable == nil && report.retrievalTable == nil && report.gapTable == nil)
        for file in [
            "manifest.json", "metrics.jsonl", "metrics.json", "retrieval.json", "gap.json", "predictions.jsonl",
        ] {
            #expect(page.text.contains("\(file) is not there"), "\(file)")
        }
        for id in ["results", "curves", "gap", "gallery"] {
            #expect(!page.attributes.contains { $0.name == "id" && $0.value == id }, "\(id)")
        }
        #expect(page.counts["svg"] == nil)
    }

    @Test func seedsBecomeMeanAndDeviation() throws {
        let folders = try RunFolders()
        var paths: [String] = []
        for (seed, cider) in [(0, 1.0), (1, 1.1), (2, 1.2)] {
            try folders.write(RunFolders.recipe("gmail", seed: seed), "s\(seed)/recipe.yaml")
            try folders.write(RunFolders.scores([("CIDEr", cider)]), "s\(seed)/metrics.json")
            paths.append(folders.path("s\(seed)"))
        }
        let report = try RunReport(runs: RunSet(paths: paths))
        let table = try #require(report.captionTable)
        #expect(table.rows.map(\.label) == ["gmail", "alignment on"])
        let column = try #require(table.columns.firstIndex { $0.id == "CIDEr" })
        #expect(table.text(row: 0, column: column) == "110.00 ± 10.00")
        #expect(table.text(row: 1, column: column) == "119.53")
        #expect(try outline(report.html).text.contains("3 runs, seeds 0, 1, 2"))
    }

    @Test func numbersOfTwoProtocolsAreNotRanked() throws {
        let folders = try RunFolders()
        for (name, tokenizer, cider) in [("a", "PTB", 1.0), ("b", "simple", 2.0)] {
            try folders.write(RunFolders.recipe(name, rank: cider == 1 ? 4 : 8), "\(name)/recipe.yaml")
            try folders.write(RunFolders.scores([("CIDEr", cider)], tokenizer: tokenizer), "\(name)/metrics.json")
        }
        let report = try RunReport(runs: RunSet(paths: ["a", "b"].map(folders.path)))
        let page = try outline(report.html)
        #expect(page.classes["best"] == nil)
        #expect(page.text.contains("Not to be compared: CIDEr"))
        #expect(page.text.contains("tokenizer simple"))
    }

    @Test func scoresOnOtherCaptionsAreNotRanked() throws {
        let folders = try RunFolders()
        for (name, hash, cider) in [("a", "aaaa", 1.0), ("b", "bbbb", 2.0)] {
            try folders.write(RunFolders.recipe(name, rank: cider == 1 ? 4 : 8), "\(name)/recipe.yaml")
            let scores = RunFolders.scores([("CIDEr", cider)])
            try folders.write(
                scores.dropLast() + #", "tags": {"captions_sha256": "\#(hash)", "decoding": "beam 5"}}"#,
                "\(name)/metrics.json")
        }
        let report = try RunReport(runs: RunSet(paths: ["a", "b"].map(folders.path)))
        #expect(report.captionTable?.columns.first { $0.id == "CIDEr" }?.isMixed == true)
        #expect(try outline(report.html).text.contains("decoding beam 5"))
    }

    /// Every captioner has captions of its own: their hash is no part of the protocol.
    @Test func otherCandidatesAreNoOtherProtocol() throws {
        let folders = try RunFolders()
        for (name, hash, cider) in [("a", "aaaa", 1.0), ("b", "bbbb", 2.0)] {
            try folders.write(RunFolders.recipe(name, rank: cider == 1 ? 4 : 8), "\(name)/recipe.yaml")
            try folders.write(
                RunFolders.scores([("CIDEr", cider)]).replacingOccurrences(
                    of: #""sha256": {}"#, with: #""sha256": {"candidates": "\#(hash)", "references": "cccc"}"#),
                "\(name)/metrics.json")
        }
        let report = try RunReport(runs: RunSet(paths: ["a", "b"].map(folders.path)))
        #expect(report.captionTable?.columns.first { $0.id == "CIDEr" }?.isMixed == false)
        #expect(try outline(report.html).classes["best"] != nil)
    }

    @Test func largeLogsMakeSmallPages() throws {
        let folders = try RunFolders()
        var text = ""
        for step in 1...6000 { text += "{\"step\": \(step * 10), \"loss\": \(2 + Double(step * 7919 % 100) / 100)}\n" }
        try folders.write(RunFolders.recipe("long"), "long/recipe.yaml")
        try folders.write(text, "long/metrics.jsonl")
        #expect(try RunReport(runs: RunSet(paths: [folders.path("long")])).html.utf8.count < 60_000)
    }

    @Test func theJSONSaysTheSame() throws {
        let folders = try RunFolders()
        for (name, cider) in [("a", 0.9), ("b", 1.1)] {
            try folders.fullRun(name, recipe: RunFolders.recipe(name, rank: name == "a" ? 4 : 8), cider: cider)
        }
        let report = try RunReport(runs: RunSet(paths: ["a", "b"].map(folders.path)), options: .init(galleryCount: 2))
        let object = try JSONSerialization.jsonObject(with: Data(report.json(page: "r.html").utf8))
        let root = try #require(object as? [String: Any])
        #expect(root["page"] as? String == "r.html")
        let settings = try #require(root["settings"] as? [[String: Any]])
        #expect(settings.map { $0["label"] as? String } == ["a", "b"])
        let metrics = try #require(settings[1]["metrics"] as? [String: [String: Any]])
        #expect(metrics["CIDEr"]?["mean"] as? Double == 1.1)
        #expect(metrics["gap after"]?["mean"] as? Double == 0.85)
        let differences = try #require(root["differences"] as? [[String: Any]])
        #expect(differences.map { $0["key"] as? String } == ["adapter.rank"])
        #expect((root["gallery"] as? [String: Any])?["images"] as? Int == 2)
    }

    @Test func imagesThatAreNoFolderAreRefused() throws {
        let folders = try RunFolders()
        try folders.write(RunFolders.recipe("a"), "a/recipe.yaml")
        #expect(throws: ReportError.noImageFolder(path: folders.path("none"))) {
            try RunReport(runs: RunSet(paths: [folders.path("a")]), options: .init(images: folders.path("none")))
        }
    }
}

@Suite struct GalleryTests {
    static let spreads: [(Int, Int, [Int])] = [
        (3, 10, [1, 5, 8]), (2, 4, [1, 3]), (1, 9, [4]), (5, 3, [0, 1, 2]), (0, 7, []), (4, 4, [0, 1, 2, 3]),
        (3, 0, []),
    ]

    @Test(arguments: Self.spreads)
    func imagesAreSpreadEvenly(count: Int, total: Int, expected: [Int]) {
        #expect(Gallery.spread(count, over: total) == expected)
    }

    @Test func onlyImagesThatAllSettingsCaptioned() throws {
        let folders = try RunFolders()
        for (name, rank, ids) in [("a", 1, [1, 2, 3, 4]), ("b", 2, [4, 3, 9])] {
            try folders.write(RunFolders.recipe(name, rank: rank), "\(name)/recipe.yaml")
            let lines = ids.map { #"{"image_id": \#($0), "file": "\#($0).jpg", "caption": "\#(name)\#($0)"}"# }
            try folders.write(lines.joined(separator: "\n") + "\n", "\(name)/predictions.jsonl")
        }
        let set = try RunSet(paths: ["a", "b"].map(folders.path))
        let gallery = Gallery(set.settings, count: 10, folder: "photos")
        #expect(gallery.total == 2)
        #expect(gallery.entries.map(\.imageID) == ["3", "4"])
        #expect(gallery.entries[0].captions.map(\.text) == ["a3", "b3"])
        #expect(gallery.entries[0].captions.map(\.setting) == [0, 1])
        #expect(gallery.entries[0].candidates.first == "photos/3.jpg")
    }

    @Test func thumbnailsKeepTheShape() throws {
        let folders = try RunFolders()
        try folders.picture("wide.png", width: 1000, height: 250)
        let address = try Thumbnail.dataAddress(folders.path("wide.png"))
        let bytes = try #require(Data(base64Encoded: String(address.dropFirst("data:image/jpeg;base64,".count))))
        let image = try RGBImage(decoding: Array(bytes), name: "thumbnail")
        #expect(image.size == ImageSize(width: 480, height: 120))
        try folders.write("no image", "broken.jpg")
        #expect(throws: ImageError.self) { try Thumbnail.dataAddress(folders.path("broken.jpg")) }
    }
}
