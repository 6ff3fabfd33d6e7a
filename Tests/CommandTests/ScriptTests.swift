import Foundation
import Testing

/// The scripts around the tests.
@Suite struct ScriptTests {
    private static let scripts = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("scripts")

    /// - Returns: the exit code, and the tests named on standard error.
    private func checkSkips(_ lines: [String]) throws -> (status: Int32, names: [String]) {
        let folder = try TemporaryFolder()
        try folder.write(lines.joined(separator: "\n") + "\n", to: "output")
        let script = Self.scripts.appendingPathComponent("check-skips.sh").path
        let outcome = try Gmail.run(
            URL(fileURLWithPath: "/bin/bash"), ["-c", "\"$0\" < \"$1\"", script, folder.path("output")])
        return (
            outcome.status,
            outcome.stderr.split(separator: "\n").filter { $0.hasPrefix("  ") }.map { String($0.dropFirst(2)) }
        )
    }

    @Test func skippedTestsAreCounted() throws {
        let others = [
            "◇ Test run started.", "✔ Test known() passed after 0.1 seconds.",
            "✘ Test \"a skipped. thing\" recorded an issue at A.swift:1:2: it was skipped: no",
            "✔ Test run with 3 tests in 2 suites passed after 1.0 seconds.",
        ]
        #expect(try checkSkips(others) == (0, []))
        #expect(try checkSkips(others + ["➜ Test filesForPEFTItself() skipped."]) == (0, []))
        #expect(
            try checkSkips([
                "➜ Test equalsTheGoldens(_:) skipped.", "➜ Suite PhotoParityTests skipped.",
                "➜ Test filesForPEFTItself() skipped.", "➜ Test \"of the whole set\" skipped: \"no data\"",
            ]) == (1, ["equalsTheGoldens(_:)", "PhotoParityTests", "of the whole set"]))
    }
}
