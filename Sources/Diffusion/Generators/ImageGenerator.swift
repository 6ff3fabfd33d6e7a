import Images

/// One image to make.
public struct ImageRequest: Sendable, Hashable {
    public var prompt: String
    /// The seed of the noise, which is drawn on the CPU whatever the device.
    public var seed: UInt64

    public init(prompt: String, seed: UInt64) {
        self.prompt = prompt
        self.seed = seed
    }
}

/// The result of a request.
public enum GeneratedImage: Sendable, Hashable {
    case image(RGBImage)
    /// The model's numbers overflowed: NaN or infinity where pixels should be.
    case notFinite
}

/// Draws images from prompts, as ``GeneratorFolder/open(_:options:hashes:)`` returns it: a model for which everything
/// requested (steps, guidance, size) is settled.
///
/// An image may depend only on its request and on the other requests of the same call (kernels choose by shape, so the
/// last bits of a row may differ with the batch around it): equal calls give equal images.
public protocol ImageGenerator: AnyObject {
    /// How it draws, for the record of a run.
    var description: GeneratorDescription { get }

    /// Lines for the user: settings of old files that were corrected, parts that are not run.
    var notes: [String] { get }

    /// - Parameter wide: use the dtype that ``widerDType`` names instead of the usual one.
    /// - Returns: one for each request, in their order.
    /// - Throws: ``DiffusionError/outOfMemory(what:reason:)`` and errors of reading the model again.
    func images(for requests: [ImageRequest], wide: Bool) throws -> [GeneratedImage]

    /// The dtype in which an image that overflowed is tried again; nil if the usual one is the widest.
    var widerDType: String? { get }

    /// Tokens that a prompt may have, start and end included.
    var tokenLimit: Int { get }

    /// Tokens that `prompt` has, start and end included; tokens beyond the limit are cut off.
    func tokenCount(_ prompt: String) throws -> Int
}
