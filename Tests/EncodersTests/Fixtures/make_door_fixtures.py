"""Makes doors/: folders that are CLIPs in unusual ways, and what the references compute and read from them.

    python make_door_fixtures.py          # transformers, open_clip_torch, safetensors, torch (CPU)

    vision-projection   CLIPVisionModelWithProjection, with text tensors of a whole CLIP in the file (as IP-Adapter's)
    vision-plain        CLIPVisionModel: transformers 5 writes its keys without the tower's prefix
    pickled             a whole CLIP as pytorch_model.bin
    tanh-eps            open_clip with act_kwargs, norm_kwargs, mlp_ratio
    configurations.json what transformers makes of configurations that say things twice or not at all
"""

import json
import os
import shutil

import torch

# A torchvision built for CUDA does not load beside a CPU torch; open_clip needs none of its operators, only their names.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import open_clip
import transformers
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel, CLIPVisionModelWithProjection

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "doors")
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__, "open_clip": open_clip.__version__}
shutil.rmtree(ROOT, ignore_errors=True)


def folder(name):
    path = os.path.join(ROOT, name)
    os.makedirs(path)
    return path


def randomise(model, seed):
    """Weights large enough for every layer to matter."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            norm = "norm" in name or "ln_" in name
            parameter.copy_(noise * 0.2 + 1 if norm and name.endswith("weight") else noise * 0.25)
    return model.eval()


def pixels(side, seed):
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def expect(path, values):
    save_file({k: v.contiguous() for k, v in values.items()}, f"{path}/expected.safetensors", metadata=VERSIONS)


SIZES = dict(hidden_size=16, intermediate_size=28, num_hidden_layers=3, num_attention_heads=2, image_size=10, patch_size=5,
             hidden_act="gelu")
for seed, (name, kind) in enumerate(
    [("vision-projection", CLIPVisionModelWithProjection), ("vision-plain", CLIPVisionModel)]):
    model = randomise(kind(CLIPVisionConfig(**SIZES, projection_dim=6)), seed)
    path = folder(name)
    model.save_pretrained(path)
    x = pixels(10, 20 + seed)
    with torch.no_grad():
        out = model(pixel_values=x, output_hidden_states=True)
    values = {"pixel_values": x, "embeds": out.image_embeds if name == "vision-projection" else out.pooler_output}
    values |= {f"hidden.{i}": state for i, state in enumerate(out.hidden_states)}
    expect(path, values)
    if name == "vision-projection":
        state = load_file(f"{path}/model.safetensors")
        state |= {"text_projection.weight": torch.ones(6, 4), "logit_scale": torch.tensor(2.0),
                  "text_model.final_layer_norm.bias": torch.zeros(4)}
        save_file(state, f"{path}/model.safetensors", metadata={"format": "pt"})

text = dict(vocab_size=41, hidden_size=12, intermediate_size=20, num_hidden_layers=1, num_attention_heads=3,
            max_position_embeddings=7, eos_token_id=40, bos_token_id=39, pad_token_id=40)
model = randomise(CLIPModel(CLIPConfig(text_config=text, vision_config=SIZES, projection_dim=6)), 5)
path = folder("pickled")
model.config.save_pretrained(path)
torch.save(model.state_dict(), f"{path}/pytorch_model.bin")
x = pixels(10, 25)
ids = torch.tensor([[39, 3, 17, 40, 40, 40, 40], [39, 1, 2, 3, 4, 5, 40]])
with torch.no_grad():
    expect(path, {"pixel_values": x, "input_ids": ids, "embeds": model.get_image_features(pixel_values=x).pooler_output,
                  "text_embeds": model.get_text_features(input_ids=ids).pooler_output})

extra = {"act_kwargs": {"approximate": "tanh"}, "norm_kwargs": {"eps": 1e-2}, "mlp_ratio": 2.5}
model_cfg = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 12, "layers": 2, "width": 20, "patch_size": 4, "head_width": 10, **extra},
    "text_cfg": {"context_length": 9, "vocab_size": 43, "width": 16, "heads": 4, "layers": 1, **extra},
}
model = open_clip.CLIP(embed_dim=8, vision_cfg=model_cfg["vision_cfg"], text_cfg=model_cfg["text_cfg"])
randomise(model, 6)
path = folder("tanh-eps")
save_file({k: v.contiguous() for k, v in model.state_dict().items()}, f"{path}/open_clip_model.safetensors")
with open(f"{path}/open_clip_config.json", "w") as file:
    json.dump({"model_cfg": model_cfg, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3}}, file, indent=1)
x = pixels(12, 26)
ids = torch.tensor([[40, 7, 42, 0, 0, 0, 0, 0, 0], [40, 1, 2, 3, 4, 5, 6, 7, 42]])
with torch.no_grad():
    expect(path, {"pixel_values": x, "input_ids": ids, "embeds": model.encode_image(x), "text_embeds": model.encode_text(ids)})

# Each configuration as a file holds it, and the sizes that transformers reads from it.
cases = [
    {},
    {"text_config": {"num_hidden_layers": 3}, "vision_config": {"num_hidden_layers": 4}},
    {"text_config": {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4},
     "text_config_dict": {"num_hidden_layers": 5}},
    {"vision_config": {"image_size": 64, "patch_size": 8}, "vision_config_dict": {"image_size": 96},
     "text_config_dict": None},
    {"vision_config_dict": {"hidden_act": "gelu", "layer_norm_eps": 1e-6}, "projection_dim": 96},
    {"text_config": {"eos_token_id": 2, "hidden_act": "gelu"}, "text_config_dict": {"hidden_act": "gelu"}},
]
resolved = []
for case in cases:
    config = CLIPConfig(**json.loads(json.dumps(case)))
    sizes = {"projection_dim": config.projection_dim}
    for tower, keys in [
        ("text", ["hidden_size", "num_hidden_layers", "num_attention_heads", "hidden_act", "layer_norm_eps", "eos_token_id"]),
        ("vision", ["hidden_size", "num_hidden_layers", "image_size", "patch_size", "hidden_act", "layer_norm_eps"]),
    ]:
        part = getattr(config, f"{tower}_config")
        sizes |= {f"{tower}.{key}": getattr(part, key) for key in keys}
    resolved.append({"configuration": json.dumps({"model_type": "clip", **case}), "read": sizes})
with open(os.path.join(ROOT, "configurations.json"), "w") as file:
    json.dump({"versions": VERSIONS, "cases": resolved}, file, indent=1)
