extension ReportPage {
    /// What was run: facts of each setting, differences of the recipes, and the recipes themselves.
    var setup: Section? {
        var content = overview
        for kind in runs.kinds where kind.count > 1 { content += differences(kind) }
        for (index, setting) in runs.settings.enumerated() { content += recipe(setting, index) }
        content += sources
        return Section(id: "setup", title: "What was run", content: content)
    }

    private var overview: Markup {
        struct Column {
            let title: String
            let text: (RunSet.Setting) -> String
        }
        func distinct(_ values: [String]) -> String {
            var seen: [String] = []
            for value in values where !seen.contains(value) { seen.append(value) }
            return seen.joined(separator: ", ")
        }
        func facts(_ pick: @escaping (RunFacts) -> String?) -> (RunSet.Setting) -> String {
            { setting in distinct(setting.runs.compactMap { $0.facts.flatMap(pick) }) }
        }
        func count(_ role: String) -> (RunSet.Setting) -> String {
            facts { facts in facts.sources.first { $0.role == role }?.count.map(Number.grouped) }
        }
        var roles: [String] = []
        for source in runs.runs.flatMap({ $0.facts?.sources ?? [] }) where source.count != nil {
            if !roles.contains(source.role) { roles.append(source.role) }
        }
        var columns = [
            Column(title: "seed") { distinct($0.seeds.map(String.init)) },
            Column(title: "steps", text: facts { $0.steps.map(Number.grouped) }),
        ]
        // The count of a model is its number of parameters; the next column compares it with the trained ones.
        let models = ["model", "language-model", "tokenizer", "alignment"]
        columns += roles.filter { !models.contains($0) }
            .map { Column(title: $0, text: count($0)) }
        columns += [
            Column(
                title: "trained / frozen parameters",
                text: facts { facts in
                    facts.trainedElements.map { trained in
                        Number.grouped(trained) + (facts.frozenElements.map { " / \(Number.grouped($0))" } ?? "")
                    }
                }),
            Column(title: "device", text: facts(\.device)),
            Column(title: "dtype", text: facts(\.dtype)),
            Column(title: "samples/s") { setting in
                distinct(setting.runs.compactMap { $0.samplesPerSecond.map { Number.fixed($0, $0 < 10 ? 1 : 0) } })
            },
            Column(title: "skipped", text: facts { Number.grouped($0.skipped.count) }),
            Column(
                title: "versions",
                text: facts { facts in facts.versions.map { "\($0.name) \($0.value)" }.joined(separator: ", ") }),
        ]
        columns = columns.filter { column in runs.settings.contains { !column.text($0).isEmpty } }
        // What all settings have in common is listed once.
        let isCommon = { (column: Column) in
            runs.settings.count > 1 && Set(runs.settings.map(column.text)).count == 1
        }
        let common = columns.filter(isCommon)
        columns.removeAll(where: isCommon)
        var out: Markup = "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">setting</th>"
        for column in columns { out += "<th scope=\"col\">\(column.title)</th>" }
        out += "</tr></thead><tbody>\n"
        for (index, setting) in runs.settings.enumerated() {
            let mark = runs.settings.count > 1 ? swatch(index) + " " : ""
            let description: Markup = setting.representative.recipe.description.map { "<small>\($0)</small>" } ?? ""
            out += "<tr><th scope=\"row\">\(mark)\(setting.label)\(description)</th>"
            for column in columns {
                let text = column.text(setting)
                out += "<td>\(text.isEmpty ? "–" : text)</td>"
            }
            out += "</tr>\n"
        }
        out += "</tbody></table></div>\n"
        if !common.isEmpty {
            let words = common.map { "\($0.title) \($0.text(runs.settings[0]))" }.joined(separator: "; ")
            out += "<p class=\"note\">The same for all: \(words).</p>\n"
        }
        return out
    }

    private func differences(_ kind: [RunSet.Setting]) -> Markup {
        let rows = RecipeDifferences(kind.map(\.representative.recipe)).rows
        let seedOnly = rows.filter { $0.key != RunSet.seedKey }
        let name = runs.kinds.count > 1 ? "\(kindName(kind)): where the recipes differ" : "Where the recipes differ"
        guard !seedOnly.isEmpty else {
            return """
                <h3>\(name)</h3>
                <p class="note">The recipes are equal\(rows.isEmpty ? "" : " but for the seed"); the data differ.</p>

                """
        }
        var out: Markup = """
            <h3>\(name)</h3>
            <div class="scroll"><table><thead><tr><th scope="col">key</th>
            """
        for setting in kind {
            let mark = runs.settings.count > 1 ? swatch(index(of: setting)) + " " : ""
            out += "<th scope=\"col\">\(mark)\(setting.label)</th>"
        }
        out += "</tr></thead><tbody>\n"
        for row in seedOnly {
            out += "<tr><th scope=\"row\"><code>\(row.key)</code></th>"
            for value in row.values { out += "<td class=\"value\">\(value ?? "–")</td>" }
            out += "</tr>\n"
        }
        return out + "</tbody></table></div>\n"
    }

    private func recipe(_ setting: RunSet.Setting, _ index: Int) -> Markup {
        let mark = runs.settings.count > 1 ? swatch(index) + " " : ""
        let run = setting.representative
        let which = setting.runs.count > 1 ? " (of \(run.label))" : ""
        return """
            <details><summary>\(mark)Full recipe of \(setting.label)\(which)</summary><pre>\(run.recipe.source)</pre></details>

            """
    }

    /// Files with their hashes, and the samples left out.
    private var sources: Markup {
        var list: Markup = ""
        for run in runs.runs {
            guard let facts = run.facts, !facts.sources.isEmpty || !facts.skipped.isEmpty else { continue }
            list += "<dt>\(run.label) <code>\(run.path)</code></dt>"
            for source in facts.sources {
                let hash: Markup = source.sha256.map { ", sha256 <code>\(String($0.prefix(16)))</code>" } ?? ""
                let count = source.count.map { ", \(Number.grouped($0))" } ?? ""
                list += "<dd>\(source.role): <code>\(source.path)</code>\(count)\(hash)</dd>"
            }
            for skipped in facts.skipped.prefix(20) { list += "<dd>skipped \(skipped.id): \(skipped.reason)</dd>" }
            if facts.skipped.count > 20 { list += "<dd>and \(facts.skipped.count - 20) more skipped</dd>" }
        }
        return list.isEmpty
            ? "" : "<details><summary>Data and models that were read</summary><div><dl>\(list)</dl></div></details>\n"
    }
}
