import Datasets
import Torch

extension PixelBatch {
    /// The pixels as a CPU tensor: over the loader's memory if it holds floats, as new floats if it holds bytes; nil if
    /// no row has pixels.
    ///
    /// The memory returns to the loader's pool when the tensor is freed: do not write to it.
    /// - Returns: `[rows.count, 3, H, W]`, float32.
    public func tensor() -> Tensor? {
        let pixels = normalized()
        guard let floats = pixels.floats, let owner = pixels.owner else { return nil }
        return .borrowing(UnsafeRawBufferPointer(floats), shape: shape, dtype: .float32, owner: owner)
    }
}
