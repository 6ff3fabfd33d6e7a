import Images
import Torch

extension ImageFeed.Batch {
    /// The pixels as a CPU tensor `[count, 3, H, W]` over the batch's memory, which it keeps alive.
    public func tensor() -> Tensor {
        let bytes = UnsafeRawBufferPointer(pixels)
        let perImage = 3 * size.width * size.height * MemoryLayout<Float>.stride
        return .borrowing(
            UnsafeRawBufferPointer(rebasing: bytes[..<(count * perImage)]), shape: [count, 3, size.height, size.width],
            dtype: .float32, owner: self)
    }
}
