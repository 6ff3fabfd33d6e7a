import Files
import Foundation

/// A report on runs: one self-contained HTML page, and the same findings for programs.
///
///     let report = try RunReport(runs: RunSet(paths: ["runs/real", "runs/gmail"]), options: .init(images: "val2014"))
///     try AtomicFile.write(report.html, to: "report.html")
///
/// The page is made only from the run folders: equal folders give equal bytes. It has no script and no link to anything
/// outside, and is well-formed XML.
public struct RunReport: Sendable {
    public struct Options: Sendable {
        public var title: String
        /// The folder of the gallery's photos; nil looks where the predictions say they were.
        public var images: String?
        /// Photos in the gallery; 0 for none.
        public var galleryCount: Int

        public init(title: String = "Runs compared", images: String? = nil, galleryCount: Int = 24) {
            self.title = title
            self.images = images
            self.galleryCount = galleryCount
        }
    }

    /// An image of the gallery that could not be shown.
    public struct MissingImage: Sendable, Equatable, Encodable {
        public let image: String
        public let reason: String
    }

    public let runs: RunSet
    public let options: Options
    /// Captioning metrics of the settings, with published rows below; nil if no run has any.
    public let captionTable: ResultTable?
    /// Recall in both directions; nil if no run has any.
    public let retrievalTable: ResultTable?
    /// Cosines and distances before and after alignment; nil if no run has any.
    public let gapTable: ResultTable?
    public let galleryImages: Int
    public let missingImages: [MissingImage]
    /// The page.
    public let html: String

    /// Reads the photos and makes the page.
    /// - Throws: ``ReportError/noImageFolder(path:)``. A photo that is missing or broken is named on the page.
    public init(runs: RunSet, options: Options = Options()) throws {
        if let images = options.images {
            var isFolder: ObjCBool = false
            guard FileManager.default.fileExists(atPath: images, isDirectory: &isFolder), isFolder.boolValue else {
                throw ReportError.noImageFolder(path: images)
            }
        }
        self.runs = runs
        self.options = options
        captionTable = Self.table(runs, \.scores, publishes: true)
        retrievalTable = Self.table(runs, \.retrieval, publishes: false)
        gapTable = Self.gapTable(runs)
        let gallery = Gallery(runs.settings, count: max(0, options.galleryCount), folder: options.images)
        let pictures = gallery.entries.map { ($0, $0.picture()) }
        galleryImages = pictures.count
        missingImages = pictures.compactMap { entry, picture in
            guard case .missing(let reason) = picture else { return nil }
            return MissingImage(image: entry.name, reason: reason)
        }
        html =
            ReportPage(
                runs: runs, title: options.title, captionTable: captionTable, retrievalTable: retrievalTable,
                gapTable: gapTable, pictures: pictures, galleryTotal: gallery.total, galleryRoot: options.images
            ).html.source
    }

    // MARK: Tables

    private static func table(
        _ runs: RunSet, _ scores: KeyPath<RunRecord, [RunScore]>, publishes: Bool
    ) -> ResultTable? {
        let measured = runs.runs.flatMap { $0[keyPath: scores].map(\.name) }
        guard !measured.isEmpty else { return nil }
        let published = publishes ? Published.rows(runs, scores) : []
        let names = MetricName.ordered(measured + published.flatMap { $0.numbers.map(\.metric) })
        let mixed = RunSet.mixedProtocols(runs.runs.map { $0[keyPath: scores] })
        var table = ResultTable(
            columns: names.map { name in
                var column = ResultTable.Column(metric: name)
                column.isMixed = mixed.contains(name)
                return column
            }, corner: "setting")
        for setting in runs.settings where setting.runs.contains(where: { !$0[keyPath: scores].isEmpty }) {
            var values: [String: [Double]] = [:]
            for run in setting.runs {
                for score in run[keyPath: scores] {
                    if let value = score.value { values[score.name, default: []].append(value) }
                }
            }
            table.append(setting.label, values: values, note: setting.runs.count > 1 ? setting.seedText : nil)
        }
        for row in published {
            table.append(
                row.row ?? "row of the paper",
                published: Dictionary(
                    row.numbers.map { ($0.metric, $0.value) }, uniquingKeysWith: { first, _ in first }),
                note: row.table)
        }
        return table
    }

    private enum Published {
        /// Each row of the paper once, in the order of the measured settings that name it.
        static func rows(_ runs: RunSet, _ scores: KeyPath<RunRecord, [RunScore]>) -> [RecipeText.Published] {
            var rows: [RecipeText.Published] = []
            for setting in runs.settings where setting.runs.contains(where: { !$0[keyPath: scores].isEmpty }) {
                if let row = setting.representative.recipe.published, !rows.contains(row) { rows.append(row) }
            }
            return rows
        }
    }
}

extension RunSet.Setting {
    /// `3 runs, seeds 0, 1, 2`.
    var seedText: String {
        let seeds = seeds.map(String.init).joined(separator: ", ")
        return "\(runs.count) runs" + (seeds.isEmpty ? "" : ", seeds \(seeds)")
    }
}
