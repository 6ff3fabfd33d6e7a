import Torch

extension Collection where Element == NamedTensor {
    /// Copies values into the existing tensors, strictly both ways: for state that an optimizer continues to hold.
    ///
    /// Values are converted to each tensor's dtype and device. Derived tensors are skipped, in the file too.
    /// - Parameters:
    ///   - weights: with the keys of these tensors.
    ///   - model: what messages call the owner of the tensors.
    /// - Throws: `StateMismatch`, which lists missing, unused, misshapen and mistyped keys all at once; then nothing
    ///   has changed.
    public func overwrite(from weights: Weights, model: String) throws {
        var mismatch = StateMismatch(source: weights.source, model: model)
        var unused = Set(weights.entries.keys)
        var copies: [(into: Tensor, from: Weights.Entry)] = []
        for slot in self {
            guard slot.kind != .derived else {
                unused.remove(slot.key)
                continue
            }
            guard let entry = weights[slot.key] else {
                mismatch.missing.append(.init(key: slot.key, shape: slot.tensor.shape))
                continue
            }
            unused.remove(slot.key)
            if entry.shape != slot.tensor.shape {
                mismatch.misshapen.append(.init(key: slot.key, expected: slot.tensor.shape, got: entry.shape))
            } else if entry.dtype.isFloatingPoint != slot.tensor.dtype.isFloatingPoint {
                mismatch.mistyped.append(
                    .init(key: slot.key, expected: slot.tensor.dtype.description, got: entry.dtype.description))
            } else {
                copies.append((slot.tensor, entry))
            }
        }
        mismatch.unused = unused.sorted()
        guard mismatch.isEmpty else { throw mismatch }
        withoutGradients {
            for (tensor, entry) in copies { tensor.copy(from: entry.tensor()) }
        }
    }
}

extension Module {
    /// Copies values into this module's parameters and buffers, strictly both ways; the tensors stay the same objects.
    /// - Parameters:
    ///   - weights: keys as this module names them, below `prefix`.
    /// - Throws: `StateMismatch`; then nothing has changed.
    public final func overwrite(from weights: Weights, prefix: String = "") throws {
        try namedTensors(prefix: prefix).overwrite(from: weights, model: "\(type(of: self))")
        weightsDidChange()
    }

    /// Copies of the buffers below (running statistics), which a step changes although no optimizer does.
    public final func bufferValues() -> BufferValues {
        BufferValues(
            copies: namedTensors().filter { $0.kind == .buffer }.map { ($0.tensor, $0.tensor.detached().clone()) })
    }
}

/// The values of buffers, for a step that is refused afterwards (its loss is not finite) and must restore its
/// statistics.
///
///     let before = module.bufferValues()
///     let loss = forward(batch)
///     guard loss.isAllFinite else { before.restore(); … }
public struct BufferValues {
    let copies: [(buffer: Tensor, value: Tensor)]

    /// Writes the values back into the tensors from which they were read.
    public func restore() {
        withoutGradients {
            for (buffer, value) in copies { buffer.copy(from: value) }
        }
    }
}
