/// The page: sections from the findings to the details; a section with nothing to show is left out.
struct ReportPage {
    let runs: RunSet
    let title: String
    let captionTable: ResultTable?
    let retrievalTable: ResultTable?
    let gapTable: ResultTable?
    let pictures: [(Gallery.Entry, Gallery.Entry.Picture)]
    let galleryTotal: Int
    let galleryRoot: String?

    struct Section {
        let id: String
        let title: String
        let content: Markup
    }

    var html: Markup {
        let sections = [results, setup, curves, gap, gallery, leftOut].compactMap { $0 }
        var body: Markup = """
            <header>
            <h1>\(title)</h1>
            <p class="lead">\(lead)</p>
            \(legend(runs.settings.indices.map { $0 }))
            <nav aria-label="Sections">
            """
        for section in sections { body += "<a href=\"#\(section.id)\">\(section.title)</a>\n" }
        body += "</nav>\n\(tiles)</header>\n"
        for section in sections {
            body += """
                <section id="\(section.id)">
                <h2>\(section.title)</h2>
                \(section.content)</section>

                """
        }
        return Self.document(
            title: title, body: body,
            footer: "Made by gmail report from the run folders alone. Pictures and charts are part of this file.")
    }

    /// A whole page around a body, with the style sheet in it.
    static func document(title: String, body: Markup, footer: String) -> Markup {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="generator" content="gmail report" />
        <title>\(title)</title>
        <style>
        \(Markup(trusted: PageStyle.css))
        </style>
        </head>
        <body>
        <main>
        \(body)<footer>\(footer)</footer>
        </main>
        </body>
        </html>

        """
    }

    private var lead: String {
        let (count, settings) = (runs.runs.count, runs.settings.count)
        let first = count == 1 ? "1 run" : "\(count) runs"
        return count == settings
            ? "\(first)."
            : "\(first) of \(settings == 1 ? "one setting" : "\(settings) settings"); runs that differ in "
                + "nothing but the seed are put together, as mean ± standard deviation."
    }

    // MARK: Parts that sections share

    func swatch(_ setting: Int) -> Markup {
        let dash = setting / PageStyle.colorCount % 2 == 1 ? " dash1" : ""
        return "<span class=\"swatch f\(setting % PageStyle.colorCount)\(dash)\"></span>"
    }

    /// Names of settings beside their colours; empty if there is only one setting.
    func legend(_ settings: [Int]) -> Markup {
        guard runs.settings.count > 1 else { return "" }
        let entries = settings.map { index -> Markup in
            "<li>\(swatch(index))<span>\(runs.settings[index].label)</span></li>"
        }
        return "<ul class=\"chips\">\(entries)</ul>"
    }

    /// The name of a kind of run, by the sections of its recipe.
    func kindName(_ kind: [RunSet.Setting]) -> String {
        let sections = kind[0].representative.recipe.sections
        if sections.contains("mapper") { return "Captioners" }
        if sections.contains("adapter") { return "Alignment" }
        return kind.map(\.label).joined(separator: ", ")
    }

    func index(of setting: RunSet.Setting) -> Int {
        runs.settings.firstIndex { $0.representative.path == setting.representative.path } ?? 0
    }

    // MARK: Head

    private var tiles: Markup {
        var tiles: [Markup] = []
        func tile(_ head: String, _ value: String, _ note: String) {
            tiles.append(
                """
                <div class="tile"><span class="head">\(head)</span><b>\(value)</b><span>\(note)</span></div>

                """)
        }
        func best(_ table: ResultTable, _ metric: String, _ note: String) {
            guard let column = table.columns.firstIndex(where: { MetricName.isSame($0.id, metric) }) else { return }
            let measured = table.rows.indices.filter { table.statistics(row: $0, column: column) != nil }
            if let winner = table.best(column: column).min() {
                tile(
                    "\(note)\(table.columns[column].title)", table.text(row: winner, column: column),
                    "\(table.rows[winner].label), highest of \(measured.count)")
            } else if measured.count == 1 {
                tile(
                    table.columns[column].title, table.text(row: measured[0], column: column),
                    table.rows[measured[0]].label)
            }
        }
        if let table = captionTable {
            let headline = ["CIDEr", "CIDEr-D", "Bleu_4"].first { name in
                table.rows.indices.contains { row in
                    table.columns.contains { MetricName.isSame($0.id, name) && table.rows[row].values[$0.id] != nil }
                }
            }
            if let headline { best(table, headline, "") }
            if headline != "Bleu_4" { best(table, "Bleu_4", "") }
        }
        if let table = retrievalTable { best(table, "text_to_image R@1", "") }
        let gaps = runs.settings.compactMap { setting in setting.representative.gap.map { (setting, $0) } }
        let widest = gaps.max { ($0.1.after?.realGenerated.mean ?? -2) < ($1.1.after?.realGenerated.mean ?? -2) }
        if let (setting, gap) = widest, let after = gap.after {
            tile(
                "paired cosine",
                "\(Number.fixed(gap.before.realGenerated.mean, 2)) → \(Number.fixed(after.realGenerated.mean, 2))",
                "real and generated, before and after alignment; \(setting.label)")
        }
        return tiles.isEmpty ? "" : "<div class=\"tiles\">\n\(tiles)</div>\n"
    }

    // MARK: What is missing

    private var leftOut: Section? {
        let purpose = [
            "manifest.json": "data counts, device, versions", "metrics.jsonl": "curves",
            "metrics.json": "captioning metrics", "retrieval.json": "retrieval metrics", "gap.json": "modality gap",
            "predictions.jsonl": "captions in the gallery",
        ]
        var rows: Markup = ""
        for run in runs.runs where !run.absent.isEmpty || !run.notes.isEmpty {
            let absent = run.absent.map { name -> Markup in
                "<li><code>\(name)</code> is not there\(purpose[name].map { ": no \($0)" } ?? "")</li>"
            }
            let notes = run.notes.map { note -> Markup in "<li>\(note)</li>" }
            rows += "<tr><th scope=\"row\">\(run.label)</th><td><ul class=\"plain\">\(absent + notes)</ul></td></tr>\n"
        }
        guard !rows.isEmpty else { return nil }
        return Section(
            id: "left-out", title: "Left out",
            content: "<div class=\"scroll\"><table><tbody>\n\(rows)</tbody></table></div>\n")
    }
}
