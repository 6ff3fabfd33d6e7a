import Safetensors
import Torch

/// Whether loaded parameters may be views of the file.
public enum WeightMemory: Sendable {
    /// Views of the mapped file where dtype and alignment allow it: nothing is read before it is used. Read only.
    case mapped
    /// Copies: for parameters that are trained.
    case owned
}

/// How the weights of a model are brought into memory.
public struct WeightLoading: Sendable {
    /// Of the weights in memory; nil keeps the file's.
    public let dtype: DType?
    public let device: Device
    public let memory: WeightMemory

    public init(dtype: DType? = nil, device: Device = .cpu, memory: WeightMemory = .mapped) {
        self.dtype = dtype
        self.device = device
        self.memory = memory
    }
}

extension Module {
    /// Fills every parameter and buffer from `weights`, strictly both ways.
    ///
    /// - Parameters:
    ///   - weights: keys as this module names them, below `prefix`.
    ///   - prefix: path of this module inside the file.
    ///   - dtype: converts floating-point tensors; nil keeps the file's dtype. A file that mixes several is widened to
    ///     float32, because operations need one (OpenAI's checkpoints have products in float16, norms in float32).
    ///   - device: where the tensors go.
    ///   - memory: `.mapped` shares the file's pages, `.owned` copies.
    ///   - ignoring: keys of the file that may be left unused, each a named and listed exception.
    /// - Throws: `StateMismatch`, which lists missing, unused and misshapen keys all at once; the module is then unchanged.
    public final func load(
        _ weights: Weights, prefix: String = "", dtype: DType? = nil, device: Device = .cpu,
        memory: WeightMemory = .mapped,
        ignoring: (String) -> Bool = { _ in false }
    ) throws {
        var mismatch = StateMismatch(source: weights.source, model: "\(type(of: self))")
        var unused = Set(weights.entries.keys.filter { !ignoring($0) })
        var assignments: [(NamedTensor, Weights.Entry)] = []
        for slot in namedTensors(prefix: prefix) {
            guard let entry = weights[slot.key] else {
                if slot.kind != .derived { mismatch.missing.append(.init(key: slot.key, shape: slot.tensor.shape)) }
                continue
            }
            unused.remove(slot.key)
            let expected = slot.tensor.shape
            // `position_ids` is stored as [T] or [1, T]: derived tensors may differ in leading ones.
            let got = slot.kind == .derived ? Array(entry.shape.drop { $0 == 1 }) : entry.shape
            let wanted = slot.kind == .derived ? Array(expected.drop { $0 == 1 }) : expected
            guard got == wanted else {
                mismatch.misshapen.append(.init(key: slot.key, expected: expected, got: entry.shape))
                continue
            }
            guard slot.kind == .derived || entry.dtype.isFloatingPoint == slot.tensor.dtype.isFloatingPoint else {
                mismatch.mistyped.append(
                    .init(key: slot.key, expected: slot.tensor.dtype.description, got: entry.dtype.description))
                continue
            }
            if slot.kind != .derived { assignments.append((slot, entry)) }
        }
        mismatch.unused = unused.sorted()
        guard mismatch.isEmpty else { throw mismatch }

        let kinds = Set(assignments.map(\.1.dtype).filter(\.isFloatingPoint))
        let dtype = dtype ?? (kinds.count > 1 ? .float32 : nil)
        for (slot, entry) in assignments {
            let source = entry.tensor()
            var tensor = source
            if let dtype, tensor.dtype.isFloatingPoint { tensor = tensor.to(dtype) }
            tensor = tensor.to(device).contiguous()
            let isOwn = tensor.dtype != entry.dtype || device != .cpu
            slot.replace(memory == .owned && !isOwn ? tensor.clone() : tensor)
        }
        weightsDidChange()
    }

    /// Writes every parameter and buffer, except derived ones, as safetensors; atomic, and byte-identical for equal
    /// content.
    public final func save(to path: String, metadata: [String: String] = [:], prefix: String = "") throws {
        try Weights.save(
            namedTensors(prefix: prefix).filter { $0.kind != .derived }.map { ($0.key, $0.tensor) }, metadata: metadata,
            to: path)
    }
}

extension Weights {
    /// Writes tensors as one safetensors file; atomic, and byte-identical for equal content.
    public static func save(
        _ tensors: [(key: String, tensor: Tensor)], metadata: [String: String] = [:], to path: String
    ) throws {
        let entries = tensors.map { key, tensor in
            SafetensorsWriter.Tensor(name: key, elementType: tensor.dtype.elementType, shape: tensor.shape) { emit in
                let dense = tensor.detached().to(.cpu).contiguous()
                try dense.withUnsafeBytes { try emit($0) }
            }
        }
        try SafetensorsWriter.write(tensors: entries, metadata: metadata, to: path)
    }
}

/// All disagreements between a file and a model, in one error.
public struct StateMismatch: Error, CustomStringConvertible, Equatable {
    public struct Missing: Equatable, Sendable {
        public let key: String
        public let shape: [Int]

        public init(key: String, shape: [Int]) {
            self.key = key
            self.shape = shape
        }
    }
    public struct Misshapen: Equatable, Sendable {
        public let key: String
        public let expected: [Int]
        public let got: [Int]

        public init(key: String, expected: [Int], got: [Int]) {
            self.key = key
            self.expected = expected
            self.got = got
        }
    }
    public struct Mistyped: Equatable, Sendable {
        public let key: String
        public let expected: String
        public let got: String

        public init(key: String, expected: String, got: String) {
            self.key = key
            self.expected = expected
            self.got = got
        }
    }

    public let source: String
    public let model: String
    public var missing: [Missing] = []
    public var unused: [String] = []
    public var misshapen: [Misshapen] = []
    public var mistyped: [Mistyped] = []

    public init(source: String, model: String) {
        self.source = source
        self.model = model
    }

    public var isEmpty: Bool { missing.isEmpty && unused.isEmpty && misshapen.isEmpty && mistyped.isEmpty }

    public var description: String {
        var lines = ["\(source) does not fit \(model):"]
        func list(_ title: String, _ items: [String]) {
            guard !items.isEmpty else { return }
            lines.append("  \(title) (\(items.count)):")
            lines += items.prefix(20).map { "    \($0)" }
            if items.count > 20 { lines.append("    … and \(items.count - 20) more") }
        }
        list("missing from the file", missing.map { "\($0.key) \($0.shape)" })
        list("in the file, not in the model", unused)
        list("of another shape", misshapen.map { "\($0.key): model expects \($0.expected), file has \($0.got)" })
        list("of another kind", mistyped.map { "\($0.key): model expects \($0.expected), file has \($0.got)" })
        lines.append("  is config.json the one this file was saved with?")
        return lines.joined(separator: "\n")
    }
}
