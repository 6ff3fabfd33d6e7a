import Foundation
import ModelFolders
import TorchNN

/// Finds the weights of a CLIP model and converts every published key layout to Hugging Face's.
///
/// | layout | recognised by | what changes |
/// |---|---|---|
/// | Hugging Face | `vision_model.` | nothing |
/// | OpenAI, open_clip | `visual.conv1.weight` | names; `attn.in_proj_*` split into q, k, v; projections transposed |
/// | open_clip with a text module | the same, text keys below `text.` | as above |
public enum CLIPCheckpoint {
    /// The files that hold the weights of the model in `folder`.
    /// - Throws: `ModelFolderError` naming the accepted files.
    static func files(_ folder: ModelFolder, _ variant: String? = nil) throws -> WeightFiles {
        try folder.weights(
            stems: ["model", "open_clip_model"], pickleStems: ["pytorch_model", "open_clip_pytorch_model"],
            variant: variant)
    }

    /// The weights in `files` under Hugging Face's keys.
    static func weights(_ files: WeightFiles) throws -> Weights {
        var weights = try Weights(files)
        try convert(&weights)
        return weights
    }

    /// Converts in place; weights in Hugging Face's layout stay as they are.
    public static func convert(_ weights: inout Weights) throws {
        if weights.entries.keys.contains(where: { $0.hasPrefix("vision_model.") }) { return }
        guard weights["visual.conv1.weight"] != nil else {
            throw ModelFolderError.unknownLayout(
                file: weights.source,
                expected:
                    "Hugging Face's (vision_model.…, text_model.…) or OpenAI's and open_clip's (visual.…, transformer.…)"
            )
        }
        // Numbers that OpenAI stores beside the weights, and a mask that follows from the context length.
        for key in ["input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask"] {
            weights.entries[key] = nil
        }
        weights.renameKeys { key in
            key.hasPrefix("text.") ? String(key.dropFirst(5)) : nil
        }
        for key in weights.entries.keys
        where key.hasSuffix(".attn.in_proj_weight") || key.hasSuffix(".attn.in_proj_bias") {
            let stem = key.dropLast(key.hasSuffix("weight") ? "in_proj_weight".count : "in_proj_bias".count)
            let kind = key.hasSuffix("weight") ? "weight" : "bias"
            try weights.split(key, into: ["q_proj", "k_proj", "v_proj"].map { "\(stem)\($0).\(kind)" })
        }
        weights.transpose("visual.proj")
        weights.transpose("text_projection")
        weights.renameKeys(huggingFaceKey)
    }

    /// The Hugging Face name of an OpenAI key whose attention has been split; nil for a key that both have in common.
    static func huggingFaceKey(_ key: String) -> String? {
        if let name = whole[key] { return name }
        for (prefix, tower) in [
            ("visual.transformer.", "vision_model.encoder."), ("transformer.", "text_model.encoder."),
        ] {
            guard key.hasPrefix(prefix + "resblocks.") else { continue }
            var name = tower + "layers." + key.dropFirst((prefix + "resblocks.").count)
            for (theirs, ours) in blocks { name = name.replacingOccurrences(of: theirs, with: ours) }
            return name
        }
        return nil
    }

    private static let whole = [
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
        "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
        "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
        "visual.ln_post.weight": "vision_model.post_layernorm.weight",
        "visual.ln_post.bias": "vision_model.post_layernorm.bias",
        "visual.proj": "visual_projection.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "ln_final.weight": "text_model.final_layer_norm.weight",
        "ln_final.bias": "text_model.final_layer_norm.bias",
        "text_projection": "text_projection.weight",
    ]

    private static let blocks = [
        (".attn.", ".self_attn."), (".ln_1.", ".layer_norm1."), (".ln_2.", ".layer_norm2."),
        (".mlp.c_fc.", ".mlp.fc1."),
        (".mlp.c_proj.", ".mlp.fc2."),
    ]
}
