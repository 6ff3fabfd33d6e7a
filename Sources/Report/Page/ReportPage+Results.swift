extension ReportPage {
    /// Metric tables and the protocols behind them.
    var results: Section? {
        var content: Markup = ""
        if let table = captionTable {
            content += html(table)
            let published =
                table.rows.contains { $0.published != nil }
                ? " Published rows come from the GMAIL paper (ICML 2025): other images, other weights, other training; "
                    + "they take no part in the comparison." : ""
            content += note(table, "Captioning metrics times 100." + published)
        }
        if let table = retrievalTable {
            if captionTable != nil { content += "<h3>Retrieval</h3>\n" }
            content += html(table)
            content += note(table, "Recall in percent.")
        }
        guard !content.isEmpty else { return nil }
        return Section(id: "results", title: "Results", content: content + protocols)
    }

    private func note(_ table: ResultTable, _ text: String) -> Markup {
        var words = text
        if table.columns.indices.contains(where: { !table.best(column: $0).isEmpty }) {
            words += " The best of each column is marked."
        }
        if table.rows.contains(where: { $0.values.values.contains { $0.count > 1 } }) {
            words += " ± is the standard deviation over the seeds (n − 1)."
        }
        var out: Markup = "<p class=\"note\">\(words)</p>\n"
        let mixed = table.columns.filter(\.isMixed).map(\.title)
        if !mixed.isEmpty {
            out += """
                <p class="note warn">Not to be compared: \(mixed.joined(separator: ", ")) \
                \(mixed.count == 1 ? "was" : "were") computed under several protocols (listed below), so no best is marked.</p>

                """
        }
        return out
    }

    func html(_ table: ResultTable) -> Markup {
        var out: Markup = """
            <div class="scroll"><table class="numbers"><thead><tr><th scope="col">\(table.corner)</th>
            """
        for column in table.columns { out += "<th scope=\"col\">\(column.title)</th>" }
        out += "</tr></thead><tbody>\n"
        let best = table.columns.indices.map { table.best(column: $0) }
        var isPublished = false
        for (index, row) in table.rows.enumerated() {
            if row.published != nil, !isPublished {
                let heading = "published, other data: not comparable with the rows above"
                out +=
                    "<tr class=\"band\"><th colspan=\"\(table.columns.count + 1)\" scope=\"rowgroup\">\(heading)</th></tr>\n"
            }
            isPublished = row.published != nil
            let note: Markup = row.note.map { "<small>\($0)</small>" } ?? ""
            let setting = row.published == nil ? runs.settings.firstIndex { $0.label == row.label } : nil
            let mark = runs.settings.count > 1 ? setting.map { swatch($0) + " " } ?? "" : ""
            let kind: Markup = isPublished ? " class=\"published\"" : ""
            out += "<tr\(kind)><th scope=\"row\">\(mark)\(row.label)\(note)</th>"
            for column in table.columns.indices {
                let isBest = best[column].contains(index)
                let parts = table.text(row: index, column: column).split(separator: "±").map(String.init)
                let spread: Markup = parts.count > 1 ? "<small>±\(parts[1])</small>" : ""
                out += isBest ? "<td class=\"best\">" : "<td>"
                out += "\(parts[0])\(spread)</td>"
            }
            out += "</tr>\n"
        }
        return out + "</tbody></table></div>\n"
    }

    /// Every tag once per metric, with the settings that used it if there are several.
    private var protocols: Markup {
        var names: [String] = []
        var tags: [String: [(tag: String, settings: [String])]] = [:]
        for setting in runs.settings {
            for score in setting.runs.flatMap({ $0.scores + $0.retrieval }) {
                let name =
                    score.name.hasPrefix("image_to_text") || score.name.hasPrefix("text_to_image")
                    ? "retrieval" : MetricName.known(score.name)?.title ?? score.name
                let hashes = score.dataHashes.sorted { $0.key < $1.key }.map { "; \($0.key) \($0.value.prefix(12))" }
                let tag = score.protocolTag + hashes.joined()
                if tags[name] == nil { names.append(name) }
                if let place = tags[name]?.firstIndex(where: { $0.tag == tag }) {
                    if tags[name]![place].settings.last != setting.label {
                        tags[name]![place].settings.append(setting.label)
                    }
                } else {
                    tags[name, default: []].append((tag, [setting.label]))
                }
            }
        }
        guard !names.isEmpty else { return "" }
        var list: Markup = ""
        for name in names {
            let found = tags[name] ?? []
            list += "<dt>\(name)</dt>"
            for entry in found {
                list += "<dd>\(entry.tag)\(found.count > 1 ? " (\(entry.settings.joined(separator: ", ")))" : "")</dd>"
            }
        }
        for setting in runs.settings where !setting.representative.scoreSettings.isEmpty {
            let words = setting.representative.scoreSettings.map { key, value in
                let isHash = key.hasSuffix("sha256")
                return "\(key.split(separator: ".").last ?? "") \(isHash ? String(value.prefix(12)) : value)"
            }.joined(separator: "; ")
            list += "<dt>\(setting.label)</dt><dd>\(words)</dd>"
        }
        return "<details><summary>Protocols: how each number was made</summary><div><dl>\(list)</dl></div></details>\n"
    }
}
