import Torch
import TorchNN

/// Parameters that share a learning rate and weight decay.
public struct ParameterGroup {
    /// What logs and manifests call it.
    public let name: String
    public let parameters: [NamedTensor]
    /// Before multiplication by the schedule's factor.
    public var learningRate: Double
    public var weightDecay: Double

    public init(name: String, parameters: [NamedTensor], learningRate: Double, weightDecay: Double) {
        self.name = name
        self.parameters = parameters
        self.learningRate = learningRate
        self.weightDecay = weightDecay
    }

    public var elementCount: Int { parameters.reduce(0) { $0 + $1.tensor.count } }
}

/// AdamW with decoupled weight decay (Loshchilov & Hutter 2019), equal to `torch.optim.AdamW(fused=True)`.
///
/// libtorch's fused kernel does the arithmetic. The state is kept here: a pair of moments and a step count for each
/// parameter, under its name, so that it can be written to a checkpoint and read back bit for bit. A parameter without
/// a gradient is skipped, as in PyTorch.
public final class AdamW {
    public private(set) var groups: [ParameterGroup]
    public let beta1: Double
    public let beta2: Double
    public let eps: Double

    private struct State {
        let mean: Tensor  // of the parameter's shape
        let square: Tensor  // of the parameter's shape
        let step: Tensor  // float32 scalar
    }
    private var states: [String: State] = [:]

    /// - Throws: `OptimizerError` when a parameter stands in two groups, or a group is empty.
    public init(_ groups: [ParameterGroup], beta1: Double = 0.9, beta2: Double = 0.999, eps: Double = 1e-8) throws {
        var seen: [String: String] = [:]
        for group in groups {
            guard !group.parameters.isEmpty else { throw OptimizerError.emptyGroup(group.name) }
            for parameter in group.parameters {
                if let first = seen.updateValue(group.name, forKey: parameter.key) {
                    throw OptimizerError.parameterInTwoGroups(key: parameter.key, first: first, second: group.name)
                }
            }
        }
        self.groups = groups
        self.beta1 = beta1
        self.beta2 = beta2
        self.eps = eps
    }

    /// One step with every group's learning rate multiplied by `scale` (the schedule's value).
    public func step(scale: Double = 1) {
        for group in groups {
            var parameters: [Tensor] = []
            var gradients: [Tensor] = []
            var means: [Tensor] = []
            var squares: [Tensor] = []
            var steps: [Tensor] = []
            for entry in group.parameters {
                guard let gradient = entry.tensor.grad else { continue }
                let state = state(of: entry)
                parameters.append(entry.tensor)
                gradients.append(gradient)
                means.append(state.mean)
                squares.append(state.square)
                steps.append(state.step)
            }
            guard !parameters.isEmpty else { continue }
            Optimization.adamWStep(
                parameters: parameters, gradients: gradients, means: means, squares: squares, steps: steps,
                learningRate: group.learningRate * scale, beta1: beta1, beta2: beta2, eps: eps,
                weightDecay: group.weightDecay)
        }
    }

    /// Drops every gradient.
    public func zeroGradients() {
        for group in groups { for entry in group.parameters { entry.tensor.grad = nil } }
    }

    /// All trained tensors, in group order.
    public var parameters: [Tensor] { groups.flatMap { $0.parameters.map(\.tensor) } }

    private func state(of entry: NamedTensor) -> State {
        if let state = states[entry.key] { return state }
        let shape = entry.tensor.shape
        let fresh = State(
            mean: .zeros(shape, dtype: entry.tensor.dtype, device: entry.tensor.device),
            square: .zeros(shape, dtype: entry.tensor.dtype, device: entry.tensor.device),
            step: .zeros([], device: entry.tensor.device))
        states[entry.key] = fresh
        return fresh
    }

    // MARK: Checkpoint

    /// The state as named tensors: `<key>.exp_avg`, `<key>.exp_avg_sq`, `<key>.step` for every parameter stepped so far.
    public var stateTensors: [(key: String, tensor: Tensor)] {
        groups.flatMap(\.parameters).flatMap { entry -> [(key: String, tensor: Tensor)] in
            guard let state = states[entry.key] else { return [] }
            return [
                ("\(entry.key).exp_avg", state.mean), ("\(entry.key).exp_avg_sq", state.square),
                ("\(entry.key).step", state.step),
            ]
        }
    }

    /// Takes over a state written by `stateTensors`, strictly: one `StateMismatch` lists keys of unknown parameters,
    /// missing parts and wrong shapes.
    public func loadState(_ weights: Weights) throws {
        var mismatch = StateMismatch(source: weights.source, model: "AdamW")
        var unused = Set(weights.entries.keys)
        var loaded: [String: State] = [:]
        for entry in groups.flatMap(\.parameters) {
            let keys = ["exp_avg", "exp_avg_sq", "step"].map { "\(entry.key).\($0)" }
            let found = keys.filter { weights[$0] != nil }
            guard !found.isEmpty else { continue }  // never stepped
            let shapes = [entry.tensor.shape, entry.tensor.shape, []]
            var fits = true
            for (key, shape) in zip(keys, shapes) {
                unused.remove(key)
                if let got = weights[key]?.shape {
                    if got != shape {
                        mismatch.misshapen.append(.init(key: key, expected: shape, got: got))
                        fits = false
                    }
                } else {
                    mismatch.missing.append(.init(key: key, shape: shape))
                    fits = false
                }
            }
            guard fits else { continue }
            let tensors = keys.map { weights[$0]!.tensor().clone().to(entry.tensor.device) }
            loaded[entry.key] = State(mean: tensors[0], square: tensors[1], step: tensors[2])
        }
        mismatch.unused = unused.sorted()
        guard mismatch.isEmpty else { throw mismatch }
        states = loaded
    }
}

/// A set of parameter groups that cannot be optimised.
public enum OptimizerError: Error, CustomStringConvertible, Equatable {
    case emptyGroup(String)
    case parameterInTwoGroups(key: String, first: String, second: String)

    public var description: String {
        switch self {
        case .emptyGroup(let name):
            "parameter group '\(name)' is empty: nothing in it would be trained"
        case .parameterInTwoGroups(let key, let first, let second):
            "parameter '\(key)' is in group '\(first)' and again in '\(second)': it would be stepped twice"
        }
    }
}
