import Datasets
import Torch

extension PixelBatch {
    /// The pixels as a CPU tensor over the loader's memory, without a copy; nil when no row has any.
    ///
    /// The memory goes back to the loader's pool when the tensor is freed: do not write to it.
    /// - Returns: `[rows.count, 3, H, W]`, float32.
    public func tensor() -> Tensor? {
        guard let floats, let owner else { return nil }
        return .borrowing(UnsafeRawBufferPointer(floats), shape: shape, dtype: .float32, owner: owner)
    }
}
