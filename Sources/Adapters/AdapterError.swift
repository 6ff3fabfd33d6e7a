import Files
import Foundation

/// What is wrong with an adapter's settings or files.
public enum AdapterError: Error, Equatable, Sendable {
    case invalidSetting(setting: String, expected: String, got: String)
    /// - Parameter file: the file that holds the pattern, if it came from one.
    case invalidPattern(pattern: String, reason: String, file: String?)
    /// No module of the model matches; `present` are the last path parts of its linear layers.
    case noTarget(targets: String, model: String, present: [String])
    /// A module of a kind that has no update; `expected` names the kinds that do.
    case notAdaptable(path: String, got: String, expected: String)
    case alreadyAdapted(path: String)
    /// A tensor that the model uses in a second place, which PEFT does not change.
    case sharedTensor(path: String)

    // Files
    case notAnAdapterFolder(path: String, missing: String)
    /// PEFT settings that change what the adapter computes and that are not supported: all of them at once.
    case unsupported(file: String, settings: [Setting])
    /// The tensors do not fit the adapted model: all differences at once.
    case mismatch(AdapterMismatch)
    /// The names fit several parts of the model, and the files do not say which one is meant.
    case ambiguousPart(folder: String, parts: [String])
    /// Nothing is left of an adapter without the parts that the caller leaves out.
    case nothingToApply(folder: String, parts: [String])
    case notFinite(file: String, key: String)
    /// An adapter that can be used, but not trained further.
    case notTrainable(folder: String, what: String)

    /// An entry of `adapter_config.json`.
    public struct Setting: Equatable, Sendable {
        public let key: String
        public let got: String
        public let reason: String
    }
}

/// All disagreements between an adapter file and an adapted model.
public struct AdapterMismatch: Equatable, Sendable {
    public struct Shape: Equatable, Sendable {
        public let key: String
        public let expected: [Int]
        public let got: [Int]
        /// Rank of the module according to `adapter_config.json`; nil for tensors without one.
        public let rank: Int?
    }

    public let file: String
    public var missing: [String] = []
    public var unused: [String] = []
    public var misshapen: [Shape] = []
    /// Keys of tensors that do not hold floating-point numbers.
    public var mistyped: [String] = []

    init(file: String) { self.file = file }

    var isEmpty: Bool { missing.isEmpty && unused.isEmpty && misshapen.isEmpty && mistyped.isEmpty }
}

extension AdapterError: CustomStringConvertible, LocalizedError {
    public var errorDescription: String? { description }

    public var description: String {
        switch self {
        case .invalidSetting(let setting, let expected, let got):
            return "LoRA setting '\(setting)' is \(got), expected \(expected)"
        case .invalidPattern(let pattern, let reason, let file):
            return (file.map { "\($0): " } ?? "")
                + "'\(printable(pattern))' is no regular expression that can be used: \(reason)"
        case .noTarget(let targets, let model, let present):
            let names = present.isEmpty ? "it has none" : "they are named \(present.joined(separator: ", "))"
            return "no linear layer of \(model) matches the target modules \(printable(targets)); \(names)"
        case .notAdaptable(let path, let got, let expected):
            return "target module '\(path)' is a \(got); only \(expected) take a LoRA update"
        case .alreadyAdapted(let path):
            return "module '\(path)' has an adapter already; merge or remove it first"
        case .sharedTensor(let path):
            return "'\(path)' is read in a second place too (a tied output layer), which the adapter leaves as it was;"
                + " merge the adapter in PEFT (merge_and_unload) and load the merged model instead"
        case .notAnAdapterFolder(let path, let missing):
            return "'\(path)' is no adapter folder: \(missing) is not in it; expected the folder that PEFT's"
                + " save_pretrained or an alignment run wrote"
        case .unsupported(let file, let settings):
            let next = "merge the adapter in PEFT (merge_and_unload) and load the merged model instead"
            guard settings.count > 1 else {
                let words = settings.map { "'\($0.key)' is \($0.got), which is not supported: \($0.reason)" }
                return "\(file): \(words.joined()); \(next)"
            }
            let lines = settings.map { "  '\($0.key)' is \($0.got): \($0.reason)" }
            return "\(file): \(settings.count) settings are not supported:\n\(lines.joined(separator: "\n"))\n  \(next)"
        case .mismatch(let mismatch):
            return mismatch.description
        case .ambiguousPart(let folder, let parts):
            return "adapter '\(folder)' fits \(parts.joined(separator: " and "));"
                + " say in its adapter_config.json which model it was made for (auto_mapping.base_model_class)"
        case .nothingToApply(let folder, let parts):
            return "adapter '\(folder)' changes \(parts.joined(separator: " and ")) alone, which is not used here"
        case .notFinite(let file, let key):
            return "\(file): tensor '\(key)' holds values that are not finite numbers; the adapter is broken"
        case .notTrainable(let folder, let what):
            return "adapter '\(folder)' has \(what), which can be used and not trained on"
        }
    }
}

extension AdapterMismatch: CustomStringConvertible {
    public var description: String {
        var lines = ["adapter '\(file)' does not fit the model:"]
        func list(_ title: String, _ items: [String]) {
            guard !items.isEmpty else { return }
            lines.append("  \(title) (\(items.count)):")
            lines += items.prefix(10).map { "    \(printable($0))" }
            if items.count > 10 { lines.append("    … and \(items.count - 10) more") }
        }
        list("missing from the file", missing)
        list("in the file, not in the adapted model", unused)
        list(
            "of another shape",
            misshapen.map { shape in
                let rank = shape.rank.map { " (r = \($0) in adapter_config.json)" } ?? ""
                return "key '\(shape.key)' has shape \(shape.got), model expects \(shape.expected)\(rank)"
            })
        list("not of floating-point numbers", mistyped)
        lines.append("  was it trained on another model, or do target_modules differ?")
        return lines.joined(separator: "\n")
    }
}
