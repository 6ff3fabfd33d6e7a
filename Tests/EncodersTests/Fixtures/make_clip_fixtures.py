"""Makes the CLIP fixtures beside this file: tiny random models, one model of ViT-B/32's size, and what the references answer.

    python make_clip_fixtures.py          # transformers, open_clip_torch, safetensors, torch (CPU)

Every axis has another size, so that a swapped axis cannot pass. The full-size model is not stored: its weights follow
from `formula_weights`, which the Swift test repeats, and only the answers are kept.
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
import safetensors
import transformers
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "open_clip": open_clip.__version__,
    "safetensors": safetensors.__version__,
}


def randomise(model, seed):
    """Weights large enough for every layer to matter: biases and norms too, which constructors leave at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("logit_scale"):
                parameter.fill_(2.5)
            elif "norm" in name or "ln_" in name:
                parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
            elif parameter.dim() < 2:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)


def fresh(name):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def tokens(vocabulary, rows, length, end, seed):
    """Rows that end at different places; the last one has no room for padding. Ids above `end` occur before it in one row."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, vocabulary - 4, (rows, length), generator=generator)
    for row in range(rows):
        stop = length - 1 if row == rows - 1 else 2 + row
        ids[row, stop] = end
        ids[row, stop + 1 :] = 0
    return ids


def contrastive_step(model, pixels, ids, image_of_text):
    """CLIP's symmetric loss and the gradient of every parameter."""
    model.zero_grad()
    output = model(input_ids=ids[:2], pixel_values=pixels[:2])
    logits = output.logits_per_image
    targets = torch.arange(2)
    loss = (torch.nn.functional.cross_entropy(logits, targets) + torch.nn.functional.cross_entropy(logits.t(), targets)) / 2
    loss.backward()
    return loss.detach(), {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()}


def huggingface(name, text, vision, projection, seed, gradients):
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=projection)
    model = CLIPModel(config).eval()
    randomise(model, seed)
    folder = fresh(name)
    model.save_pretrained(folder)
    generator = torch.Generator().manual_seed(seed + 1)
    pixels = torch.randn(2, 3, vision["image_size"], vision["image_size"], generator=generator)
    end = text["eos_token_id"] if text["eos_token_id"] != 2 else text["vocab_size"] - 1
    ids = tokens(text["vocab_size"], 3, 7, end, seed + 2)
    expected = {"pixel_values": pixels, "input_ids": ids}
    if gradients:
        loss, grads = contrastive_step(model, pixels, ids, None)
        expected |= grads | {"loss": loss}
    with torch.no_grad():
        vision_out = model.vision_model(pixel_values=pixels)
        text_out = model.text_model(input_ids=ids)
        expected |= {
            "vision_hidden": vision_out.last_hidden_state,
            "text_hidden": text_out.last_hidden_state,
            "image_embeds": model.visual_projection(vision_out.pooler_output),
            "text_embeds": model.text_projection(text_out.pooler_output),
        }
        output = model(input_ids=ids, pixel_values=pixels)
        expected["logits_per_image"] = output.logits_per_image
    save_file({k: v.contiguous() for k, v in expected.items()}, f"{folder}/expected.safetensors", metadata=VERSIONS)


