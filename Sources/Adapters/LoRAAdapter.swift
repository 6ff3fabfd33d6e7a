import Torch
import TorchNN

/// The changes that an adapter made to a model, all behind one handle.
///
///     let adapter = try LoRAAdapter(injectingInto: model, LoRAConfiguration(rank: 4), generator: Generator(seed: 0))
///     print(adapter.paths)            // every adapted layer
///     optimizer = try AdamW([ParameterGroup(name: "adapter", parameters: adapter.namedParameters(), …)])
///     try adapter.save(to: folder)    // PEFT's layout
///
/// Linear layers are replaced by layers that compute the update beside the product. Everything else that PEFT's
/// adapters may hold (DoRA, updates of convolutions and embeddings, biases, whole modules) is in the model's own
/// tensors while the adapter is enabled; it can be used, but not trained. Tensors that the model shares with another
/// model are replaced, never written. Move a model to its device and dtype before it gets an adapter.
public final class LoRAAdapter {
    public let configuration: LoRAConfiguration
    /// Paths of the modules whose weight has an update, in declaration order.
    public let paths: [String]
    /// What the adapter changes, in words and numbers.
    public let summary: AdapterSummary
    let layers: [(path: String, layer: any LowRankLayer)]
    let replaced: [ReplacedTensor]
    /// Tensors of the adapter's file that are in no layer of `layers`, for writing the file again.
    let fixedTensors: [(key: String, tensor: Tensor)]
    let view: AdapterView
    /// PEFT's name of the adapted model's class, for writing the adapter again.
    let modelClass: String?
    /// Whether an updated weight is stored `[in, out]`.
    let hasInputFirst: Bool
    private let model: Module

    /// Replaces every targeted linear layer of `model` by one that shares its tensors, and freezes all else.
    /// - Parameters:
    ///   - generator: draws the initial `A` (CPU).
    ///   - dropoutGenerator: draws dropout masks in training, on the model's device; needed when `configuration.dropout > 0`.
    /// - Throws: `AdapterError` for settings that are invalid or not trained here, for targets that match nothing or a
    ///   module that is not linear, for layers that are adapted already, for a rank larger than every layer. Then the
    ///   model is unchanged.
    public convenience init(
        injectingInto model: Module, _ configuration: LoRAConfiguration, generator: Generator,
        dropoutGenerator: Generator? = nil
    ) throws {
        try configuration.validate()
        if let fixed = configuration.fixedPart {
            throw AdapterError.invalidSetting(setting: "adapter", expected: "what is trained here", got: fixed)
        }
        guard configuration.alpha > 0 else {
            throw AdapterError.invalidSetting(
                setting: "alpha", expected: "a number above 0", got: "\(configuration.alpha)")
        }
        let plan = try AdapterPlan(model, configuration, view: .whole)
        if let other = plan.updates.first(where: \.isFolded) {
            throw AdapterError.notAdaptable(
                path: other.path, got: "\(type(of: other.module))", expected: "linear layers")
        }
        try Self.boundRanks(plan)
        try self.init(
            model, configuration, plan, view: .whole, generator: generator, dropoutGenerator: dropoutGenerator,
            isTrainable: true)
    }

