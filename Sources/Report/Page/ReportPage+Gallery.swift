extension ReportPage {
    /// Photos with the captions of every setting.
    var gallery: Section? {
        guard !pictures.isEmpty else { return nil }
        let repeated = runs.settings.contains { $0.runs.count > 1 && $0.representative.predictions != nil }
        var words =
            pictures.count < galleryTotal
            ? "\(pictures.count) of \(Number.grouped(galleryTotal)) images, evenly spread over the set, not chosen by hand."
            : "All \(pictures.count) images."
        if repeated { words += " Of settings with several seeds, the run with the lowest seed speaks." }
        var content: Markup = "<p class=\"lead\">\(words)</p>\n<div class=\"gallery\">\n"
        for (entry, picture) in pictures { content += card(entry, picture) }
        content += "</div>\n"
        var missing: [Markup] = []
        for case (let entry, .missing(let reason)) in pictures { missing.append("<li>\(entry.name): \(reason)</li>") }
        if !missing.isEmpty {
            let hint = galleryRoot == nil ? " Name their folder with --images." : ""
            content += """
                <details><summary>\(missing.count) of \(pictures.count) pictures could not be shown.\(hint)</summary>\
                <div><ul>\(missing)</ul></div></details>

                """
        }
        return Section(id: "gallery", title: "Captions", content: content)
    }

    private func card(_ entry: Gallery.Entry, _ picture: Gallery.Entry.Picture) -> Markup {
        var out: Markup = "<figure class=\"photo\">"
        switch picture {
        case .address(let address):
            out +=
                "<div class=\"frame\"><img alt=\"\(entry.references.first ?? entry.name)\" src=\"\(address)\" /></div>"
        case .missing:
            out += "<div class=\"frame\"><p>\(entry.name)<br />no picture</p></div>"
        }
        out += "<figcaption><ul>"
        for caption in entry.captions {
            let setting = runs.settings[caption.setting]
            let score: Markup =
                caption.score.map { score in
                    let known = MetricName.known(score.name)
                    return """
                        <span class="score">\(known?.title ?? score.name) \
                        \(known == nil ? Axis.readable(score.value) : Number.fixed(score.value * 100, 0))</span>
                        """
                } ?? ""
            out +=
                "<li><b>\(swatch(caption.setting))\(setting.label)\(score)</b>\(caption.text.isEmpty ? "(empty caption)" : caption.text)</li>"
        }
        out += "</ul>"
        if !entry.references.isEmpty {
            let references = entry.references.prefix(5).map { reference -> Markup in "<li>\(reference)</li>" }
            out += "<ul class=\"references\">\(references)</ul>"
        }
        return out + "<p class=\"name\">\(entry.name)</p></figcaption></figure>\n"
    }
}
