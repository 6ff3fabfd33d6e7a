import Adapters
import Encoders
import Torch
import TorchNN

/// How the encoder of generated images is trained (Table 11).
public enum Tuning: Sendable, Equatable {
    /// Low-rank updates on a frozen trunk.
    case lora(LoRAConfiguration)
    /// A copy of the image encoder, trained as a whole.
    case full
    /// The unchanged encoder: only projections are trained, if any.
    case frozen

    public static let `default` = Tuning.lora(LoRAConfiguration())
}

/// Which encoder reads real images when the aligned model is used (the paper says both).
public enum CLIPFlow: String, Sendable, Codable, CaseIterable {
    /// The original `f_r` (Alg. 1, lines 15-18).
    case original
    /// The tuned encoder with the projection for real images (last sentence of Sec. 3.2).
    case tuned
}

/// `f_r` and `f_g`: one trunk, used in two ways.
///
/// `real(_:)` is the pretrained trunk. `generated(_:)` is a second tree of modules over the same tensors, with LoRA
/// layers in it; only their `A` and `B` take additional memory. With full fine-tuning the second tree has an image
/// encoder of its own.
public final class ModalityTowers {
    /// `f_r`, frozen.
    public let trunk: any ImageEncoder
    /// The encoder of generated images, `f_g`.
    public let tuned: any ImageEncoder
    public let tuning: Tuning
    /// The low-rank updates of `f_g`; nil with full fine-tuning.
    public let adapter: LoRAAdapter?

    /// - Parameters:
    ///   - trunk: the pretrained model; it is frozen.
    ///   - generator: draws the initial `A` (CPU).
    ///   - dropoutGenerator: draws dropout masks, on the trunk's device; needed if LoRA's dropout is above 0.
    /// - Throws: `AdapterError`
    public init(
        trunk: any ImageEncoder, tuning: Tuning, generator: Generator, dropoutGenerator: Generator? = nil
    ) throws {
        self.trunk = trunk
        self.tuning = tuning
        trunk.setRequiresGrad(false)
        switch tuning {
        case .lora(let configuration):
            tuned = Self.copy(of: trunk, owning: [])
            adapter = try LoRAAdapter(
                injectingInto: tuned, configuration, generator: generator, dropoutGenerator: dropoutGenerator)
        case .full:
            tuned = Self.copy(of: trunk, owning: trunk.imageModules)
            adapter = nil
            for parameter in Self.trained(of: tuned) { parameter.tensor.requiresGrad = true }
        case .frozen:
            tuned = trunk
            adapter = nil
        }
    }

    /// Towers of a finished run: the adapter in `adapterFolder`, in PEFT's layout, on `trunk`.
    /// - Throws: `AdapterError`, `SafetensorsError`
    public init(trunk: any ImageEncoder, adapterFolder: String) throws {
        self.trunk = trunk
        trunk.setRequiresGrad(false)
        tuned = Self.copy(of: trunk, owning: [])
        let adapter = try LoRAAdapter(loadingInto: tuned, folder: adapterFolder)
        self.adapter = adapter
        tuning = .lora(adapter.configuration)
    }

    /// What the optimizer trains, with paths in the model.
    public var trainedParameters: [NamedTensor] {
        if tuning == .frozen { return [] }
        return adapter?.namedParameters() ?? Self.trained(of: tuned)
    }

    /// `f_r(x_r)`: embeddings of real images, `[B, E]`.
    /// - Parameter reading: which encoder reads them; the original one records no gradient.
    public func real(_ images: ImageBatch<Real>, reading: CLIPFlow = .original) -> Embeddings<Real> {
        switch reading {
        case .original: Embeddings(withoutGradients { trunk.imageFeatures(images.pixels) })
        case .tuned: Embeddings(tuned.imageFeatures(images.pixels))
        }
    }

    /// `f_g(x_g)`: embeddings of generated images, `[B, E]`.
    public func generated(_ images: ImageBatch<Generated>) -> Embeddings<Generated> {
        Embeddings(tuned.imageFeatures(images.pixels))
    }

    /// Switches dropout of the tuned encoder on or off.
    public func setTraining(_ on: Bool) { tuned.setTraining(on) }

    private static func trained(of model: any ImageEncoder) -> [NamedTensor] {
        model.namedParameters().filter { isBelow(model.imageModules, $0.key) }
    }

    private static func isBelow(_ modules: [String], _ key: String) -> Bool {
        modules.contains { key == $0 || key.hasPrefix($0 + ".") }
    }

    /// A second tree of modules over the tensors of `model`; modules below `modules` are copied.
    private static func copy(of model: any ImageEncoder, owning modules: [String]) -> any ImageEncoder {
        let second = model.unfilled()
        for (slot, source) in zip(second.namedTensors(), model.namedTensors()) {
            precondition(slot.key == source.key, "two models of one architecture list their tensors in one order")
            let isOwn = source.kind != .derived && isBelow(modules, source.key)
            slot.replace(isOwn ? source.tensor.detached().clone() : source.tensor)
        }
        second.setRequiresGrad(false)
        second.weightsDidChange()
        return second
    }
}
