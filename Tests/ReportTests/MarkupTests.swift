import Testing

@testable import Report

@Suite struct MarkupTests {
    @Test(arguments: [
        ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
        ("a & b", "a &amp; b"),
        ("\"quoted\"", "&quot;quoted&quot;"),
        ("&lt;", "&amp;lt;"),
        ("café 犬 🐕", "café 犬 🐕"),
        ("null\u{0}bell\u{7}", "null\u{FFFD}bell\u{FFFD}"),
        ("\u{FFFE}", "\u{FFFD}"),
        ("line\r\nnext\ttab", "line \nnext\ttab"),
        ("]]>", "]]&gt;"),
    ])
    func textIsEscaped(text: String, expected: String) {
        let markup: Markup = "<td>\(text)</td>"
        #expect(markup.source == "<td>\(expected)</td>")
    }

    @Test func markupGoesInAsItIs() {
        let cell: Markup = "<b>\("x < y")</b>"
        let row: Markup = "<tr>\(cell)\([cell, cell])</tr>"
        #expect(row.source == "<tr><b>x &lt; y</b><b>x &lt; y</b><b>x &lt; y</b></tr>")
    }

    @Test func coordinatesAreShort() {
        let markup: Markup = "\(1.0) \(0.1 + 0.2) \(-2.5) \(1e-9) \(12345.678)"
        #expect(markup.source == "1 0.3 -2.5 0 12345.68")
    }
}
