import StrictJSON
import TorchNN

// Reads the description of a CLIP model in open_clip's `open_clip_config.json`. Reference: open_clip `model.py`
// (`CLIPVisionCfg`, `CLIPTextCfg`), whose defaults hold for keys that a file leaves out. Only the plain CLIP among its
// many variants is implemented; a setting that asks for another one is refused by name.

extension CLIPConfiguration {
    init(openCLIP file: JSONFile) throws {
        guard let model = try file.object("model_cfg"), let vision = try model.object("vision_cfg"),
            let text = try model.object("text_cfg")
        else {
            throw JSONFileError.invalidValue(
                file: file.path, key: "model_cfg", expected: "an object with vision_cfg and text_cfg", got: "none")
        }
        try model.refuseUnknown(
            ["embed_dim", "vision_cfg", "text_cfg", "quick_gelu"],
            // The weights tell how the keys of the text tower are nested.
            harmless: ["custom_text", "init_logit_scale"])
        let isQuick = try model.bool("quick_gelu") ?? false
        projectionDimension = try model.integer("embed_dim") ?? projectionDimension
        self.vision = try Vision(openCLIP: vision, quickGELU: isQuick)
        self.text = try Text(openCLIP: text, quickGELU: isQuick)
    }

    /// Blocks that only open_clip has; CLIP does not use them.
    fileprivate static let blockVariants = [
        "ls_init_value", "qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc",
    ]

    fileprivate static func activation(_ tower: JSONFile, quickGELU: Bool) throws -> Activation {
        guard let arguments = try tower.object("act_kwargs") else { return quickGELU ? .quickGELU : .gelu }
        try arguments.refuseUnknown(["approximate"])
        guard !quickGELU else {
            throw tower.unsupported("act_kwargs", "with quick_gelu there are no settings of the activation")
        }
        return try arguments.string("approximate") == "tanh" ? .geluTanh : .gelu
    }

    fileprivate static func layerNormEps(_ tower: JSONFile) throws -> Double {
        guard let arguments = try tower.object("norm_kwargs") else { return 1e-5 }
        try arguments.refuseUnknown(["eps"])
        return try arguments.double("eps") ?? 1e-5
    }
}

extension CLIPConfiguration.Vision {
    fileprivate init(openCLIP tower: JSONFile, quickGELU: Bool) throws {
        self.init()
        try tower.require("timm_model_name", only: .null)
        try tower.require("pool_type", only: .string("tok"))
        try tower.require("pos_embed_type", only: .string("learnable"))
        try tower.require("block_type", only: .string("default"))
        for key in CLIPConfiguration.blockVariants + ["attentional_pool", "no_ln_pre"]
        where !(tower.value[key]?.isOff ?? true) {
            throw tower.unsupported(key, "this variant of the image tower is not implemented")
        }
        let read: Set<String> = [
            "width", "layers", "image_size", "patch_size", "head_width", "mlp_ratio", "act_kwargs", "norm_kwargs",
            "pool_type", "pos_embed_type", "block_type", "attentional_pool", "no_ln_pre",
        ]
        try tower.refuseUnknown(
            read.union(CLIPConfiguration.blockVariants),
            harmless: [
                // Used only in training.
                "patch_dropout",
                // What Python returns.
                "output_tokens",
                // A norm of single positions is the same before and after one of them is picked.
                "final_ln_after_pool",
                // Read only together with settings that are refused above.
                "attn_pooler_queries", "attn_pooler_heads", "timm_model_pretrained", "timm_pool", "timm_proj",
                "timm_proj_bias", "timm_drop", "timm_drop_path",
            ])
        hiddenSize = try tower.integer("width") ?? 768
        layerCount = try tower.integer("layers") ?? 12
        imageSize = try tower.square("image_size") ?? 224
        patchSize = try tower.square("patch_size") ?? 16
        headCount = hiddenSize / max(1, try tower.integer("head_width") ?? 64)
        intermediateSize = Int(Double(hiddenSize) * (try tower.double("mlp_ratio") ?? 4))
        activation = try CLIPConfiguration.activation(tower, quickGELU: quickGELU)
        layerNormEps = try CLIPConfiguration.layerNormEps(tower)
    }
}

extension CLIPConfiguration.Text {
    fileprivate init(openCLIP tower: JSONFile, quickGELU: Bool) throws {
        self.init()
        try tower.require("hf_model_name", only: .null)
        try tower.require("proj_type", only: .string("linear"))
        try tower.require("block_type", only: .string("default"))
        let pooling = try tower.string("pool_type") ?? "argmax"
        guard ["argmax", "eos"].contains(pooling) else {
            throw tower.unsupported("pool_type", "only \"argmax\" and \"eos\" are implemented")
        }
        for key in CLIPConfiguration.blockVariants + ["no_causal_mask", "embed_cls", "proj_bias"]
        where !(tower.value[key]?.isOff ?? true) {
            throw tower.unsupported(key, "this variant of the text tower is not implemented")
        }
        let read: Set<String> = [
            "context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "act_kwargs", "norm_kwargs",
            "pool_type", "proj_type", "block_type", "eos_id", "pad_id", "no_causal_mask", "embed_cls", "proj_bias",
        ]
        try tower.refuseUnknown(
            read.union(CLIPConfiguration.blockVariants),
            harmless: [
                // The files tell which tokenizer stands beside the model, and they are read strictly there.
                "hf_tokenizer_name", "tokenizer_mode",
                "output_tokens", "final_ln_after_pool",
                // Read only together with settings that are refused above.
                "hf_model_pretrained", "hf_proj_type", "hf_pooler_type",
            ])
        vocabularySize = try tower.integer("vocab_size") ?? 49408
        contextLength = try tower.integer("context_length") ?? 77
        hiddenSize = try tower.integer("width") ?? 512
        headCount = try tower.integer("heads") ?? 8
        layerCount = try tower.integer("layers") ?? 12
        intermediateSize = Int(Double(hiddenSize) * (try tower.double("mlp_ratio") ?? 4))
        activation = try CLIPConfiguration.activation(tower, quickGELU: quickGELU)
        layerNormEps = try CLIPConfiguration.layerNormEps(tower)
        // 2 means the largest id (see `endOfTextID`), which is how open_clip pools with `argmax`.
        endOfTextID = 2
        if pooling == "eos" {
            endOfTextID = try tower.integer("eos_id") ?? 2
            guard endOfTextID != 2 else {
                throw tower.unsupported("eos_id", "as an end-of-text token, 2 cannot be told from the largest id")
            }
        }
        padID = try tower.integer("pad_id") ?? 0
    }
}
