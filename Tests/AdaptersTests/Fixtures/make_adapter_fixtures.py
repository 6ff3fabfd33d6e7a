"""Makes the adapter fixtures beside this file: a tiny random CLIP, adapters that PEFT wrote for it, and what PEFT answers.

    python make_adapter_fixtures.py          # torch, transformers, peft, safetensors (CPU)

Every axis has another size, so that a swapped axis cannot pass.
"""

import json
import os
import shutil

import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import peft
import safetensors
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

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


def base():
    return CLIPModel.from_pretrained(os.path.join(HERE, "base")).eval()


def image_features(model, pixels):
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


def fill(model, seed):
    """B too: a fresh adapter is zero and would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def adapter(name, seed, pixels, **settings):
    model = get_peft_model(base(), LoraConfig(bias="none", **settings)).eval()
    fill(model, seed)
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    os.remove(os.path.join(folder, "README.md"))
    config_path = os.path.join(folder, "adapter_config.json")
    with open(config_path) as file:
        config = json.load(file)
    config["base_model_name_or_path"] = "base"  # and not a path of this machine
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set, in any order
    with open(config_path, "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
    with torch.no_grad():
        expected = {"image_embeds": image_features(model.base_model.model, pixels)}
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"), metadata=VERSIONS)


def main():
    folder = os.path.join(HERE, "base")
    shutil.rmtree(folder, ignore_errors=True)
    model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=PROJECTION)).eval()
    randomise(model, 31)
    model.save_pretrained(folder)
    pixels = torch.randn(2, 3, 21, 21, generator=torch.Generator().manual_seed(32))
    with torch.no_grad():
        expected = {"pixel_values": pixels, "image_embeds": image_features(model, pixels)}
    save_file({k: v.contiguous() for k, v in expected.items()}, os.path.join(folder, "expected.safetensors"), metadata=VERSIONS)
    pattern = r"vision_model\..*\.(q_proj|k_proj|v_proj|out_proj)"
    adapter("peft-pattern", 41, pixels, r=4, lora_alpha=6, target_modules=pattern)
    adapter("peft-list", 42, pixels, r=3, lora_alpha=3, lora_dropout=0.1, target_modules=["q_proj", "v_proj", "fc2"])
    adapter("peft-rslora", 43, pixels, r=5, lora_alpha=7, use_rslora=True, target_modules=pattern)


main()