    /// - Parameters:
    ///   - generator: nil leaves `A` zero, to be filled from a file.
    ///   - isTrainable: if false, dropout needs no generator, because no mask is drawn.
    ///   - tensors: the tensors of the adapter's file by key; they go into the layers and the model.
    init(
        _ model: Module, _ configuration: LoRAConfiguration, _ plan: AdapterPlan, view: AdapterView,
        modelClass: String? = nil, leftOut: [String] = [], tensors: [String: Tensor] = [:], generator: Generator? = nil,
        dropoutGenerator: Generator?, isTrainable: Bool
    ) throws {
        guard configuration.dropout == 0 || dropoutGenerator != nil || !isTrainable else {
            throw AdapterError.invalidSetting(
                setting: "dropout", expected: "0, or a generator for its masks", got: "\(configuration.dropout)")
        }
        model.setRequiresGrad(false)
        let beside = plan.updates.filter { !$0.isFolded }
        var made: [String: any LowRankLayer] = [:]
        let chosen = Dictionary(uniqueKeysWithValues: beside.map { ($0.path, $0) })
        try model.replaceModules { path, module in
            guard let update = chosen[path] else { return nil }
            let settings = UpdateSettings(
                rank: update.rank, scale: update.scale, dropout: configuration.dropout,
                dropoutGenerator: dropoutGenerator)
            let layer: any LowRankLayer
            switch module {
            case let linear as Linear: layer = LoRALinear(adapting: linear, settings, generator: generator)
            case let linear as Conv1D: layer = LoRAConv1D(adapting: linear, settings, generator: generator)
            default: return nil
            }
            made[path] = layer
            return layer
        }
        self.configuration = configuration
        self.model = model
        self.view = view
        self.modelClass = modelClass
        paths = plan.updates.map(\.path)
        hasInputFirst = plan.updates.contains { $0.form == .inputFirst }
        layers = beside.compactMap { update in made[update.path].map { (update.path, $0) } }
        for (update, layer) in zip(beside, layers.map(\.layer)) where !tensors.isEmpty {
            let names = update.form.names
            withoutGradients {
                if let down = tensors[PEFTFiles.key(update.name, names.down)] { layer.down.copy(from: down) }
                if let up = tensors[PEFTFiles.key(update.name, names.up)] { layer.up.copy(from: up) }
            }
        }
        replaced = ReplacedTensor.all(plan, in: model, tensors)
        let held = Set(
            beside.flatMap { update in
                [update.form.names.down, update.form.names.up].map { PEFTFiles.key(update.name, $0) }
            })
        fixedTensors = plan.expected.filter { !held.contains($0.key) }
            .compactMap { expected in tensors[expected.key].map { (expected.key, $0) } }
        summary = AdapterSummary(plan, configuration, leftOut: leftOut)
        for tensor in replaced { tensor.setEnabled(true) }
        setTrainable(isTrainable)
        model.weightsDidChange()
    }

    /// A rank above the larger side of every layer is a mistake, and could need any amount of memory.
    private static func boundRanks(_ plan: AdapterPlan) throws {
        let sides = plan.updates.map { update in
            (update.module.namedTensors().first { $0.key == "weight" }?.tensor.shape ?? []).max() ?? 0
        }
        let largest = sides.max() ?? 0
        for update in plan.updates where update.rank > largest {
            throw AdapterError.invalidSetting(
                setting: "rank", expected: "at most \(largest), the larger side of the largest targeted layer",
                got: "\(update.rank)")
        }
    }

    /// Every trained `A` and `B` with its path in the model (`….q_proj.lora_A.weight`), for an optimizer.
    public func namedParameters() -> [NamedTensor] {
        layers.flatMap { path, layer in
            layer.namedParameters(prefix: path).filter { $0.key.contains(".lora_") }
        }
    }

    /// Number of trained elements.
    public var elementCount: Int { namedParameters().reduce(0) { $0 + $1.tensor.count } }

    /// Switches gradients of `A` and `B`. They are on after injection, and as requested after loading.
    public func setTrainable(_ on: Bool) {
        for (_, layer) in layers {
            layer.down.requiresGrad = on
            layer.up.requiresGrad = on
        }
    }

    /// Whether the adapter is used; with false, the model computes what it did without it, to the bit.
    public var isEnabled = true {
        didSet {
            for (_, layer) in layers { layer.setEnabled(isEnabled) }
            for tensor in replaced { tensor.setEnabled(isEnabled) }
            model.weightsDidChange()
        }
    }

    /// Whether no update is computed beside a product.
    public var isMerged: Bool { layers.allSatisfy(\.layer.isMerged) }

    /// Folds every update into its layer's weight: then a layer is one product, and nothing can be trained until
    /// `unmerge`.
    public func merge() {
        for (_, layer) in layers { layer.merge() }
        model.weightsDidChange()
    }

    /// Computes the updates of linear layers beside their products again; their base weights are restored bit for bit.
    public func unmerge() {
        for (_, layer) in layers { layer.unmerge() }
        model.weightsDidChange()
    }

    /// Removes the adapter from the model: the plain layers return, and this object has no further effect.
    /// - Parameter keepingUpdates: true leaves merged weights and replaced tensors, false restores the base model.
    public func remove(keepingUpdates: Bool) throws {
        isEnabled = keepingUpdates
        if keepingUpdates { merge() } else { unmerge() }
        let mine = Set(layers.map { ObjectIdentifier($0.layer) })
        try model.replaceModules { _, module in
            guard let layer = module as? any LowRankLayer, mine.contains(ObjectIdentifier(layer)) else { return nil }
            return layer.plain()
        }
    }
}
