import Foundation

/// What is wrong with an adapter's settings or files.
public enum AdapterError: Error, Equatable, Sendable {
    case invalidSetting(setting: String, expected: String, got: String)
    case invalidPattern(pattern: String, reason: String)
    /// No module of the model matches; `present` are the last path parts of its linear layers.
    case noTarget(targets: String, model: String, present: [String])
    case notLinear(path: String, got: String)
    case alreadyAdapted(path: String)

    // Files
    case notAnAdapterFolder(path: String, missing: String)
    case unreadable(file: String, reason: String)
    case invalidValue(file: String, key: String, expected: String, got: String)
    /// A PEFT setting that changes what the adapter computes and that is not supported.
    case unsupported(file: String, key: String, got: String)
    /// The tensors do not fit the adapted model: everything that differs, at once.
    case mismatch(AdapterMismatch)
}

/// Everything by which an adapter file and an adapted model disagree.
public struct AdapterMismatch: Equatable, Sendable {
    public struct Shape: Equatable, Sendable {
        public let key: String
        public let expected: [Int]
        public let got: [Int]
    }

    public let file: String
    /// Rank that `adapter_config.json` states.
    public let rank: Int
    public var missing: [String] = []
    public var unused: [String] = []
    public var misshapen: [Shape] = []

    init(file: String, rank: Int) {
        self.file = file
        self.rank = rank
    }

    var isEmpty: Bool { missing.isEmpty && unused.isEmpty && misshapen.isEmpty }
}

extension AdapterError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .invalidSetting(let setting, let expected, let got):
            return "LoRA setting '\(setting)' is \(got), expected \(expected)"
        case .invalidPattern(let pattern, let reason):
            return "target modules '\(pattern)' is no regular expression: \(reason)"
        case .noTarget(let targets, let model, let present):
            let names = present.isEmpty ? "it has none" : "they are named \(present.joined(separator: ", "))"
            return "no linear layer of \(model) matches the target modules \(targets); \(names)"
        case .notLinear(let path, let got):
            return "target module '\(path)' is a \(got); only linear layers take a LoRA update"
        case .alreadyAdapted(let path):
            return "module '\(path)' has an adapter already; merge or remove it first"
        case .notAnAdapterFolder(let path, let missing):
            return "'\(path)' is no adapter folder: \(missing) is not in it; expected the folder that PEFT's"
                + " save_pretrained or an alignment run wrote"
        case .unreadable(let file, let reason):
            return "\(file): \(reason)"
        case .invalidValue(let file, let key, let expected, let got):
            return "\(file): '\(key)' is \(got), expected \(expected)"
        case .unsupported(let file, let key, let got):
            return "\(file): '\(key)' is \(got), which changes the adapter in a way that is not supported;"
                + " merge the adapter in PEFT (merge_and_unload) and load the merged model instead"
        case .mismatch(let mismatch):
            return mismatch.description
        }
    }
}

extension AdapterMismatch: CustomStringConvertible {
    public var description: String {
        var lines = ["adapter '\(file)' does not fit the model:"]
        func list(_ title: String, _ items: [String]) {
            guard !items.isEmpty else { return }
            lines.append("  \(title) (\(items.count)):")
            lines += items.prefix(10).map { "    \($0)" }
            if items.count > 10 { lines.append("    … and \(items.count - 10) more") }
        }
        list("missing from the file", missing)
        list("in the file, not in the adapted model", unused)
        list(
            "of another shape",
            misshapen.map {
                "key '\($0.key)' has shape \($0.got), model expects \($0.expected) (r = \(rank) in adapter_config.json)"
            })
        lines.append("  was it trained on another model, or do target_modules differ?")
        return lines.joined(separator: "\n")
    }
}
