import Datasets
import Foundation
import Images
import Torch
import Training

// Scenes as tensors, and batches of them. Shapes: N scenes, K captions of each (5), S side of a picture (64).

/// Renders of one split in memory.
public struct SceneData {
    public let dataset: SceneDataset
    /// `[N, 3, S, S]`, uint8; `[N, 3, 0, 0]` if only the captions are wanted.
    public let pixels: Tensor
    public let captionsPerScene: Int

    /// Renders the first `count` scenes of a split; the same ones every time.
    /// - Parameters:
    ///   - hasPictures: false skips the rendering.
    ///   - report: gets the number of finished pictures, repeatedly.
    public init(
        world: World, split: World.Split, count: Int, hasPictures: Bool = true,
        renderer: SceneRenderer = SceneRenderer(), report: (Int) -> Void = { _ in }
    ) {
        dataset = SceneDataset(world: world, split: split, count: count)
        captionsPerScene = dataset.captions.count / count
        guard hasPictures else {
            pixels = .empty([count, 3, 0, 0], dtype: .uint8)
            return
        }
        let side = renderer.side
        let pixels = Tensor.empty([count, 3, side, side], dtype: .uint8)
        let area = side * side
        for first in stride(from: 0, to: count, by: 64) {
            let part = first..<min(first + 64, count)
            let pictures = renderer.render(Array(dataset.scenes[part]))
            pixels.withUnsafeMutableBytes { target in
                for (index, picture) in zip(part, pictures) {
                    // Converts rows of RGB to planes.
                    for channel in 0..<3 {
                        let plane = (index * 3 + channel) * area
                        for pixel in 0..<area { target[plane + pixel] = picture.pixels[pixel * 3 + channel] }
                    }
                }
            }
            report(part.count)
        }
        self.pixels = pixels
    }

    public var count: Int { pixels.size(0) }
    public var captions: [String] { dataset.captions }

    /// Pixels of some scenes in -1...1: `[indices.count, 3, S, S]`, float32.
    public func pictures(_ indices: [Int]) -> Tensor {
        pixels.indexSelect(0, Tensor(indices)).to(.float32) * (2.0 / 255) - 1
    }

    /// Pixels of some scenes, prepared with this preprocessing; its size must be that of the pictures.
    public func pictures(_ indices: [Int], _ preprocessing: ImagePreprocessing) -> Tensor {
        func perChannel(_ values: [Double]?, _ absent: Float) -> Tensor {
            Tensor(values?.map(Float.init) ?? Array(repeating: absent, count: 3), shape: [3, 1, 1])
        }
        let raw = pixels.indexSelect(0, Tensor(indices)).to(.float32) * (preprocessing.rescaleFactor ?? 1)
        return (raw - perChannel(preprocessing.mean, 0)) / perChannel(preprocessing.std, 1)
    }

    /// For every scene of a batch the row of `captions`, drawn by `random`.
    public func captionRows(_ indices: [Int], _ random: inout SplitMix) -> [Int] {
        indices.map { $0 * captionsPerScene + random.integer(below: captionsPerScene) }
    }
}

/// The scenes of a step.
public struct SceneBatch: TrainingBatch {
    public let indices: [Int]
    public let next: SamplerPosition
    public var count: Int { indices.count }
    public var ids: [String] { indices.map { "train/\($0)" } }

    public init(_ batch: SampledBatch) {
        indices = batch.indices
        next = batch.next
    }
}

/// Shuffled batches of scenes in memory.
public final class SceneBatches: BatchSource {
    private var sampler: ShuffledSampler

    /// - Throws: `DatasetError` for a batch larger than the set, or a position outside of it.
    public init(count: Int, batchSize: Int, seed: UInt64, position: SamplerPosition) throws {
        sampler = try ShuffledSampler(count: count, batchSize: batchSize, seed: seed, position: position)
    }

    public func next() -> SceneBatch? { sampler.next().map(SceneBatch.init) }
    public var waited: Duration { .zero }
    public var skipped: [SkippedSample] { [] }
}
