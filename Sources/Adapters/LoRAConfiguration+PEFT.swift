import Files
import StrictJSON

// Reads and writes PEFT's `adapter_config.json`.

/// The content of an `adapter_config.json`.
struct PEFTConfiguration {
    let lora: LoRAConfiguration
    /// Class of the adapted model, such as `CLIPVisionModel`; PEFT leaves it out if a task was given.
    let modelClass: String?

    /// - Throws: `FileError`, `JSONFileError`, `AdapterError.unsupported` with every setting that is not computed here.
    init(_ path: String) throws {
        let file = try JSONFile(path)
        guard let type = try file.string("peft_type") else { throw file.invalid("peft_type", expected: "\"LORA\"") }
        guard type == "LORA" else {
            throw AdapterError.unsupported(
                file: path,
                settings: [.init(key: "peft_type", got: "\"\(type)\"", reason: "only LORA is computed here")])
        }
        let unsupported = try Self.unsupported(file)
        guard unsupported.isEmpty else { throw AdapterError.unsupported(file: path, settings: unsupported) }

        guard let rank = try file.integer("r", in: 1...Int.max) else {
            throw file.invalid("r", expected: "a whole number of at least 1")
        }
        let alphas = "a number of at least 0"
        guard let alpha = try file.value("lora_alpha", expected: alphas, Self.alpha) else {
            throw file.invalid("lora_alpha", expected: alphas)
        }
        guard let targets = try Self.targets(file, "target_modules") else {
            throw file.invalid("target_modules", expected: Self.namesOrPattern)
        }
        var lora = LoRAConfiguration(
            rank: rank, alpha: alpha, dropout: try file.probability("lora_dropout") ?? 0,
            isRankStabilized: try file.bool("use_rslora") ?? false, targets: targets)
        lora.exclusions = try Self.targets(file, "exclude_modules")
        lora.layers = try Self.layers(file)
        lora.rankPattern = try Self.pattern(file, "rank_pattern", "a whole number of at least 1") { value in
            value.integer.flatMap { $0 > 0 ? $0 : nil }
        }
        lora.alphaPattern = try Self.pattern(file, "alpha_pattern", alphas, Self.alpha)
        lora.usesDoRA = try file.bool("use_dora") ?? false
        lora.bias = try file.choice("bias") ?? .none
        lora.hasUpdateBias = try file.bool("lora_bias") ?? false
        lora.savedModules = try file.strings("modules_to_save") ?? []
        if lora.savedModules.contains("") {
            throw file.invalid("modules_to_save", expected: "names, none of them empty")
        }
        do {
            try lora.validate()
        } catch AdapterError.invalidPattern(let pattern, let reason, _) {
            throw AdapterError.invalidPattern(pattern: pattern, reason: reason, file: path)
        }
        self.lora = lora
        modelClass = try file.object("auto_mapping")?.string("base_model_class")
    }

    private static let namesOrPattern = "a list of names or a regular expression"

    private static func alpha(_ value: JSONValue) -> Double? {
        value.double.flatMap { $0.isFinite && $0 >= 0 ? $0 : nil }
    }

    private static func targets(_ file: JSONFile, _ key: String) throws -> LoRATargets? {
        guard let value = file.value[key], !value.isOff else { return nil }
        if let text = value.string {
            // PEFT, too, accepts the word in upper or lower case.
            return key == "target_modules" && text.lowercased() == "all-linear" ? .allLinear : .pattern(text)
        }
        let values = value.array ?? []
        let names = values.compactMap(\.string).filter { !$0.isEmpty }
        guard !names.isEmpty, names.count == values.count else { throw file.invalid(key, expected: namesOrPattern) }
        return .names(names, prefix: nil)
    }

