extension ReportPage {
    /// Loss and all other logged numbers, one group of charts per kind of run.
    var curves: Section? {
        let kinds = runs.kinds.filter { kind in kind.contains { $0.runs.contains { !$0.series.isEmpty } } }
        guard !kinds.isEmpty else { return nil }
        var content: Markup = ""
        var isSmoothed = false
        var isChecked = false
        for kind in kinds {
            let panels = panels(kind)
            if kinds.count > 1 { content += "<h3>\(kindName(kind))</h3>\n" }
            for (index, panel) in panels.enumerated() {
                var chart = panel
                let lines = panel.lines.map(\.series)
                isChecked = isChecked || lines.contains(where: \.isValidation)
                isSmoothed = isSmoothed || lines.contains { !$0.isValidation && Curve.window($0.points.count) > 1 }
                if index == 0 {
                    (chart.width, chart.height) = (940, 330)
                    let settings = kind.map { self.index(of: $0) }
                    content += """
                        <figure class="wide"><h3>\(panel.title)</h3>\(settings.count > 1 ? legend(settings) : "")\(chart.svg)\
                        <figcaption>optimizer steps</figcaption></figure>

                        """
                    if panels.count > 1 { content += "<div class=\"charts\">\n" }
                } else {
                    content += "<figure><h3>\(panel.title)</h3>\(chart.svg)</figure>\n"
                }
            }
            if panels.count > 1 { content += "</div>\n" }
        }
        var words: [String] = []
        if isSmoothed {
            words.append(
                "Lines are centred moving averages over a twenty-fifth of the logged steps; the values as logged are faint."
            )
        }
        if isChecked { words.append("Marks on dashed lines are validation.") }
        if kinds.joined().contains(where: { $0.runs.count > 1 }) {
            words.append("Runs of one setting share its colour.")
        }
        if !words.isEmpty { content += "<p class=\"note\">\(words.joined(separator: " "))</p>\n" }
        return Section(id: "curves", title: "Training", content: content)
    }

    /// One chart per number, the loss first, validation together with its training counterpart. Charts that would look
    /// the same (learning rates of several groups) are merged.
    func panels(_ kind: [RunSet.Setting]) -> [LineChart] {
        var names: [String] = []
        var lines: [String: [LineChart.Line]] = [:]
        for setting in kind {
            for run in setting.runs {
                let trained = Set(run.series.filter { !$0.isValidation }.map(\.name))
                for series in run.series where series.points.contains(where: { $0.value != nil }) {
                    let base =
                        series.isValidation ? String(series.name.dropFirst(MetricSeries.validationPrefix.count)) : ""
                    let name = trained.contains(base) ? base : series.name
                    if lines[name] == nil { names.append(name) }
                    lines[name, default: []].append(
                        .init(color: index(of: setting), label: run.label, series: series))
                }
            }
        }
        // Recall over the steps belongs together, whatever was logged in between.
        let ranked = names.enumerated().sorted { a, b in
            (Self.rank(a.element), a.offset) < (Self.rank(b.element), b.offset)
        }.map(\.element)
        var panels: [LineChart] = []
        for name in ranked {
            let mine = lines[name] ?? []
            let twin = panels.firstIndex { panel in
                panel.lines.count == mine.count
                    && zip(panel.lines, mine).allSatisfy {
                        $0.color == $1.color && $0.series.points == $1.series.points
                    }
            }
            if let twin {
                panels[twin].title += ", \(name)"
            } else {
                var panel = LineChart(title: name, lines: mine)
                // Schedules end near 0: a logarithmic axis would show little else.
                if name.hasPrefix("learning_rate") { panel.isLogarithmic = false }
                panels.append(panel)
            }
        }
        return panels
    }

    private static func rank(_ name: String) -> Int {
        if name == "loss" { return 0 }
        if name == "validation/loss" { return 1 }
        if name.hasPrefix("loss/") { return 2 }
        if name.hasPrefix("learning_rate") { return 5 }
        return name.hasPrefix(MetricSeries.validationPrefix) ? 4 : 3
    }
}
