import Alignment
import Randomness

/// How much a captioner reads of its images: by how many nats a token the loss rises when each caption gets the image of
/// another one. Without it a falling loss may be that of a language model that looks at no image.
enum ImageGain {
    /// Captions that depend less on their image hardly depend on it.
    static let least = 0.05

    /// For every sample one that shows another image; nil if all show the same.
    ///
    /// The images stand in a random circle, the same at every validation, and each is replaced by the next.
    static func partners(_ images: [RoutedImage]) -> [Int]? {
        var firsts: [RoutedImage: Int] = [:]
        for (index, image) in images.enumerated() where firsts[image] == nil { firsts[image] = index }
        var circle = firsts.values.sorted()
        guard circle.count > 1 else { return nil }
        var random = SplitMix64(seed: 0)
        for index in circle.indices.dropLast() {
            circle.swapAt(index, index + Int(random.next(below: UInt64(circle.count - index))))
        }
        var next: [RoutedImage: Int] = [:]
        for (place, index) in circle.enumerated() { next[images[index]] = circle[(place + 1) % circle.count] }
        return images.compactMap { next[$0] }
    }
}
