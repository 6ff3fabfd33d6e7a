/// A contact sheet of pairs: real and generated image side by side, with the caption and both similarities. One page
/// without script and links, like a report.
public struct ContentSheet {
    /// One pair.
    public struct Entry: Sendable {
        public let id: String
        public let caption: String
        public let realPath: String
        public let generatedPath: String
        public let realText: Double
        public let generatedText: Double

        public init(
            id: String, caption: String, realPath: String, generatedPath: String, realText: Double,
            generatedText: Double
        ) {
            self.id = id
            self.caption = caption
            self.realPath = realPath
            self.generatedPath = generatedPath
            self.realText = realText
            self.generatedText = generatedText
        }
    }

    /// The page.
    public let html: String

    /// Reads the images and makes the page. An image that cannot be read is named in its place.
    /// - Parameters:
    ///   - lead: what the page shows, in a sentence.
    public init(title: String, lead: String, entries: [Entry]) {
        var body: Markup = """
            <header>
            <h1>\(title)</h1>
            <p class="lead">\(lead)</p>
            </header>
            <section id="pairs">
            <div class="gallery">

            """
        for entry in entries { body += Self.card(entry) }
        body += "</div>\n</section>\n"
        html =
            ReportPage.document(
                title: title, body: body,
                footer: "Made by gmail data check from the pairs alone. Pictures are part of this file."
            ).source
    }

    private static func card(_ entry: Entry) -> Markup {
        func picture(_ path: String, _ what: String, _ score: Double) -> Markup {
            let head: Markup =
                "<ul><li><b>\(what)<span class=\"score\">cosine \(Number.fixed(score, 3))</span></b></li></ul>"
            do {
                let address = try Thumbnail.dataAddress(path)
                return
                    "<div class=\"frame\"><img alt=\"\(what): \(entry.caption)\" src=\"\(address)\" /></div>\(head)"
            } catch {
                return "<div class=\"frame\"><p>\(path)<br />\("\(error)")</p></div>\(head)"
            }
        }
        return """
            <figure class="photo">\(picture(entry.generatedPath, "generated", entry.generatedText))\
            \(picture(entry.realPath, "real", entry.realText))\
            <figcaption>\(entry.caption)<p class="name">\(entry.id)</p></figcaption></figure>

            """
    }
}
