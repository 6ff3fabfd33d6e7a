import Foundation
import StrictJSON
import TestSupport
import Testing

@testable import Adapters

@Suite struct PythonPatternTests {
    /// Fixtures/make_python_patterns.py asked Python.
    @Test func patternsMeanWhatTheyMeanToPython() throws {
        let file = try JSONFile(fixture("python-patterns.json"))
        let common = try #require(try file.strings("texts"))
        let entries = try #require(file.value["patterns"]?.array)
        #expect(entries.count > 200)
        for entry in entries {
            let source = try #require(entry["pattern"]?.string)
            guard entry["error"] == nil else {
                #expect(throws: AdapterError.self, "'\(source)' is no expression to Python") {
                    _ = try PythonPattern(source)
                }
                continue
            }
            let pattern = try PythonPattern(source)
            let own = entry["texts"]?.array?.compactMap(\.string) ?? []
            let texts = own.isEmpty ? common : own
            let whole = texts.map { pattern.matchesWhole($0) ? "1" : "0" }.joined()
            let start = texts.map { pattern.matchesStart($0) ? "1" : "0" }.joined()
            #expect(whole == entry["whole"]?.string, "fullmatch of '\(source)'")
            #expect(start == entry["start"]?.string, "match of '\(source)'")
        }
    }

    @Test(arguments: [
        (#"(a)\1"#, "back-references are not supported at position 4"),
        ("(a)(?(1)b|c)", "a group begins with '?' in a way that is not supported at position 5"),
        ("(?P=a)", "a group begins with '?' in a way that is not supported at position 2"),
        ("(?>a)", "a group begins with '?' in a way that is not supported at position 2"),
        ("a++", "possessive quantifiers are not supported at position 2"),
        ("(q_proj", "a '(' is not closed at position 7"),
    ])
    func whatIsRefused(pattern: String, reason: String) {
        #expect(
            message { _ = try PythonPattern(pattern) }
                == "'\(pattern)' is no regular expression that can be used: \(reason)")
    }

    /// Backtracking would take more steps than there are atoms.
    @Test func hostilePatternsEnd() throws {
        let text = String(repeating: "a", count: 200)
        for pattern in ["(a+)+b", "(a*)*b", "(a|aa)+b", "(.*.*.*.*.*)*b", "((a{0,9}){0,9}){0,9}b", "a{99999999}"] {
            #expect(try !PythonPattern(pattern).matchesWhole(text))
        }
        let deep = String(repeating: "(", count: 5000) + String(repeating: ")*", count: 5000)
        #expect(message { _ = try PythonPattern(deep) }.hasSuffix("groups nest too deep at position 100"))
    }
}
