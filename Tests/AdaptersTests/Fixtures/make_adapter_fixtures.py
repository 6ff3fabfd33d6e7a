"""Makes the adapter fixtures beside this file: a tiny random CLIP and GPT-2, adapters that PEFT wrote for them, and what
PEFT answers.

    python make_adapter_fixtures.py [NAME ...]     # torch, transformers 5, peft, safetensors (CPU); all without names

Every axis has another size, so that a swapped axis cannot pass. `expected.safetensors` of an adapter holds what the adapted
model computes (`image_embeds`, `text_embeds` or `logits`), and under `merged.` every tensor of the base model that
`merge_and_unload` changed, by its name in the whole model.
"""

import json
import os
import shutil
import sys

import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import peft
import safetensors
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPConfig, CLIPModel, CLIPTextModel, CLIPVisionModel, CLIPVisionModelWithProjection, GPT2Config, GPT2LMHeadModel,
)

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {"versions": json.dumps({
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "peft": peft.__version__,
    "safetensors": safetensors.__version__,
}, sort_keys=True)}
TEXT = dict(vocab_size=37, hidden_size=16, intermediate_size=20, num_hidden_layers=1, num_attention_heads=2,
            max_position_embeddings=9, hidden_act="quick_gelu", eos_token_id=35, bos_token_id=34, pad_token_id=0)
VISION = dict(hidden_size=30, intermediate_size=44, num_hidden_layers=2, num_attention_heads=3, num_channels=3,
              image_size=21, patch_size=7, hidden_act="quick_gelu")
PROJECTION = 14
GPT2 = dict(vocab_size=37, n_positions=9, n_embd=12, n_layer=2, n_head=3, n_inner=20, bos_token_id=1, eos_token_id=2)


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("logit_scale"):
                parameter.fill_(2.5)
            elif "norm" in name:
                parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
            elif parameter.dim() < 2:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)


def folder_of(name):
    return os.path.join(HERE, name)


def image_features(clip, pixels):
    return clip.visual_projection(clip.vision_model(pixel_values=pixels).pooler_output)


def text_features(clip, ids):
    return clip.text_projection(clip.text_model(input_ids=ids).pooler_output)


class WholeCLIP:
    """Adapters of CLIPModel, which knows both towers by prefix."""

    prefix = ""

    def __init__(self):
        self.clip = CLIPModel.from_pretrained(folder_of("base")).eval()
        self.model = self.clip
        self.base = {k: v.clone() for k, v in self.clip.state_dict().items()}

    def outputs(self):
        given = load_file(os.path.join(folder_of("base"), "expected.safetensors"))
        return {"image_embeds": image_features(self.clip, given["pixel_values"]),
                "text_embeds": text_features(self.clip, given["input_ids"])}


class ImageTower(WholeCLIP):
    """Adapters of CLIPVisionModel, whose names transformers 5 writes without a prefix."""

    prefix = "vision_model."

    def __init__(self):
        super().__init__()
        self.model = CLIPVisionModel(self.clip.config.vision_config).eval()
        self.model.load_state_dict(self.clip.vision_model.state_dict())
        self.clip.vision_model = self.model


class ImageTowerWithProjection(WholeCLIP):
    def __init__(self):
        super().__init__()
        config = self.clip.config.vision_config
        config.projection_dim = PROJECTION
        self.model = CLIPVisionModelWithProjection(config).eval()
        self.model.vision_model.load_state_dict(self.clip.vision_model.state_dict())
        self.model.visual_projection.load_state_dict(self.clip.visual_projection.state_dict())

    def outputs(self):
        self.clip.vision_model, self.clip.visual_projection = self.model.vision_model, self.model.visual_projection
        return super().outputs()


class TextTower(WholeCLIP):
    prefix = "text_model."

    def __init__(self):
        super().__init__()
        self.model = CLIPTextModel(self.clip.config.text_config).eval()
        self.model.load_state_dict(self.clip.text_model.state_dict())
        self.clip.text_model = self.model


