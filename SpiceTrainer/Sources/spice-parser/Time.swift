import ArgumentParser
import CaptionFiles
@_spi(Training) import CaptionMetrics
import Foundation

extension SpiceParserTool {
    /// Times the whole metric on captions of a COCO annotation file.
    struct Time: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Time SPICE on images of a COCO annotation file: each image's first caption against the next five.")

        @Option(help: "The parser; default: the one that ships.")
        var parser: String?

        @Option(help: "A COCO caption annotation file.")
        var annotations: String

        @Option(help: "METEOR\'s data file, for WordNet (default: where gmail data meteor puts it).")
        var meteorData: String?

        @Option(help: "How many images.")
        var images = 5000

        func run() throws {
            let clock = ContinuousClock()
            var start = clock.now
            let parser = try self.parser.map { try CaptionParser(contentsOf: URL(fileURLWithPath: $0)) } ?? .bundled()
            print("parser read in \(clock.now - start)")
            var captions: [ImageID: [String]] = [:]
            for row in try CaptionFile([UInt8](contents(of: annotations)), path: annotations).entries {
                let words = row.caption.lowercased().split(whereSeparator: { !$0.isLetter && !$0.isNumber })
                captions[row.imageID, default: []].append(words.joined(separator: " "))
            }
            // The candidate comes from the image before: seldom right, never one of the references.
            let ids = captions.keys.sorted().prefix(images)
            let candidates = zip(ids, [ids.last!] + ids.dropLast()).map { captions[$1]![0] }
            let references = ids.map { Array(captions[$0]!.prefix(5)) }
            let scorer = SpiceScorer(parser: parser, synsets: try WordNetLookup(path: meteorData))
            start = clock.now
            let result = try scorer.evaluate(candidates: candidates, references: references)
            let time = clock.now - start
            let memory =
                try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
                .split(separator: "\n").first { $0.hasPrefix("VmHWM") } ?? ""
            print(
                "\(ids.count) images, \(references.reduce(0) { $0 + $1.count }) references in \(time); peak \(memory)")
            print("corpus \(result.corpus)")
        }
    }
}