def openclip(name, seed):
    """open_clip's layout in its own folder format, from its own model."""
    model_cfg = {
        "embed_dim": 12,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 27, "layers": 2, "width": 30, "patch_size": 9, "head_width": 10, "mlp_ratio": 2.0},
        "text_cfg": {"context_length": 11, "vocab_size": 83, "width": 28, "heads": 4, "layers": 3},
    }
    model = open_clip.CLIP(
        embed_dim=model_cfg["embed_dim"], vision_cfg=model_cfg["vision_cfg"], text_cfg=model_cfg["text_cfg"], quick_gelu=True
    ).eval()
    randomise(model, seed)
    folder = fresh(name)
    state = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(state, f"{folder}/open_clip_model.safetensors")
    preprocess = {"mean": [0.48, 0.45, 0.4], "std": [0.26, 0.25, 0.27], "interpolation": "bicubic", "resize_mode": "shortest"}
    with open(f"{folder}/open_clip_config.json", "w") as file:
        json.dump({"model_cfg": model_cfg, "preprocess_cfg": preprocess}, file, indent=1)
    generator = torch.Generator().manual_seed(seed + 1)
    pixels = torch.randn(2, 3, 27, 27, generator=generator)
    ids = tokens(83, 3, 11, 82, seed + 2)
    with torch.no_grad():
        expected = {
            "pixel_values": pixels,
            "input_ids": ids,
            "image_embeds": model.encode_image(pixels),
            "text_embeds": model.encode_text(ids),
        }
    save_file({k: v.contiguous() for k, v in expected.items()}, f"{folder}/expected.safetensors", metadata=VERSIONS)


def formula_weights(shape, index, scale):
    """Numbers in ±scale/2 from integer arithmetic alone; `index` is the parameter's place in sorted key order."""
    count = 1
    for size in shape:
        count *= size
    modulus = 2147483648
    i = torch.arange(count, dtype=torch.int64)
    h = (i * 1103515245 + 12345 + index * 7919) % modulus
    h = (h * (h % 65521 + 1)) % modulus
    h = (h * (h % 32749 + 1)) % modulus
    return ((h.to(torch.float64) / modulus - 0.5) * scale).to(torch.float32).reshape(shape)


def full_size(name):
    model = CLIPModel(CLIPConfig()).eval()  # transformers' defaults are ViT-B/32
    state = model.state_dict()
    for index, key in enumerate(sorted(state)):
        shape = tuple(state[key].shape)
        if key == "logit_scale":
            value = torch.tensor(2.5)
        elif "norm" in key or "layrnorm" in key:
            value = formula_weights(shape, index, 0.2) + (1.0 if key.endswith("weight") else 0.0)
        elif len(shape) < 2:
            value = formula_weights(shape, index, 0.2)
        else:
            fan = state[key][0].numel()
            value = formula_weights(shape, index, 2.5 * fan**-0.5)
        state[key] = value
    model.load_state_dict(state)
    pixels = formula_weights((2, 3, 224, 224), 5001, 4.0)
    ids = torch.full((3, 77), 49407)
    for row, length in enumerate([5, 9, 77]):
        body = (torch.arange(length - 2) * 977 + row * 131) % 49000 + 5
        ids[row, 0] = 49406
        ids[row, 1 : length - 1] = body
        ids[row, length - 1] = 49407
    with torch.no_grad():
        expected = {
            "image_embeds": model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output),
            "text_embeds": model.text_projection(model.text_model(input_ids=ids).pooler_output),
        }
    folder = fresh(name)
    save_file({k: v.contiguous() for k, v in expected.items()}, f"{folder}/expected.safetensors", metadata=VERSIONS)


huggingface(
    "quick-gelu",
    text=dict(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
              max_position_embeddings=9, hidden_act="quick_gelu", eos_token_id=57, bos_token_id=56, pad_token_id=0),
    vision=dict(hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4, image_size=22, patch_size=7,
                hidden_act="quick_gelu"),
    projection=10, seed=1, gradients=True)
huggingface(
    "legacy-eos-gelu",
    text=dict(vocab_size=53, hidden_size=20, intermediate_size=36, num_hidden_layers=1, num_attention_heads=5,
              max_position_embeddings=8, hidden_act="gelu", eos_token_id=2, bos_token_id=0, pad_token_id=1),
    vision=dict(hidden_size=18, intermediate_size=44, num_hidden_layers=2, num_attention_heads=2, image_size=15, patch_size=3,
                hidden_act="gelu", layer_norm_eps=1e-6),
    projection=14, seed=2, gradients=False)
openclip("open-clip", seed=3)
full_size("vit-b-32")
print(json.dumps(VERSIONS))