    private static func layers(_ file: JSONFile) throws -> LoRALayerChoice? {
        let indices = try file.value("layers_to_transform", expected: "a layer's index, or a list of them") { value in
            value.integer.map { [$0] }
                ?? value.array.flatMap { values in
                    let indices = values.compactMap(\.integer)
                    return indices.count == values.count ? indices : nil
                }
        }
        let stacks = try file.value("layers_pattern", expected: "a name, or a list of names") { value in
            value.string.map { $0.isEmpty ? [] : [$0] }
                ?? value.array.flatMap { values in
                    let names = values.compactMap(\.string).filter { !$0.isEmpty }
                    return names.count == values.count ? names : nil
                }
        }
        guard let indices, !indices.isEmpty else {
            guard stacks?.isEmpty ?? true else {
                throw file.invalid("layers_to_transform", expected: "the layers that 'layers_pattern' goes with")
            }
            return nil
        }
        // PEFT refuses the two together, because an expression says itself which layers it means.
        if file.value["target_modules"]?.string != nil {
            throw file.invalid("layers_to_transform", expected: "null, as 'target_modules' is an expression")
        }
        return LoRALayerChoice(indices, stacks: stacks ?? [])
    }

    /// Entries in the order of the file, in which PEFT tries them.
    private static func pattern<Value>(
        _ file: JSONFile, _ key: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws -> [PatternValue<Value>] {
        guard let entries = try file.object(key) else { return [] }
        return try entries.keys.map { name in
            guard let value = try entries.value(name, expected: expected, convert) else {
                throw entries.invalid(name, expected: expected)
            }
            return PatternValue(name, value)
        }
    }

    /// Every setting that is in use and changes what the adapter computes in a way that is not implemented here.
    private static func unsupported(_ file: JSONFile) throws -> [AdapterError.Setting] {
        var found: [AdapterError.Setting] = []
        if let start = file.value["init_lora_weights"], start != .null, !harmlessStarts.contains(start.compact) {
            found.append(
                .init(
                    key: "init_lora_weights", got: start.compact,
                    reason:
                        "it takes something out of the base weights, and the file does not say what; save the adapter"
                        + " with path_initial_model_for_weight_conversion"))
        }
        for key in file.keys where !read.contains(key) && !silent.contains(key) {
            guard let value = file.value[key], !value.isOff else { continue }
            found.append(.init(key: key, got: value.compact, reason: reasons[key] ?? "it is not known here"))
        }
        return found
    }

    /// Ways to draw the initial `A` and `B` that do not change the base weights.
    private static let harmlessStarts: Set<String> = [
        "true", "false", "\"gaussian\"", "\"eva\"", "\"orthogonal\"", "\"mica\"",
    ]

    private static let read: Set<String> = [
        "peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "bias", "init_lora_weights", "target_modules",
        "exclude_modules", "layers_to_transform", "layers_pattern", "rank_pattern", "alpha_pattern", "use_dora",
        "lora_bias",
        "modules_to_save", "auto_mapping",
    ]

    /// Keys that say nothing about what a finished adapter computes: where it comes from, how it was initialised or
    /// run. `fan_in_fan_out` is among them because PEFT itself corrects it by the kind of layer.
    private static let silent: Set<String> = [
        "fan_in_fan_out", "peft_version", "base_model_name_or_path", "revision", "inference_mode", "task_type",
        "megatron_core", "qalora_group_size", "runtime_config", "merge_weights", "loftq_config", "eva_config",
        "corda_config", "lora_ga_config",
    ]

    private static let reasons: [String: String] = [
        "target_parameters": "updates of parameters outside of layers are not computed",
        "trainable_token_indices": "single rows of an embedding are not replaced",
        "layer_replication": "layers are not repeated",
        "alora_invocation_tokens": "an update that begins at a token is not computed",
        "arrow_config": "routing between adapters is not computed",
        "use_bdlora": "block-diagonal updates are not computed",
        "use_qalora": "quantised groups are not computed",
        "kasa_config": "it truncates the base weights",
        "velora_config": "its projections are not read",
        "monteclora_config": "its sampling is not computed",
        "megatron_config": "sharded layers are not computed",
        "ensure_weight_tying": "tied updates are not computed",
    ]
}

extension LoRAConfiguration {
    /// Reads PEFT's `adapter_config.json`.
    ///
    /// A setting that would change what the adapter computes and is not implemented here is an error that names it. A
    /// setting that is off, empty or without effect on a finished adapter is ignored.
    /// - Throws: `FileError`, `JSONFileError`, `AdapterError`.
    public init(peft path: String) throws { self = try PEFTConfiguration(path).lora }

