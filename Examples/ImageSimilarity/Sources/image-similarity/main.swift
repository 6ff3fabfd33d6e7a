// How alike two photos look to CLIP.
//
//     image-similarity clip-vit-base-patch32 a.jpg b.jpg
import Encoders
import Foundation
import Images
import Torch

guard CommandLine.arguments.count == 4 else {
    FileHandle.standardError.write(Data("usage: image-similarity MODEL-FOLDER PHOTO PHOTO\n".utf8))
    exit(2)
}
let (model, photos) = (CommandLine.arguments[1], Array(CommandLine.arguments[2...]))

do {
    let clip = try EncoderFolder.open(model, dtype: .float32)
    let pixels = try photos.flatMap { try clip.preprocessing.tensor(readImageFile($0), name: $0).values }
    let batch = Tensor(pixels, shape: [photos.count, 3, clip.image.imageSize, clip.image.imageSize])
    let features = inferenceMode { clip.image.imageFeatures(batch).normalized() }  // [2, 512]
    print("cosine", (features[0] * features[1]).sum().item())
} catch {
    FileHandle.standardError.write(Data("image-similarity: \(error)\n".utf8))
    exit(1)
}
