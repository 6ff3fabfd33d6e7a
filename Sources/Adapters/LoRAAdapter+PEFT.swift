import Files
import Foundation
import Safetensors
import StrictJSON
import Torch
import TorchNN

// PEFT's layout on disk (huggingface/peft, docs/source/developer_guides/checkpoint.md):
//
//   adapter_config.json         r, lora_alpha, target_modules, …
//   adapter_model.safetensors   base_model.model.<path>.lora_A.weight  [r, in]
//                               base_model.model.<path>.lora_B.weight  [out, r]
//
// <path> is the layer's path below the model that was adapted; `base_model.model` are PEFT's two wrappers around it.

/// The two files of an adapter folder.
public enum PEFTFiles {
    public static let configuration = "adapter_config.json"
    public static let weights = "adapter_model.safetensors"
    static let prefix = "base_model.model."
}

extension LoRAAdapter {
    /// Puts an adapter that PEFT or `save(to:)` wrote into `model`.
    /// - Parameters:
    ///   - folder: holds `adapter_config.json` and `adapter_model.safetensors`.
    ///   - isTrainable: whether `A` and `B` record gradients afterwards.
    ///   - dropoutGenerator: draws dropout masks; needed when training goes on with a dropout above 0.
    /// - Throws: `AdapterError`, `SafetensorsError`; the model computes then what it did.
    public convenience init(
        loadingInto model: Module, folder: String, isTrainable: Bool = false, dropoutGenerator: Generator? = nil
    ) throws {
        for name in [PEFTFiles.configuration, PEFTFiles.weights]
        where !FileManager.default.fileExists(atPath: "\(folder)/\(name)") {
            throw AdapterError.notAnAdapterFolder(path: folder, missing: name)
        }
        let configuration = try LoRAConfiguration(peft: "\(folder)/\(PEFTFiles.configuration)")
        try self.init(
            model, configuration, generator: nil, dropoutGenerator: dropoutGenerator, isTrainable: isTrainable)
        do {
            try loadTensors(from: "\(folder)/\(PEFTFiles.weights)")
        } catch {
            try remove(keepingUpdates: false)
            throw error
        }
    }

