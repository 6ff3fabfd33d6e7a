import Foundation
import StrictJSON
import TestSupport
import Testing

@testable import Adapters

@Suite struct PythonPatternTests {
    /// Fixtures/make_python_patterns.py asked Python for the expected answers.
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

    /// `(.*\.)?(KEY)$`, by either way of matching it.
    @Test func endings() throws {
        for key in ["q_proj", "attn.q_proj", "layers.1.q", "", "(?:q_proj)", "q_proj|fc1", "a.b", "^a.b", "x-1"] {
            let pattern = try EndingPattern(key)
            let slow = try PythonPattern(#"(.*\.)?("# + key + ")$")
            for path in [
                "q_proj", "self.attn.q_proj", "self_attn.q_proj", "self_attnxq_proj", "a.self.attnxq_proj",
                "layers.1.q",
                "m.layers.1.q", "layersx1.q", "m.layers.11.q", "", "a.", "a.b", "aab", "b.aab", "fc1", "a.fc1", "x-1",
                "y.x-1",
            ] {
                #expect(
                    pattern.matches(Array(path.unicodeScalars)) == slow.matchesWhole(path), "'\(key)' and '\(path)'")
            }
        }
    }

    /// As EVA writes ranks: every layer by name.
    @Test func manyNamedLayersTakeNoTime() throws {
        let paths = (0..<48).flatMap { layer in
            ["q_proj", "k_proj", "v_proj", "out_proj"].map { "vision_model.encoder.layers.\(layer).self_attn.\($0)" }
        }
        var configuration = LoRAConfiguration(targets: .names(["q_proj"], prefix: nil))
        configuration.rankPattern = paths.enumerated().map { .init($1, $0 + 1) }
        let selection = try LoRAConfiguration.Selection(configuration)
        var ranks: [Int] = []
        let time = ContinuousClock().measure { ranks = paths.map { selection.rank($0) } }
        #expect(ranks == Array(1...paths.count))
        #expect(time < .seconds(5))
    }
}
