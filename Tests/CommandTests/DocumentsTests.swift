import Foundation
import Testing

/// The documents name only what exists: links, paths, types, targets, commands and their options.
@Suite struct DocumentsTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private struct Document {
        let url: URL
        let text: String
        var name: String { url.path.replacingOccurrences(of: root.path + "/", with: "") }
        var folder: URL { url.deletingLastPathComponent() }
    }

    private let documents: [Document]

    init() throws {
        let folders = ["", "docs", "Benchmarks", "Benchmarks/captions", "Models/miniature"]
        documents = try folders.flatMap { folder -> [Document] in
            let url = Self.root.appendingPathComponent(folder)
            return try FileManager.default.contentsOfDirectory(atPath: url.path).filter { $0.hasSuffix(".md") }.sorted()
                .map { name in
                    let file = url.appendingPathComponent(name)
                    return Document(url: file, text: try String(contentsOf: file, encoding: .utf8))
                }
        }
        try #require(documents.count > 15)
    }

    private func document(_ name: String) throws -> Document {
        try #require(documents.first { $0.name == name })
    }

    private func isThere(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    @Test func linksLeadSomewhere() throws {
        for document in documents {
            for match in document.text.matches(of: /\]\(([^)\s]+)\)/) {
                let link = String(match.1)
                if link.contains("://") { continue }
                let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                let target = parts[0].isEmpty ? document.url : document.folder.appendingPathComponent(parts[0])
                #expect(isThere(target), "\(document.name) links to \(link)")
                guard parts.count == 2, isThere(target) else { continue }
                let headings = try String(contentsOf: target, encoding: .utf8).split(separator: "\n")
                    .filter { $0.hasPrefix("#") }.map(Self.anchor)
                #expect(headings.contains(parts[1]), "\(document.name) links to \(link)")
            }
        }
    }

    /// The anchor of a heading, as GitHub makes it.
    private static func anchor(_ heading: Substring) -> String {
        let text = heading.drop { $0 == "#" }.trimmingCharacters(in: .whitespaces).lowercased()
        return String(text.compactMap { $0 == " " ? "-" : $0.isLetter || $0.isNumber || $0 == "-" ? $0 : nil })
    }

    @Test func namedPathsExist() {
        var count = 0
        for document in documents {
            for match in document.text.matches(
                of: /\b(?:Sources|Tests|scripts|Benchmarks|Models|Recipes|docs)\/[\w+.\-\/]+/)
            {
                let path = String(match.0).trimmingCharacters(in: CharacterSet(charactersIn: "./"))
                // NAME stands for the reader's own name; a path that continues with a brace or a star is a pattern.
                let rest = document.text[match.range.upperBound...].first
                if path.contains("NAME") || rest == "{" || rest == "*" { continue }
                count += 1
                let isFound = [Self.root, document.folder].contains { isThere($0.appendingPathComponent(path)) }
                #expect(isFound, "\(document.name) names \(path)")
            }
        }
        #expect(count > 40)
    }

    // MARK: The house

    @Test func theTableOfTargetsIsTheSources() throws {
        let rows = try document("docs/architecture.md").text.split(separator: "\n").compactMap { line in
            line.wholeMatch(of: /\| (?:F\d )?\| `([\w-]+)` \| .* \|([^|]*)\|/)
        }.map { (target: String($0.1), imports: $0.2.matches(of: /`(\w+)`/).map { String($0.1) }) }
        let sources = Self.root.appendingPathComponent("Sources")
        let folders = try FileManager.default.contentsOfDirectory(atPath: sources.path)
        #expect(Set(rows.map(\.target)) == Set(folders))
        for (index, row) in rows.enumerated() {
            let text = try Self.swift(in: sources.appendingPathComponent(row.target))
            let used = Set(text.matches(of: /(?m)^(?:@testable )?import (\w+)/).map { String($0.1) })
            let own = used.intersection(folders)
            #expect(own == Set(row.imports), "docs/architecture.md, \(row.target)")
            let above = rows[..<index].map(\.target)
            #expect(own.isSubset(of: above), "\(row.target) imports upwards")
        }
    }

    @Test func namedTypesExist() throws {
        let sources = try Self.swift(in: Self.root.appendingPathComponent("Sources"))
        let declared = Set(
            sources.matches(of: /\b(?:class|struct|enum|protocol|func|var|let|case|typealias) `?(\w+)/).map {
                String($0.1)
            })
        let manifest = try String(contentsOf: Self.root.appendingPathComponent("Package.swift"), encoding: .utf8)
        let languages: Set<String> = ["Codable", "Sendable", "String"]
        var count = 0
        for name in ["docs/architecture.md", "docs/adding-models.md"] {
            for match in try document(name).text.matches(of: /`([A-Z]\w*[a-z]\w*)(?:\.(\w+))?(?:\([^`]*\))?`/) {
                let type = String(match.1)
                if type.hasPrefix("NAME") || manifest.contains("\"\(type)\"") || languages.contains(type) { continue }
                if isThere(Self.root.appendingPathComponent(type)) { continue }
                count += 1
                let isDeclared = declared.contains(type)
                #expect(isDeclared, "\(name) names \(type)")
                if let member = match.2, member != "swift", member != "init" {
                    let hasMember = declared.contains(String(member))
                    #expect(hasMember, "\(name) names \(match.0)")
                }
            }
        }
        #expect(count > 60)
    }

    /// All Swift files below a folder, one after the other.
    private static func swift(in folder: URL) throws -> String {
        let paths = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
        return try paths.filter { $0.hasSuffix(".swift") }.map {
            try String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8)
        }.joined(separator: "\n")
    }

    @Test func examplesStandInTheTests() throws {
        let toys = try Self.swift(in: Self.root.appendingPathComponent("Tests/DoorTests")).split(separator: "\n")
        let lines = Set(toys.map { $0.trimmingCharacters(in: .whitespaces) })
        let blocks = try document("docs/adding-models.md").text.matches(of: /(?s)```swift\n(.*?)```/)
        #expect(blocks.count == 3)
        for line in blocks.flatMap({ $0.1.split(separator: "\n") }) {
            let line = line.trimmingCharacters(in: .whitespaces)
            let isThere = line.isEmpty || lines.contains(line)
            #expect(isThere, "docs/adding-models.md: \(line)")
        }
    }

    // MARK: Commands

    @Test func commandsAndOptionsExist() throws {
        var helps: [[String]: String] = [:]
        func help(_ path: [String]) throws -> String {
            if let known = helps[path] { return known }
            let outcome = try Gmail.run(path + ["--help"])
            try #require(outcome.status == 0, "gmail \(path.joined(separator: " ")) --help")
            helps[path] = outcome.stdout
            return outcome.stdout
        }
        var count = 0
        for document in documents {
            for command in Self.commands(in: document.text) {
                var words = command.split(separator: " ").map(String.init)[...]
                // Skips `gmail COMMAND --help` and the program's name alone.
                guard let first = words.first, first.first?.isLowercase == true else { continue }
                var path: [String] = []
                while let word = words.first, !word.hasPrefix("-"),
                    try help(path).split(separator: "\n").contains(where: {
                        $0.hasPrefix("  \(word) ") || $0 == "  \(word)"
                    }
                    )
                {
                    path.append(word)
                    words.removeFirst()
                }
                #expect(!path.isEmpty, "\(document.name): gmail \(command)")
                count += 1
                for option in words where option.hasPrefix("--") {
                    let name = option.prefix { $0 != "=" }
                    let isKnown = try help(path).contains(Regex("\(name)(?![\\w-])"))
                    #expect(isKnown, "\(document.name): gmail \(command), option \(name)")
                }
            }
        }
        #expect(count > 30)
    }

    /// What follows `gmail` in code blocks and in code spans.
    private static func commands(in text: String) -> [String] {
        let joined = text.replacing(#/ *\\\n */#, with: " ")
        let blocks = joined.matches(of: /(?m)^(?: {4,}|\$ )?gmail ([^#|;&\n]+)/).map { String($0.1) }
        let spans = joined.matches(of: /`gmail ([^`\n]+)`/).map { String($0.1) }
        return blocks + spans
    }
}
