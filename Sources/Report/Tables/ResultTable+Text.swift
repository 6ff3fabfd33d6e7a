import Foundation

extension ResultTable {
    /// A heading for the published rows, so that they are not mistaken for measurements of the same kind.
    public static let publishedHeading = "published, other data"

    /// Aligned columns for a terminal: the best of each column has a star, and published rows stand apart.
    /// - Parameter width: columns that do not fit are printed in further blocks below; nil prints one line per row.
    public func text(width: Int? = nil) -> String {
        let cells = columns.indices.map(aligned)
        let hasPublished = rows.contains { $0.published != nil }
        let labels = [corner] + rows.map(label) + (hasPublished ? [Self.publishedHeading] : [])
        let labelWidth = labels.map(\.count).max() ?? 0
        let widths = columns.indices.map { column in
            max(columns[column].title.count + 1, cells[column].map(\.count).max() ?? 0)
        }
        return blocks(widths, labelWidth: labelWidth, width: width).map { block in
            var lines = [
                line(corner, block.map { (columns[$0].title + " ", widths[$0]) }, labelWidth),
                String(repeating: "─", count: labelWidth + block.reduce(0) { $0 + 2 + widths[$1] } - 1),
            ]
            var isPublished = false
            for (index, row) in rows.enumerated() {
                if row.published != nil, !isPublished { lines.append(Self.publishedHeading) }
                isPublished = row.published != nil
                lines.append(line(label(row), block.map { (cells[$0][index], widths[$0]) }, labelWidth))
            }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n\n")
    }

    private func label(_ row: Row) -> String {
        row.published == nil ? row.label : row.label + (row.note.map { " (\($0))" } ?? "")
    }

    /// The cells of a column, with means aligned under means and deviations under deviations.
    private func aligned(_ column: Int) -> [String] {
        let best = best(column: column)
        let parts = rows.indices.map { row in
            let text = text(row: row, column: column)
            let cut = text.range(of: " ± ")?.lowerBound ?? text.endIndex
            return (mean: text[..<cut] + (best.contains(row) ? "*" : " "), spread: text[cut...])
        }
        let width = parts.map(\.spread.count).max() ?? 0
        return parts.map { $0.mean + $0.spread + String(repeating: " ", count: width - $0.spread.count) }
    }

    private func blocks(_ widths: [Int], labelWidth: Int, width: Int?) -> [[Int]] {
        guard let width else { return [Array(widths.indices)] }
        var blocks: [[Int]] = [[]]
        var used = labelWidth
        for column in widths.indices {
            if used + 2 + widths[column] > width + 1, !blocks[blocks.count - 1].isEmpty {
                blocks.append([])
                used = labelWidth
            }
            blocks[blocks.count - 1].append(column)
            used += 2 + widths[column]
        }
        return blocks
    }

    private func line(_ label: String, _ cells: [(text: String, width: Int)], _ labelWidth: Int) -> String {
        var out = label + String(repeating: " ", count: labelWidth - label.count)
        for cell in cells {
            out += "  " + String(repeating: " ", count: max(0, cell.width - cell.text.count)) + cell.text
        }
        while out.last == " " { out.removeLast() }
        return out
    }

    /// A table in the form that GitHub and most other Markdown readers show; the best of each column is bold.
    public var markdown: String {
        func cell(_ text: String) -> String {
            text.replacingOccurrences(of: "|", with: "\\|").replacingOccurrences(of: "\n", with: " ")
        }
        let best = columns.indices.map { self.best(column: $0) }
        var lines = [
            "| \(([corner] + columns.map(\.title)).map(cell).joined(separator: " | ")) |",
            "|---|" + columns.map { _ in "--:|" }.joined(),
        ]
        for (index, row) in rows.enumerated() {
            let label = row.published == nil ? cell(row.label) : "*\(cell(label(row))): \(Self.publishedHeading)*"
            let values = columns.indices.map { column in
                let value = text(row: index, column: column)
                return best[column].contains(index) ? "**\(value)**" : value
            }
            lines.append("| \(([label] + values).joined(separator: " | ")) |")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}
