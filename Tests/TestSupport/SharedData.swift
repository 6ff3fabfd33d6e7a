import Files
import Foundation

/// Large files for parity tests, which are not part of the repository: `GMAIL_SHARED` names their folder, `../shared`
/// otherwise. A suite that needs some says `.enabled(if: SharedData.has("data/coco_open"))`, so that it counts as skipped
/// where they are absent.
public enum SharedData {
    public static let folder = ProcessInfo.processInfo.environment["GMAIL_SHARED"] ?? "../shared"

    /// The path of a file below the folder.
    public static func path(_ name: String) -> String { "\(folder)/\(name)" }

    public static func has(_ names: String...) -> Bool { has(names) }

    public static func has(_ names: [String]) -> Bool { names.allSatisfy { FileSystem.exists(path($0)) } }
}

/// What a test must have before it can run, beside the shared data.
public enum TestCondition {
    /// Set by `make test-full`: minutes of fuzzing, large parity cases, kill -9 loops.
    public static var isFullRun: Bool { ProcessInfo.processInfo.environment["GMAIL_TEST_FULL"] == "1" }

    /// A path that an environment variable names; nil when it is not set or nothing is there.
    public static func file(named variable: String) -> String? {
        ProcessInfo.processInfo.environment[variable].flatMap { FileSystem.exists($0) ? $0 : nil }
    }
}

/// SplitMix64: the same numbers on every run.
public struct SeededGenerator: RandomNumberGenerator {
    public var state: UInt64

    public init(state: UInt64) { self.state = state }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
