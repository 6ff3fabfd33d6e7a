import Diffusion
import Files
import Foundation
import Images
import Safetensors
import Torch

/// Stable Diffusion 2 as a source of images.
///
/// An image's noise comes from a CPU generator with its request's seed; the batch only shares the model's calls.
public final class StableDiffusionGenerator: ImageGenerator {
    public let model: StableDiffusion2
    public let settings: StableDiffusion2.Settings
    private let folder: String
    private let scheduler: SchedulerKind?
    /// The same model in float32, loaded at the first image that needs it.
    private var wideModel: StableDiffusion2?

    /// Loads a diffusers folder.
    /// - Parameters:
    ///   - scheduler: nil for the folder's own.
    ///   - isPrepared: whether the weights are laid out for speed where that is possible, in float32 on the CPU; it costs
    ///     memory (`StableDiffusion2.prepareForInference`), and the images differ from others in the last digits.
    /// - Throws: what loading the model throws; `DiffusionError.imageSize` for a size that the model cannot make.
    public init(
        folder: String, dtype: DType, device: Device, scheduler: SchedulerKind? = nil,
        settings: StableDiffusion2.Settings, isPrepared: Bool = true
    ) throws {
        self.folder = folder
        self.scheduler = scheduler
        self.settings = settings
        model = try StableDiffusion2(folder: folder, dtype: dtype, device: device, scheduler: scheduler)
        _ = try model.latentSize(settings)
        // Refuses step counts that the scheduler has no timesteps for before any image is begun.
        _ = try model.scheduler.trajectory(steps: settings.steps)
        if isPrepared, model.dtype == .float32, device == .cpu { try model.prepareForInference(settings) }
    }

    /// Pixels of the images.
    public func imageSize() throws -> ImageSize {
        let latents = try model.latentSize(settings)
        let factor = model.autoencoder.configuration.downsampling
        return ImageSize(width: latents.width * factor, height: latents.height * factor)
    }

    public var widerDType: String? { model.dtype == .float32 ? nil : "\(DType.float32)" }

    public var tokenLimit: Int { model.textEncoder.configuration.contextLength }

    public func tokenCount(_ prompt: String) -> Int { model.tokenizer.encode(prompt).count + 2 }

    public func images(for requests: [ImageRequest], wide: Bool) throws -> [GeneratedImage] {
        let model = wide ? try widened() : model
        let noise = try model.noise(seeds: requests.map(\.seed), settings)
        return try model.pictures(requests.map(\.prompt), noise: noise, settings).map { picture in
            switch picture {
            case .image(let image), .black(let image): .image(image)
            case .notFinite: .notFinite
            }
        }
    }

    private func widened() throws -> StableDiffusion2 {
        if let wideModel { return wideModel }
        let made = try StableDiffusion2(
            folder: folder, dtype: .float32, device: model.device, scheduler: scheduler)
        wideModel = made
        return made
    }
}

/// The identity of a model in diffusers' layout.
public enum DiffusersModelHash {
    private static let folders = ["scheduler", "text_encoder", "tokenizer", "unet", "vae"]

    /// SHA-256 over the names and hashes of the files that make the model: every `.json`, `.txt` and `.safetensors` of its
    /// parts and `model_index.json`, in the order of their paths. Files of other formats do not count, and neither does
    /// where the folder lies.
    /// - Parameter hash: of one file; callers with a cache of hashes pass it.
    /// - Throws: ``SynthesisError/unreadable(path:reason:)`` when the folder holds no model.
    public static func sha256(
        folder: String, hash: (_ path: String) throws -> String = { try ContentHash.sha256(ofFile: $0) }
    ) throws -> String {
        guard SynthesisFolder.exists("\(folder)/model_index.json") else {
            throw SynthesisError.unreadable(
                path: folder, reason: "is no Stable Diffusion folder of diffusers' layout: it has no model_index.json")
        }
        var names = ["model_index.json"]
        for part in folders where SynthesisFolder.exists("\(folder)/\(part)") {
            names += try SynthesisFolder.entries("\(folder)/\(part)")
                .filter {
                    !$0.hasPrefix(".") && ["json", "txt", "safetensors"].contains(($0 as NSString).pathExtension)
                }
                .map { "\(part)/\($0)" }
        }
        let lines = try names.sorted().map { "\(try hash("\(folder)/\($0)"))  \($0)\n" }
        return ContentHash.sha256(of: lines.joined())
    }
}
