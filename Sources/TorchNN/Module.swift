import Torch

/// A part of a model. It owns parameters and other modules, each beside its checkpoint key.
///
///     final class MLP: Module {
///         @Child("fc1") var up: Linear
///         @Child("fc2") var down: Linear
///         @Parameter("scale") var scale: Tensor
///     }
///
/// The Swift name is for the reader, the key names the tensor in a file; keys nest with dots (`mlp.fc1.weight`).
/// Reflection finds the wrappers once per load or listing, never during a forward pass.
open class Module {
    public init() {}

    /// Whether dropout and batch statistics behave as in training; set through `setTraining(_:)`.
    public internal(set) final var isTraining = false

    /// Wrapped properties in declaration order, the superclass's first.
    final func slots() -> [any ModuleSlot] {
        var mirrors: [Mirror] = []
        var mirror: Mirror? = Mirror(reflecting: self)
        while let current = mirror {
            mirrors.append(current)
            mirror = current.superclassMirror
        }
        return mirrors.reversed().flatMap { $0.children.compactMap { $0.value as? any ModuleSlot } }
    }

    /// Every parameter and buffer below this module, with its full key, in declaration order.
    public final func namedTensors(prefix: String = "") -> [NamedTensor] {
        slots().flatMap { $0.tensors(prefix: prefix) }
    }

    /// Only the parameters: what an optimizer may train.
    public final func namedParameters(prefix: String = "") -> [NamedTensor] {
        namedTensors(prefix: prefix).filter { $0.kind == .parameter }
    }

    /// Every module below this one with its path, itself first (path `""`).
    public final func namedModules(prefix: String = "") -> [(path: String, module: Module)] {
        [(prefix, self)]
            + slots().flatMap { slot in
                slot.modules(prefix: prefix).flatMap { $0.module.namedModules(prefix: $0.path) }
            }
    }

    /// Keys, below this module, of tensors that it uses in two places, such as a token embedding that is also the
    /// output layer. Replacing such a tensor changes both.
    open var sharedTensors: [String] { [] }

    /// Switches this module and all below between training and inference behaviour.
    public final func setTraining(_ on: Bool) {
        for (_, module) in namedModules() { module.isTraining = on }
    }

    /// Switches gradients on or off for every parameter below.
    public final func setRequiresGrad(_ on: Bool) {
        for parameter in namedParameters() { parameter.tensor.requiresGrad = on }
    }

    /// Number of trainable and of all parameter elements.
    public final func parameterCount() -> (trainable: Int, total: Int) {
        namedParameters().reduce(into: (trainable: 0, total: 0)) { sums, parameter in
            let count = parameter.tensor.count
            sums.total += count
            if parameter.tensor.requiresGrad { sums.trainable += count }
        }
    }

    /// Moves every floating-point parameter and buffer to `dtype` and `device`, keeping the handles.
    public final func to(dtype: DType? = nil, device: Device? = nil) {
        for entry in namedTensors() {
            var tensor = entry.tensor
            if let dtype, tensor.dtype.isFloatingPoint { tensor = tensor.detached().to(dtype) }
            if let device { tensor = tensor.detached().to(device) }
            entry.replace(tensor)
        }
        weightsDidChange()
    }

    /// Puts `make(module)` into every slot whose module is to be replaced (for adapters).
    /// - Parameter make: gets the full path and the present module; nil keeps the module. The replacement must fit the
    ///   slot's type.
    /// - Returns: the paths that were replaced.
    @discardableResult
    public final func replaceModules(prefix: String = "", _ make: (String, Module) throws -> Module?) throws -> [String]
    {
        var replaced: [String] = []
        for slot in slots() { replaced += try slot.replaceModules(prefix: prefix, make) }
        weightsDidChange()
        return replaced
    }

    /// Called on every module after weights were loaded, moved, merged or replaced: copies derived from them must be
    /// dropped.
    public final func weightsDidChange() {
        for (_, module) in namedModules() { module.dropDerivedWeights() }
    }

    /// Drops packed or fused copies of the weights; they are made again when next needed.
    open func dropDerivedWeights() {}
}

/// One entry of `Module.namedTensors`.
public struct NamedTensor {
    public enum Kind: Sendable {
        case parameter
        case buffer
        /// Derived from the configuration and absent from most files. If a file has it, its shape is checked and its
        /// values are ignored.
        case derived
    }

    public let key: String
    public let tensor: Tensor
    public let kind: Kind
    let assign: (Tensor) -> Void

    init(key: String, tensor: Tensor, kind: Kind, assign: @escaping (Tensor) -> Void) {
        self.key = key
        self.tensor = tensor
        self.kind = kind
        self.assign = assign
    }

    /// A tensor that is kept beside a model (a moving average) and is in no property of a module.
    public init(key: String, tensor: Tensor) {
        self.init(key: key, tensor: tensor, kind: .parameter) { _ in
            preconditionFailure("'\(key)' stands in no module, so its value cannot be replaced")
        }
    }

    /// Puts another tensor into the slot; the property then holds it.
    package func replace(_ tensor: Tensor) {
        tensor.requiresGrad = self.tensor.requiresGrad
        assign(tensor)
    }
}

/// What the property wrappers have in common.
protocol ModuleSlot {
    func tensors(prefix: String) -> [NamedTensor]
    func modules(prefix: String) -> [(path: String, module: Module)]
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String]
}

func join(_ prefix: String, _ key: String) -> String {
    prefix.isEmpty ? key : key.isEmpty ? prefix : "\(prefix).\(key)"
}