    /// Overwrites `A` and `B` with those of an `adapter_model.safetensors`, strictly both ways (resuming a run).
    ///
    /// The tensors stay the same objects, so an optimizer that holds them goes on. Unmerge first.
    /// - Throws: `AdapterError.mismatch` listing everything that differs, `SafetensorsError`; nothing is changed then.
    public func loadTensors(from path: String) throws {
        precondition(!isMerged, "an adapter is unmerged before other weights are loaded into it")
        let weights = try Weights(path: path)
        var mismatch = AdapterMismatch(file: path, rank: configuration.rank)
        var unused = Set(weights.entries.keys)
        var copies: [(into: Tensor, from: Weights.Entry)] = []
        for parameter in namedParameters() {
            let key = PEFTFiles.prefix + parameter.key
            guard let entry = weights[key] else {
                mismatch.missing.append("\(key) \(parameter.tensor.shape)")
                continue
            }
            unused.remove(key)
            guard entry.shape == parameter.tensor.shape, entry.dtype.isFloatingPoint else {
                mismatch.misshapen.append(.init(key: key, expected: parameter.tensor.shape, got: entry.shape))
                continue
            }
            copies.append((parameter.tensor, entry))
        }
        mismatch.unused = unused.sorted().map { "\($0) \(weights[$0]?.shape ?? [])" }
        guard mismatch.isEmpty else { throw AdapterError.mismatch(mismatch) }
        withoutGradients {
            for (tensor, entry) in copies { tensor.copy(from: entry.tensor()) }
        }
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors`; `peft.PeftModel.from_pretrained` reads them as they are.
    /// - Parameters:
    ///   - folder: made when it does not exist.
    ///   - baseModel: `base_model_name_or_path`: what the adapter belongs to.
    public func save(to folder: String, baseModel: String? = nil) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try AtomicFile.write(configuration.peftJSON(baseModel: baseModel), to: "\(folder)/\(PEFTFiles.configuration)")
        // PEFT marks its files so; some readers refuse a file without it.
        try Weights.save(stateTensors, metadata: ["format": "pt"], to: "\(folder)/\(PEFTFiles.weights)")
    }

    /// Every `A` and `B` under PEFT's key.
    public var stateTensors: [(key: String, tensor: Tensor)] {
        namedParameters().map { (PEFTFiles.prefix + $0.key, $0.tensor) }
    }
}

extension LoRAConfiguration {
    /// Reads PEFT's `adapter_config.json`.
    ///
    /// A setting that would change what the adapter computes and that is not implemented (DoRA, modules to save, ranks by
    /// pattern, …) is an error that names it; one that is off, empty or of no effect on a finished adapter is passed over.
    /// - Throws: `AdapterError.unreadable`, `.invalidValue`, `.unsupported`.
    public init(peft path: String) throws {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw AdapterError.unreadable(file: path, reason: "cannot be read")
        }
        let root: JSONValue
        do {
            root = try StrictJSON.parse([UInt8](data))
        } catch {
            throw AdapterError.unreadable(file: path, reason: "is no JSON: \(error)")
        }
        guard let members = root.members else {
            throw AdapterError.unreadable(file: path, reason: "is no JSON object but \(root.kind)")
        }
        func invalid(_ key: String, _ expected: String, _ value: JSONValue?) -> AdapterError {
            .invalidValue(file: path, key: key, expected: expected, got: value?.words ?? "absent")
        }

        guard root["peft_type"]?.string == "LORA" else { throw invalid("peft_type", "\"LORA\"", root["peft_type"]) }
        guard let rank = root["r"]?.integer, rank > 0 else {
            throw invalid("r", "a whole number above 0", root["r"])
        }
        guard let alpha = root["lora_alpha"]?.double, alpha.isFinite else {
            throw invalid("lora_alpha", "a number", root["lora_alpha"])
        }
        var dropout = 0.0
        if let value = root["lora_dropout"], value != .null {
            guard let number = value.double, number >= 0, number < 1 else {
                throw invalid("lora_dropout", "a number in [0, 1)", value)
            }
            dropout = number
        }
        var isRankStabilized = false
        if let value = root["use_rslora"], value != .null {
            guard let bool = value.bool else { throw invalid("use_rslora", "true or false", value) }
            isRankStabilized = bool
        }
        if let value = root["bias"], value != .null, value.string != "none" {
            throw AdapterError.unsupported(file: path, key: "bias", got: value.words)
        }
        if let value = root["init_lora_weights"], value != .null, !Self.harmlessStarts.contains(value.words) {
            // These starts take something out of the base weights; the file alone does not say what.
            throw AdapterError.unsupported(file: path, key: "init_lora_weights", got: value.words)
        }
        for member in members where !Self.knownKeys.contains(member.key) && !member.value.isOff {
            throw AdapterError.unsupported(file: path, key: member.key, got: member.value.words)
        }
        let targets: LoRATargets
        switch root["target_modules"] {
        case .string("all-linear")?:
            throw AdapterError.unsupported(file: path, key: "target_modules", got: "\"all-linear\"")
        case .string(let pattern)?:
            targets = .pattern(pattern)
        case .array(let values)? where !values.isEmpty && values.allSatisfy({ $0.string?.isEmpty == false }):
            targets = .names(values.compactMap(\.string), prefix: nil)
        case let value:
            throw invalid("target_modules", "a list of names or a regular expression", value)
        }
        self.init(rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isRankStabilized, targets: targets)
        try validate()
    }

    /// Ways to draw the initial `A` and `B` that leave the base weights alone.
    private static let harmlessStarts: Set<String> = ["true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\""]

    /// Keys that are read above, or that say nothing about what a finished adapter computes.
    private static let knownKeys: Set<String> = [
        "peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "bias", "init_lora_weights", "target_modules",
        "peft_version", "auto_mapping", "base_model_name_or_path", "revision", "inference_mode", "task_type",
        "megatron_core", "qalora_group_size", "eva_config", "runtime_config",
    ]

    /// `adapter_config.json`, keys sorted as PEFT sorts them.
    func peftJSON(baseModel: String?) -> String {
        func quoted(_ text: String) -> String {
            var bytes: [UInt8] = []
            StrictJSON.append(string: text, to: &bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
        func number(_ value: Double) -> String {
            value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
        }
        let modules: String
        switch targets {
        case .pattern(let pattern):
            modules = quoted(pattern)
        case .names(let names, let prefix):
            if let prefix, !prefix.isEmpty {
                modules = quoted(Self.pattern(names, below: prefix))
            } else {
                modules = "[\n" + names.map { "    \(quoted($0))" }.joined(separator: ",\n") + "\n  ]"
            }
        }
        let members: [(String, String)] = [
            ("auto_mapping", "null"),
            ("base_model_name_or_path", baseModel.map(quoted) ?? "null"),
            ("bias", "\"none\""),
            ("fan_in_fan_out", "false"),
            ("inference_mode", "true"),
            ("init_lora_weights", "true"),
            ("lora_alpha", number(alpha)),
            ("lora_dropout", "\(dropout)"),
            ("modules_to_save", "null"),
            ("peft_type", "\"LORA\""),
            ("r", "\(rank)"),
            ("target_modules", modules),
            ("task_type", "null"),
            ("use_dora", "false"),
            ("use_rslora", "\(isRankStabilized)"),
        ]
        return "{\n" + members.map { "  \"\($0)\": \($1)" }.joined(separator: ",\n") + "\n}\n"
    }

    /// Names below a prefix as the one regular expression that PEFT matches against whole paths.
    static func pattern(_ names: [String], below prefix: String) -> String {
        func escaped(_ name: String) -> String {
            name.map { $0.isLetter || $0.isNumber || $0 == "_" ? "\($0)" : "\\\($0)" }.joined()
        }
        return "\(escaped(prefix))\\.(.*\\.)?(\(names.map(escaped).joined(separator: "|")))"
    }
}

extension JSONValue {
    /// Null, false, zero-length: a setting that is not in use.
    fileprivate var isOff: Bool {
        switch self {
        case .null, .bool(false): true
        case .string(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        case .bool(true), .number: false
        }
    }

    /// The value as an error message shows it.
    fileprivate var words: String {
        switch self {
        case .number(let text): text
        case .string(let text): "\"\(text)\""
        case .bool(let value): "\(value)"
        case .null: "null"
        case .array(let values): "[\(values.map(\.words).joined(separator: ", "))]"
        case .object(let members):
            "{\(members.map { "\"\($0.key)\": \($0.value.words)" }.joined(separator: ", "))}"
        }
    }
}
