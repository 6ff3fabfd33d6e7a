import Foundation
import Testing

@testable import CaptionMetrics

/// The jar and its models are not here; a stand-in for Java shows that the runner does its part.
@Suite struct SpiceJarTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("spice-jar-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("lib"), withIntermediateDirectories: true)
    }

    private var jar: URL { folder.appendingPathComponent("spice-1.0.jar") }

    private func install(models: Bool) throws {
        try Data("jar".utf8).write(to: jar)
        if models {
            for name in SpiceJar.libraries { try Data().write(to: folder.appendingPathComponent("lib/\(name)")) }
        }
    }

    /// A program that reports a version and, run on the jar, does `body`.
    private func java(version: String, body: String) throws -> String {
        let script = """
            #!/bin/sh
            if [ "$1" = "-version" ]; then echo 'openjdk version "\(version)" 2025' >&2; exit 0; fi
            while [ $# -gt 0 ]; do if [ "$1" = "-out" ]; then out="$2"; fi; shift; done
            \(body)
            """
        let url = folder.appendingPathComponent("java-\(version)")
        try Data(script.utf8).write(to: url)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: url.path)
        return url.path
    }

    private func run(java: String) throws -> SpiceResult {
        try SpiceJar.run(jar: jar, references: [["a dog"], ["a cat"]], candidates: ["a dog", "a mat"], java: java)
    }

    @Test func missingPieces() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(throws: SpiceJarError.jarMissing(path: jar.path)) { try run(java: "java") }
        try install(models: false)
        #expect(
            throws: SpiceJarError.modelsMissing(
                folder: folder.appendingPathComponent("lib").path, files: SpiceJar.libraries)
        ) { try run(java: "java") }
        try install(models: true)
        let none = folder.appendingPathComponent("no-java").path
        let error = #expect(throws: SpiceJarError.self) { try run(java: none) }
        guard case .javaMissing(none, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        let new = try java(version: "17.0.15", body: "exit 1")
        #expect(throws: SpiceJarError.javaTooNew(java: new, version: 17)) { try run(java: new) }
        #expect(throws: SpiceError.counts(candidates: 1, references: 0)) {
            try SpiceJar.run(jar: jar, references: [], candidates: ["a"])
        }
    }

    @Test func readsWhatTheJarWrites() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try install(models: true)
        let old = try java(
            version: "1.8.0_292",
            body: """
                cat > "$out" <<'END'
                [{"image_id":1,"scores":{"All":{"f":0.0,"pr":0.0,"re":0.0,"tp":0,"fp":1,"fn":1,"numImages":1}}},
                 {"image_id":0,"scores":{"All":{"f":0.5,"pr":0.5,"re":0.5,"tp":1,"fp":1,"fn":1,"numImages":1},
                  "Size":{"f":NaN,"pr":NaN,"re":NaN,"tp":0,"fp":0,"fn":0,"numImages":0},
                  "Object":{"f":1.0,"pr":1.0,"re":1.0,"tp":1,"fp":0,"fn":0,"numImages":1}}}]
                END
                """)
        let result = try run(java: old)
        #expect(result.images.map(\.all.f1) == [0.5, 0])
        #expect(result.corpus == 0.25)
        #expect(result.images[0].categories[.object]?.f1 == 1)
        #expect(result.images[0].categories[.size] == nil)
    }

    @Test func failuresCarryTheMessages() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try install(models: true)
        let failing = try java(version: "11.0.2", body: "echo out of memory >&2; exit 3")
        #expect(throws: SpiceJarError.failed(status: 3, messages: "out of memory\n")) { try run(java: failing) }
        let silent = try java(version: "14.0.1", body: "exit 0")
        #expect(throws: SpiceJarError.failed(status: 0, messages: "")) { try run(java: silent) }
        let partial = try java(version: "9", body: #"echo '[{"image_id":0,"scores":{}}]' > "$out""#)
        #expect(throws: SpiceJarError.unreadable(detail: "image 0 of 2 has no score 'All'")) { try run(java: partial) }
    }

    @Test(arguments: [
        (
            SpiceJarError.jarMissing(path: "x.jar"),
            "SPICE jar 'x.jar': no such file; expected spice-1.0.jar as pip's pycocoevalcap brings it"
        ),
        (
            .modelsMissing(folder: "lib", files: ["a.jar", "b.jar"]),
            "SPICE jar: 'lib' lacks a.jar and b.jar; they are part of stanford-corenlp-full-2015-12-09.zip and belong "
                + "into that folder"
        ),
        (
            .javaTooNew(java: "java", version: 21),
            "SPICE jar: 'java' is Java 21, which no longer has the script engine the jar writes its results with; "
                + "expected Java 8 to 14, give its path"
        ),
        (.failed(status: 2, messages: "m"), "SPICE jar: ended with status 2. Its last messages: m"),
        (.unreadable(detail: "d"), "SPICE jar: the result file cannot be read: d"),
        (
            .javaMissing(java: "j", messages: "m"),
            "SPICE jar: 'j -version' reports no version; expected Java 8 to 14. It said: m"
        ),
    ])
    func messages(_ error: SpiceJarError, _ text: String) {
        #expect(error.description == text)
    }
}
