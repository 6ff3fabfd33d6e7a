import Torch
import TorchNN

/// The low-rank updates that were put into a model: the one handle on all of them.
///
///     let adapter = try LoRAAdapter(injectingInto: model, LoRAConfiguration(rank: 4), generator: Generator(seed: 0))
///     print(adapter.paths)            // every adapted layer
///     optimizer = try AdamW([ParameterGroup(name: "adapter", parameters: adapter.namedParameters(), …)])
///     try adapter.save(to: folder)    // PEFT's layout
public final class LoRAAdapter {
    public let configuration: LoRAConfiguration
    /// Paths of the adapted layers below the model, in declaration order.
    public let paths: [String]
    let layers: [LoRALinear]
    private let model: Module

    /// Replaces every targeted linear layer of `model` by a `LoRALinear` that shares its tensors, and freezes all else.
    /// - Parameters:
    ///   - generator: draws the initial `A` (CPU).
    ///   - dropoutGenerator: draws dropout masks in training, on the model's device; needed when `configuration.dropout > 0`.
    /// - Throws: `AdapterError`: settings that cannot be, targets that match nothing or something not linear, layers
    ///   adapted before. The model is unchanged then.
    public convenience init(
        injectingInto model: Module, _ configuration: LoRAConfiguration, generator: Generator,
        dropoutGenerator: Generator? = nil
    ) throws {
        try self.init(
            model, configuration, generator: generator, dropoutGenerator: dropoutGenerator, isTrainable: true)
    }

    /// - Parameter isTrainable: false needs no generator for dropout, since no mask is drawn.
    init(
        _ model: Module, _ configuration: LoRAConfiguration, generator: Generator?, dropoutGenerator: Generator?,
        isTrainable: Bool
    ) throws {
        try configuration.validate()
        guard configuration.dropout == 0 || dropoutGenerator != nil || !isTrainable else {
            throw AdapterError.invalidSetting(
                setting: "dropout", expected: "0, or a generator for its masks", got: "\(configuration.dropout)")
        }
        let targeted = try Self.targets(of: configuration, in: model)
        model.setRequiresGrad(false)
        let chosen = Set(targeted)
        var layers: [LoRALinear] = []
        try model.replaceModules { path, module in
            guard chosen.contains(path), let linear = module as? Linear else { return nil }
            let layer = LoRALinear(
                adapting: linear, configuration, generator: generator, dropoutGenerator: dropoutGenerator)
            layers.append(layer)
            return layer
        }
        self.configuration = configuration
        self.model = model
        self.paths = targeted
        self.layers = layers
        setTrainable(isTrainable)
    }

    /// Paths of the linear layers that the configuration names.
    private static func targets(of configuration: LoRAConfiguration, in model: Module) throws -> [String] {
        let matches = try configuration.targets.matcher()
        var found: [String] = []
        var present: [String] = []
        for (path, module) in model.namedModules() {
            if module is Linear {
                let name = String(path.split(separator: ".").last ?? "")
                if !present.contains(name) { present.append(name) }
            }
            guard !path.isEmpty, try matches(path) else { continue }
            guard module is Linear else {
                throw AdapterError.notLinear(path: path, got: "\(type(of: module))")
            }
            guard !(module is LoRALinear) else { throw AdapterError.alreadyAdapted(path: path) }
            found.append(path)
        }
        guard !found.isEmpty else {
            throw AdapterError.noTarget(
                targets: configuration.targets.description, model: "\(type(of: model))", present: present.sorted())
        }
        return found
    }

    /// Every `A` and `B` with its path in the model (`….q_proj.lora_A.weight`): what an optimizer trains.
    public func namedParameters() -> [NamedTensor] {
        zip(paths, layers).flatMap { path, layer in
            layer.namedParameters(prefix: path).filter { $0.key.contains(".lora_") }
        }
    }

    /// Number of trained elements.
    public var elementCount: Int { namedParameters().reduce(0) { $0 + $1.tensor.count } }

    /// Switches gradients of `A` and `B`; on after injection, as asked for after loading.
    public func setTrainable(_ on: Bool) {
        for layer in layers {
            layer.down.requiresGrad = on
            layer.up.requiresGrad = on
        }
    }

    /// Whether the updates take part; false makes every adapted layer its base layer, to the bit.
    public var isEnabled: Bool {
        get { layers.allSatisfy(\.isEnabled) }
        set {
            for layer in layers { layer.isEnabled = newValue }
            model.weightsDidChange()
        }
    }

    public var isMerged: Bool { layers.allSatisfy(\.isMerged) }

    /// Folds every update into its layer's weight: one product per layer, nothing to train until `unmerge`.
    public func merge() {
        for layer in layers { layer.merge() }
        model.weightsDidChange()
    }

    /// Puts every base weight back, bit for bit.
    public func unmerge() {
        for layer in layers { layer.unmerge() }
        model.weightsDidChange()
    }

    /// Takes the adapted layers out of the model: plain linear layers stand there again.
    /// - Parameter keepingUpdates: true leaves merged weights, false the base weights.
    public func remove(keepingUpdates: Bool) throws {
        if keepingUpdates { merge() } else { unmerge() }
        let mine = Set(layers.map(ObjectIdentifier.init))
        try model.replaceModules { _, module in
            guard let layer = module as? LoRALinear, mine.contains(ObjectIdentifier(layer)) else { return nil }
            return layer.plain()
        }
    }
}
