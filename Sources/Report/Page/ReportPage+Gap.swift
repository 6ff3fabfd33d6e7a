import Evaluation

extension ReportPage {
    /// Cosines before and after, and the map of the embeddings.
    var gap: Section? {
        guard let table = gapTable else { return nil }
        var content: Markup = """
            <p class="lead">How far generated images lie from the real images of the same captions, through the base model \
            (before) and through the aligned one (after).</p>

            """
        content += html(table)
        content += """
            <p class="note">Mean cosines over the pairs, and the distance between the centroids of both kinds of image. Closure \
            is the share of the way from the cosine of random pairs to what captions tell of the real image; R@1, how often \
            the real image is the nearest to the generated one; AUC, how well a linear classifier tells the kinds apart. The \
            published row is of other images and other weights.</p>

            """
        for (index, setting) in runs.settings.enumerated() {
            guard let gap = setting.representative.gap else { continue }
            content += figure(gap, setting, index)
        }
        return Section(id: "gap", title: "Modality gap", content: content)
    }

    private func figure(_ gap: RunGap, _ setting: RunSet.Setting, _ index: Int) -> Markup {
        let mark = runs.settings.count > 1 ? swatch(index) + " " : ""
        let which = setting.runs.count > 1 ? " (\(setting.representative.label))" : ""
        let pairs = "\(Number.grouped(gap.pairs)) pairs" + (gap.step.map { ", step \(Number.grouped($0))" } ?? "")
        var out: Markup = """
            <figure class="panel"><h3>\(mark)\(setting.label)\(which)</h3>
            <div class="gap"><div><figcaption>cosines of the pairs</figcaption>\(CosineHistogram(before: gap.before.realGenerated, after: gap.after?.realGenerated).svg)</div>

            """
        let sides = [(gap.map?.before, "before"), (gap.map?.after, "after")]
        for case (let map?, let name) in sides {
            out +=
                "<div><figcaption>map \(name) alignment</figcaption>\(GapMapChart(title: "Map \(name) alignment", map: map).svg)</div>\n"
        }
        out += "</div>\n"
        if let map = gap.map?.before {
            let method = map.method == .tsne ? "t-SNE" : "PCA"
            let shown =
                map.generated.count == gap.pairs ? pairs : "\(pairs), \(Number.grouped(map.generated.count)) on the map"
            let links = map.realRow.count <= GapMapSVG.mostLinkedPairs ? "; lines join the images of a pair" : ""
            out += """
                <ul class="chips"><li><span class="swatch real"></span>real images</li>\
                <li><span class="swatch generated"></span>generated images</li></ul>
                <figcaption>\(shown). Map: \(method), each with its own scale\(links).</figcaption>

                """
        } else {
            out += "<figcaption>\(pairs); no gap-map.json, so no map.</figcaption>\n"
        }
        return out + (gap.diagnoses.map(diagnosis) ?? "") + "</figure>\n"
    }

    /// The advice, what closed forms would reach, and warnings.
    private func diagnosis(_ both: GapReport.Diagnoses) -> Markup {
        var lines: [Markup] = ["<li><strong>Advice</strong> \(both.before.advice).</li>"]
        if let after = both.after { lines.append("<li><strong>After alignment</strong> \(after.advice).</li>") }
        let reached = both.before.repairs.sorted { $0.key < $1.key }.map { name, repair in
            "\(name) \(Number.fixed(repair.closure ?? repair.cosine, 2))"
        }
        if !reached.isEmpty {
            let what = both.before.closure == nil ? "cosine" : "closure"
            lines.append(
                "<li><strong>Closed forms would reach</strong> (\(what)) \(reached.joined(separator: ", "))</li>")
        }
        lines += both.before.warnings.map { warning -> Markup in "<li><strong>Warning</strong> \(warning).</li>" }
        return "<ul class=\"diagnosis\">\(lines)</ul>\n"
    }
}
