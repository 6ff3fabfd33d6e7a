import TorchNN

/// What an adapter's settings mean for one model: which modules it changes, and which tensors its file must hold.
struct AdapterPlan {
    /// A module with an update of its weight.
    struct Update {
        let path: String
        /// The adapter's name of the module.
        let name: String
        let module: Module
        let form: WeightForm
        let rank: Int
        let scale: Double
        /// Whether the update is folded into the weight from the start instead of being computed beside it.
        let isFolded: Bool
    }

    /// A tensor in the adapter's file.
    struct Expected {
        let key: String
        let shape: [Int]
        /// The rank of the update to which it belongs.
        var rank: Int?
        /// Whether it is optional and changes nothing.
        var isIgnored = false
    }

    private(set) var updates: [Update] = []
    /// Tensors of the model that the file replaces: their keys in the model and in the file.
    private(set) var replaced: [(key: String, fileKey: String)] = []
    private(set) var expected: [Expected] = []
    /// Modules that are stored whole, by path.
    private(set) var savedPaths: [String] = []

    /// - Parameters:
    ///   - leavingOut: parts of the model that are not changed, by path.
    /// - Throws: `AdapterError` for patterns, and for targets that match nothing or a module without update.
    init(_ model: Module, _ configuration: LoRAConfiguration, view: AdapterView, leavingOut: [String] = []) throws {
        let selection = try LoRAConfiguration.Selection(configuration)
        func name(of path: String) -> String? {
            leavingOut.contains { Self.isWithin($0, path) } ? nil : view.name(of: path)
        }
        var present: Set<String> = []
        for (path, module) in model.namedModules() where !path.isEmpty {
            guard let name = name(of: path) else { continue }
            let form = WeightForm(module)
            let isLinear = form?.isLinear ?? false
            if isLinear { present.insert(path.split(separator: ".").last.map(String.init) ?? path) }
            if selection.saves(name), !savedPaths.contains(where: { Self.isWithin($0, path) }) {
                savedPaths.append(path)
            }
            guard selection.contains(name, isLinear: isLinear) else { continue }
            guard let form else {
                throw AdapterError.notAdaptable(
                    path: path, got: "\(type(of: module))", expected: "linear layers, convolutions and embeddings")
            }
            guard !(module is any LowRankLayer) else { throw AdapterError.alreadyAdapted(path: path) }
            updates.append(
                Update(
                    path: path, name: name, module: module, form: form, rank: selection.rank(name),
                    scale: selection.scale(name), isFolded: configuration.usesDoRA || !form.isLinear))
        }
        guard !updates.isEmpty else {
            throw AdapterError.noTarget(
                targets: configuration.targets.description, model: "\(type(of: model))", present: present.sorted())
        }
        for path in savedPaths {
            guard let inside = updates.first(where: { Self.isWithin(path, $0.path) }) else { continue }
            throw AdapterError.invalidSetting(
                setting: "modules_to_save", expected: "modules without updates in them",
                got: "'\(path)', where '\(inside.path)' has one")
        }
        try expectUpdates(configuration)
        expectTensors(of: model, configuration.bias, name(of:))
        try refuseShared(model)
    }

    /// Whether `path` is the module at `module` or below it.
    static func isWithin(_ module: String, _ path: String) -> Bool { path == module || path.hasPrefix(module + ".") }

    private mutating func expectUpdates(_ configuration: LoRAConfiguration) throws {
        for update in updates {
            let tensors = update.module.namedTensors()
            guard let weight = tensors.first(where: { $0.key == "weight" })?.tensor.shape else { continue }
            let (names, shapes) = (update.form.names, update.form.shapes(weight: weight, rank: update.rank))
            func expect(_ name: String, _ shape: [Int]) {
                expected.append(Expected(key: PEFTFiles.key(update.name, name), shape: shape, rank: update.rank))
            }
            expect(names.down, shapes.down)
            expect(names.up, shapes.up)
            if configuration.usesDoRA { expect(names.magnitude, shapes.magnitude) }
            guard configuration.hasUpdateBias else { continue }
            // As in PEFT, which cannot merge such an update into a layer without a bias.
            guard tensors.contains(where: { $0.key == "bias" }) else {
                throw AdapterError.invalidSetting(
                    setting: "lora_bias", expected: "updates of layers that have a bias", got: "one of '\(update.path)'"
                )
            }
            expect(names.upBias, [shapes.up[0]])
        }
    }

    /// Biases and whole modules, under the names of PEFT's wrappers.
    private mutating func expectTensors(of model: Module, _ bias: LoRABias, _ name: (String) -> String?) {
        let updated = Set(updates.map(\.path))
        func expect(_ key: String, _ fileName: String, _ shape: [Int], isIgnored: Bool = false) {
            let fileKey = PEFTFiles.prefix + fileName
            expected.append(Expected(key: fileKey, shape: shape, isIgnored: isIgnored))
            if !isIgnored { replaced.append((key, fileKey)) }
        }
        for slot in model.namedTensors() {
            guard let name = name(slot.key) else { continue }
            let shape = slot.tensor.shape
            let isBias = slot.key.hasSuffix(".bias")
            let parent = isBias ? String(slot.key.dropLast(".bias".count)) : ""
            if let saved = savedPaths.first(where: { Self.isWithin($0, slot.key) }) {
                expect(slot.key, name, shape, isIgnored: slot.kind == .derived)
                guard isBias, bias == .all else { continue }
                // PEFT also writes the biases of its copy and of the original, and reads neither for the copy.
                let rest = slot.key.dropFirst(saved.count)
                let stem = name.dropLast(rest.count)
                for wrapper in ["modules_to_save", "original_module"] {
                    expect(slot.key, "\(stem).\(wrapper)\(rest)", shape, isIgnored: true)
                }
            } else if isBias, updated.contains(parent) {
                if bias != .none { expect(slot.key, "\(name.dropLast("bias".count))base_layer.bias", shape) }
            } else if isBias, bias == .all {
                expect(slot.key, name, shape)
            }
        }
    }

    /// A tensor with two uses would change in both places, whereas PEFT changes it in one.
    private func refuseShared(_ model: Module) throws {
        let changed = Set(updates.map { "\($0.path).weight" } + replaced.map(\.key))
        for (path, module) in model.namedModules() {
            for key in module.sharedTensors {
                let full = path.isEmpty ? key : "\(path).\(key)"
                if changed.contains(full) { throw AdapterError.sharedTensor(path: full) }
            }
        }
    }
}