    /// `adapter_config.json`, with the keys in PEFT's order.
    /// - Parameters:
    ///   - modelClass: class of the adapted model, if the names do not imply it.
    ///   - hasInputFirst: whether an updated weight is stored `[in, out]` (GPT-2's layers).
    func peftJSON(baseModel: String?, modelClass: String? = nil, hasInputFirst: Bool) -> String {
        let members: [(String, String)] = [
            ("alpha_pattern", Self.object(alphaPattern.map { ($0.pattern, Self.number($0.value)) })),
            ("auto_mapping", modelClass.map { "{\n    \"base_model_class\": \(Self.quoted($0))\n  }" } ?? "null"),
            ("base_model_name_or_path", baseModel.map(Self.quoted) ?? "null"),
            ("bias", Self.quoted(bias.rawValue)),
            ("exclude_modules", exclusions.map(Self.json) ?? "null"),
            ("fan_in_fan_out", "\(hasInputFirst)"),
            ("inference_mode", "true"),
            ("init_lora_weights", "true"),
            ("layers_pattern", layers.flatMap { $0.stacks.isEmpty ? nil : Self.list($0.stacks) } ?? "null"),
            ("layers_to_transform", layers.map { "\($0.indices)" } ?? "null"),
            ("lora_alpha", Self.number(alpha)),
            ("lora_bias", "\(hasUpdateBias)"),
            ("lora_dropout", "\(dropout)"),
            ("modules_to_save", savedModules.isEmpty ? "null" : Self.list(savedModules)),
            ("peft_type", "\"LORA\""),
            ("r", "\(rank)"),
            ("rank_pattern", Self.object(rankPattern.map { ($0.pattern, "\($0.value)") })),
            ("target_modules", Self.json(targets)),
            ("task_type", "null"),
            ("use_dora", "\(usesDoRA)"),
            ("use_rslora", "\(isRankStabilized)"),
        ]
        return "{\n" + members.map { "  \"\($0)\": \($1)" }.joined(separator: ",\n") + "\n}\n"
    }

    private static func json(_ targets: LoRATargets) -> String {
        switch targets {
        case .allLinear: quoted("all-linear")
        case .pattern(let pattern): quoted(pattern)
        case .names(let names, let prefix?) where !prefix.isEmpty: quoted(pattern(names, below: prefix))
        case .names(let names, _): list(names)
        }
    }

    private static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        StrictJSON.append(string: text, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func list(_ names: [String]) -> String {
        "[\n" + names.map { "    \(quoted($0))" }.joined(separator: ",\n") + "\n  ]"
    }

    private static func object(_ members: [(String, String)]) -> String {
        guard !members.isEmpty else { return "{}" }
        return "{\n" + members.map { "    \(quoted($0)): \($1)" }.joined(separator: ",\n") + "\n  }"
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }

    /// Names below a prefix, as the one regular expression that PEFT matches against whole paths.
    static func pattern(_ names: [String], below prefix: String) -> String {
        func escaped(_ name: String) -> String {
            name.map { $0.isLetter || $0.isNumber || $0 == "_" ? "\($0)" : "\\\($0)" }.joined()
        }
        return "\(escaped(prefix))\\.(.*\\.)?(\(names.map(escaped).joined(separator: "|")))"
    }
}

extension JSONValue {
    /// Whether the setting is not in use: null, false, or of length zero.
    fileprivate var isOff: Bool {
        switch self {
        case .null, .bool(false): true
        case .string(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        case .bool(true), .number: false
        }
    }

    /// The value as it stands, shortened for an error message.
    fileprivate var compact: String {
        let text: String
        switch self {
        case .number, .string, .bool: return words
        case .null: text = "null"
        case .array(let values): text = "[\(values.map(\.compact).joined(separator: ", "))]"
        case .object(let members):
            text = "{\(members.map { "\"\($0.key)\": \($0.value.compact)" }.joined(separator: ", "))}"
        }
        return printable(text.count > 80 ? "\(text.prefix(80))…" : text)
    }
}