class LanguageModel:
    prefix = ""

    def __init__(self):
        self.whole = GPT2LMHeadModel.from_pretrained(folder_of("gpt2")).eval()
        self.model = self.whole
        self.base = {k: v.clone() for k, v in self.whole.state_dict().items()}

    def outputs(self):
        given = load_file(os.path.join(folder_of("gpt2"), "expected.safetensors"))
        return {"logits": self.whole(input_ids=given["input_ids"]).logits}


class Decoder(LanguageModel):
    """Adapters of GPT2Model, whose names have no `transformer.`."""

    prefix = "transformer."

    def __init__(self):
        super().__init__()
        self.model = self.whole.transformer


def fill(model, seed):
    """Everything that training would change: a fresh adapter is zero and would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if not parameter.requires_grad:
                continue
            noise = torch.randn(parameter.shape, generator=generator) * 0.2
            if "magnitude" in name:
                parameter.mul_(1 + noise)
            elif "lora_" in name:
                parameter.copy_(noise)
            else:
                parameter.add_(noise)


def adapter(name, made_for, seed, safe=True, mergeable=True, **settings):
    host = made_for()
    model = get_peft_model(host.model, LoraConfig(**settings)).eval()
    fill(model, seed)
    folder = folder_of(name)
    shutil.rmtree(folder, ignore_errors=True)
    with torch.no_grad():
        trained = {k: v.clone() for k, v in host.outputs().items()}
    model.save_pretrained(folder, safe_serialization=safe)
    os.remove(os.path.join(folder, "README.md"))
    config_path = os.path.join(folder, "adapter_config.json")
    with open(config_path) as file:
        config = json.load(file)
    config["base_model_name_or_path"] = "base"  # and not a path of this machine
    for key in ["target_modules", "exclude_modules"]:
        if isinstance(config[key], list):
            config[key].sort()  # PEFT writes a set, in any order
    with open(config_path, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
    # What counts is what PEFT makes of its files, on a model that never saw the training.
    host = made_for()
    model = PeftModel.from_pretrained(host.model, folder).eval()
    with torch.no_grad():
        expected = {k: v.clone() for k, v in host.outputs().items()}
        for key, tensor in expected.items():
            print(name, key, "differs from the trained model by", (tensor - trained[key]).abs().max().item())
        if mergeable:
            for key, tensor in model.merge_and_unload().state_dict().items():
                key = host.prefix + key
                if key in host.base and not torch.equal(host.base[key], tensor):
                    expected["merged." + key] = tensor.clone()
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"), metadata=VERSIONS)


def base():
    folder = folder_of("base")
    shutil.rmtree(folder, ignore_errors=True)
    model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=PROJECTION)).eval()
    randomise(model, 31)
    model.save_pretrained(folder)
    pixels = torch.randn(2, 3, 21, 21, generator=torch.Generator().manual_seed(32))
    ids = torch.randint(1, 34, (3, 8), generator=torch.Generator().manual_seed(33))
    for row, end in enumerate([7, 4, 5]):
        ids[row, end] = TEXT["eos_token_id"]
    with torch.no_grad():
        expected = {"pixel_values": pixels, "input_ids": ids, "image_embeds": image_features(model, pixels),
                    "text_embeds": text_features(model, ids)}
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"), metadata=VERSIONS)


def gpt2():
    folder = folder_of("gpt2")
    shutil.rmtree(folder, ignore_errors=True)
    model = GPT2LMHeadModel(GPT2Config(**GPT2)).eval()
    randomise(model, 34)
    model.save_pretrained(folder)
    ids = torch.randint(0, 37, (2, 7), generator=torch.Generator().manual_seed(35))
    with torch.no_grad():
        expected = {"input_ids": ids, "logits": model(input_ids=ids).logits}
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"), metadata=VERSIONS)


ATTENTION = r"vision_model\..*\.(q_proj|k_proj|v_proj|out_proj)"
TABLES = ["patch_embedding", "position_embedding", "token_embedding"]
ADAPTERS = {
    "peft-pattern": (WholeCLIP, 41, dict(r=4, lora_alpha=6, target_modules=ATTENTION)),
    "peft-list": (
        WholeCLIP, 42, dict(r=3, lora_alpha=3, lora_dropout=0.1, target_modules=["q_proj", "v_proj", "fc2"])),
    "peft-rslora": (WholeCLIP, 43, dict(r=5, lora_alpha=7, use_rslora=True, target_modules=ATTENTION)),
    "peft-dora": (
        WholeCLIP, 44, dict(r=3, lora_alpha=5, use_dora=True, target_modules=["q_proj", "fc1", "visual_projection"])),
    "peft-patterns": (
        WholeCLIP, 45,
        dict(r=3, lora_alpha=4, use_rslora=True, target_modules=["q_proj", "k_proj", "fc2"],
             exclude_modules=r"text_model\..*", rank_pattern={"k_proj": 5, "vision_model.encoder.layers.1.mlp.fc2": 2},
             alpha_pattern={"q_proj": 7, r"layers\.0\.self_attn\.k_proj": 3, r".*fc2": 2.5})),
    "peft-layers": (
        WholeCLIP, 46,
        dict(r=2, lora_alpha=3, target_modules=["v_proj", "fc1"], layers_to_transform=[1], layers_pattern="layers",
             exclude_modules=["mlp.fc2"])),
    "peft-lookbehind": (
        WholeCLIP, 47, dict(r=2, lora_alpha=3, target_modules=r"(?!text).*(?<=layers\.1)\.(?P<part>mlp)\.fc[12]")),
    "peft-bias-all": (
        WholeCLIP, 48,
        dict(r=2, lora_alpha=3, bias="all", target_modules=["q_proj"],
             modules_to_save=["visual_projection", "post_layernorm"])),
    "peft-bias-own": (
        WholeCLIP, 49, dict(r=2, lora_alpha=3, bias="lora_only", lora_bias=True, target_modules=["fc1", "out_proj"])),
    "peft-tables": (WholeCLIP, 50, dict(r=2, lora_alpha=3, target_modules=TABLES)),
    "peft-tables-dora": (WholeCLIP, 51, dict(r=4, lora_alpha=3, use_dora=True, target_modules=TABLES)),
    "peft-vision": (ImageTower, 52, dict(r=2, lora_alpha=3, target_modules="all-linear")),
    "peft-vision-projection": (
        ImageTowerWithProjection, 53, dict(r=2, lora_alpha=3, target_modules=["k_proj", "visual_projection"])),
    "peft-text": (TextTower, 54, dict(r=2, lora_alpha=3, target_modules=["q_proj", "fc2"])),
    "peft-bin": (ImageTower, 55, dict(r=2, lora_alpha=3, safe=False, target_modules=["v_proj"])),
    "peft-everything": (
        WholeCLIP, 56,
        dict(r=3, lora_alpha=5, use_dora=True, use_rslora=True, bias="lora_only", target_modules=["q_proj", "fc1"],
             layers_to_transform=0, rank_pattern={"fc1": 2}, modules_to_save=["text_projection"])),
    "gpt2-list": (
        LanguageModel, 57,
        dict(r=3, lora_alpha=4, target_modules=["c_attn", "c_proj", "c_fc"], rank_pattern={"attn.c_proj": 5})),
    "gpt2-dora": (
        Decoder, 58, dict(r=2, lora_alpha=3, use_dora=True, bias="all", target_modules=["c_attn", "mlp.c_proj", "wpe"])),
}


def main():
    wanted = sys.argv[1:]
    for make in [base, gpt2]:
        if not wanted or make.__name__ in wanted:
            make()
    for name, (made_for, seed, settings) in ADAPTERS.items():
        if not wanted or name in wanted:
            adapter(name, made_for, seed, **settings)


main()
