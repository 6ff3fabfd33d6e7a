import Foundation
import Torch
import TorchNN

/// timm's names of a vision transformer's tensors, and those of the blocks that the encoders here share.
enum TimmWeights {
    private static let blocks = [
        (".norm1.", ".layer_norm1."), (".norm2.", ".layer_norm2."), (".attn.proj.", ".self_attn.out_proj."),
    ]

    /// From timm's to ours: blocks renamed, `attn.qkv` split into its three parts.
    static func toOurs(_ weights: inout Weights) throws {
        for key in weights.entries.keys where key.hasPrefix("blocks.") && key.contains(".attn.qkv.") {
            let kind = key.hasSuffix(".weight") ? "weight" : "bias"
            let stem = key.replacingOccurrences(of: ".attn.qkv.\(kind)", with: ".self_attn")
            try weights.split(key, into: ["q_proj", "k_proj", "v_proj"].map { "\(stem).\($0).\(kind)" })
        }
        weights.renameKeys { key in
            guard key.hasPrefix("blocks.") else { return nil }
            var name = "encoder.layers." + key.dropFirst("blocks.".count)
            for (theirs, ours) in blocks { name = name.replacingOccurrences(of: theirs, with: ours) }
            return name
        }
    }

    /// The other way round.
    static func toTimm(_ tensors: [(key: String, tensor: Tensor)]) -> [(key: String, tensor: Tensor)] {
        var named: [String: Tensor] = [:]
        for (key, tensor) in tensors { named[key] = tensor }
        return tensors.compactMap { key, tensor in
            guard key.hasPrefix("encoder.layers.") else { return (key, tensor) }
            var name = "blocks." + key.dropFirst("encoder.layers.".count)
            for (theirs, ours) in blocks { name = name.replacingOccurrences(of: ours, with: theirs) }
            // The three parts of the attention stand one after the other, and the query's name is theirs.
            guard name.contains(".self_attn.") else { return (name, tensor) }
            guard name.contains(".self_attn.q_proj.") else { return nil }
            let parts = ["k_proj", "v_proj"].compactMap { named[key.replacingOccurrences(of: "q_proj", with: $0)] }
            return (name.replacingOccurrences(of: ".self_attn.q_proj.", with: ".attn.qkv."), .cat([tensor] + parts))
        }
    }
}
