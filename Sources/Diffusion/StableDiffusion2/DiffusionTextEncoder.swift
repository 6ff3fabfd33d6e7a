import Encoders
import Foundation
import Safetensors
import Torch
import TorchNN

// The text encoder of Stable Diffusion: a CLIP text tower whose states of every token go to the UNet.
// Reference: transformers `CLIPTextModel`; protocol: Stability-AI/stablediffusion `ldm/modules/encoders/modules.py`.

/// Prompts to text states.
///
/// Stable Diffusion 2 reads the *penultimate* layer of OpenCLIP's ViT-H, then the final norm. Its folders say so by leaving
/// the last layer out (23 of 24), so that the last state here is the penultimate one of the tower it came from.
public final class DiffusionTextEncoder: Module {
    @Child("text_model") public var tower: CLIPTextTower

    public var configuration: CLIPConfiguration.Text { tower.configuration }

    public init(_ configuration: CLIPConfiguration.Text) {
        super.init()
        tower = CLIPTextTower(configuration)
    }

    /// The text tower of a CLIP model without its last `skippedLayers` layers; the weights are copied.
    public convenience init(of clip: CLIPModel, skippingLayers skippedLayers: Int = 1) throws {
        var configuration = clip.configuration.text
        configuration.layerCount -= skippedLayers
        self.init(configuration)
        var entries: [String: Weights.Entry] = [:]
        for entry in clip.text.namedTensors() { entries[entry.key] = Weights.Entry(entry.tensor.detached()) }
        let weights = Weights(source: "the text tower", entries: entries)
        try tower.load(weights, memory: .owned) { key in
            (configuration.layerCount..<configuration.layerCount + skippedLayers).contains {
                key.hasPrefix("encoder.layers.\($0).")
            }
        }
    }

    /// - Parameter ids: int64 `[B, T]`, padded to the context length: Stable Diffusion attends to the padding too.
    /// - Returns: `[B, T, K]`.
    public func callAsFunction(_ ids: Tensor) -> Tensor { tower.hiddenState(ids) }
}

extension CLIPConfiguration.Text {
    /// Reads the `config.json` of a `CLIPTextModel`; absent settings have transformers' defaults.
    /// - Throws: `DiffusionError`.
    init(textEncoderFile path: String) throws {
        self.init()
        let file = try DiffusersFile(path)
        let type = try file.string("model_type") ?? "clip_text_model"
        guard type == "clip_text_model" else {
            throw file.invalid("model_type", expected: "\"clip_text_model\"", got: "\"\(type)\"")
        }
        let size = 1...10_000_000
        vocabularySize = try file.integer("vocab_size", in: size, default: 49408)
        hiddenSize = try file.integer("hidden_size", in: size, default: 512)
        intermediateSize = try file.integer("intermediate_size", in: size, default: 2048)
        layerCount = try file.integer("num_hidden_layers", in: 1...1000, default: 12)
        headCount = try file.integer("num_attention_heads", in: size, default: 8)
        contextLength = try file.integer("max_position_embeddings", in: size, default: 77)
        layerNormEps = try file.double("layer_norm_eps", default: 1e-5)
        endOfTextID = try file.integer("eos_token_id", in: 0...10_000_000, default: 49407)
        padID = try file.integer("pad_token_id", in: 0...10_000_000, default: 1)
        let name = try file.string("hidden_act") ?? Activation.quickGELU.rawValue
        guard let activation = Activation(rawValue: name) else {
            let known = Activation.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw file.invalid("hidden_act", expected: "one of \(known)", got: "\"\(name)\"")
        }
        self.activation = activation
        guard hiddenSize % headCount == 0 else {
            throw file.invalid(
                "hidden_size", expected: "a multiple of num_attention_heads (\(headCount))", got: "\(hiddenSize)")
        }
        // transformers writes what generation and training need beside the sizes; none of it changes the states.
    }

    /// The `config.json` of a `CLIPTextModel` of these sizes.
    var textEncoderJSON: String {
        """
        {
          "architectures": ["CLIPTextModel"],
          "bos_token_id": \(max(0, endOfTextID - 1)),
          "eos_token_id": \(endOfTextID),
          "hidden_act": "\(activation.rawValue)",
          "hidden_size": \(hiddenSize),
          "intermediate_size": \(intermediateSize),
          "layer_norm_eps": \(layerNormEps),
          "max_position_embeddings": \(contextLength),
          "model_type": "clip_text_model",
          "num_attention_heads": \(headCount),
          "num_hidden_layers": \(layerCount),
          "pad_token_id": \(padID),
          "vocab_size": \(vocabularySize)
        }

        """
    }
}
