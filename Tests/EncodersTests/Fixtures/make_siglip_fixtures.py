"""Makes siglip/: tiny random SigLIP models and what transformers answers, and the answers of one of siglip-base-patch16-224's size;
and AdaptersTests/Fixtures/siglip: the second model with an adapter that PEFT writes.

    python make_siglip_fixtures.py      # torch 2.13, transformers 5.24, peft 0.19, safetensors (CPU)

Every axis has another size. The full-size model is not stored: its weights follow from `formula_weights`, which the Swift
test repeats, and only the answers are kept.
"""

import json
import os
import shutil

import torch

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs its operators, only their names.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import peft
import safetensors
import transformers
from safetensors.torch import save_file
from transformers import SiglipConfig, SiglipModel

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "siglip")
VERSIONS = {m.__name__: m.__version__ for m in (torch, transformers, peft, safetensors)}
PREPROCESSOR = {
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "SiglipImageProcessor", "image_std": [0.5, 0.5, 0.5], "processor_class": "SiglipProcessor",
    "resample": 3, "rescale_factor": 0.00392156862745098,
}


def randomise(model, seed):
    """Weights large enough for every layer to matter: biases and norms too, which constructors leave at 0 and 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("logit_scale"):
                parameter.fill_(2.1)
            elif name.endswith("logit_bias"):
                parameter.fill_(-3.7)
            elif "norm" in name:
                parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
            elif parameter.dim() < 2:
                parameter.copy_(0.1 * noise)
            elif name.endswith("probe"):
                parameter.copy_(noise)
            else:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)


def fresh(name):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def tiny(name, text, vision, seed, gradients):
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).eval()
    randomise(model, seed)
    folder = fresh(name)
    model.save_pretrained(folder)
    side = vision["image_size"]
    with open(f"{folder}/preprocessor_config.json", "w") as file:
        json.dump(PREPROCESSOR | {"size": {"height": side, "width": side}}, file, indent=1)
    generator = torch.Generator().manual_seed(seed + 1)
    pixels = torch.randn(2, 3, side, side, generator=generator)
    ids = torch.randint(0, text["vocab_size"], (3, text["max_position_embeddings"]), generator=generator)
    expected = {"pixel_values": pixels, "input_ids": ids}
    if gradients:
        model.zero_grad()
        loss = model(input_ids=ids[:2], pixel_values=pixels, return_loss=True).loss
        loss.backward()
        expected |= {"loss": loss.detach()} | {f"grad.{n}": p.grad.clone() for n, p in model.named_parameters()}
    with torch.no_grad():
        seen = model.vision_model(pixel_values=pixels, output_hidden_states=True)
        read = model.text_model(input_ids=ids, output_hidden_states=True)
        expected |= {f"hidden.{i}": state for i, state in enumerate(seen.hidden_states)}
        expected |= {f"text_hidden.{i}": state for i, state in enumerate(read.hidden_states)}
        expected |= {"image_embeds": seen.pooler_output, "text_embeds": read.pooler_output}
        expected["logits_per_image"] = model(input_ids=ids, pixel_values=pixels).logits_per_image
    save_file({k: v.contiguous() for k, v in expected.items()}, f"{folder}/expected.safetensors", metadata=VERSIONS)
    if not gradients:
        adapter(model, pixels)


def adapter(model, pixels):
    """An adapter that PEFT writes, on the layers that ours take."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../AdaptersTests/Fixtures/siglip")
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    targets = r"vision_model\.encoder\..*\.(q_proj|k_proj|v_proj|out_proj)"
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=3, lora_alpha=5, target_modules=targets))
    generator = torch.Generator().manual_seed(77)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
        embeds = tuned.base_model.model.vision_model(pixel_values=pixels).pooler_output
    tuned.save_pretrained(folder)
    os.remove(f"{folder}/README.md")
    save_file({"pixel_values": pixels, "image_embeds": embeds}, f"{folder}/expected.safetensors", metadata=VERSIONS)


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
    model = SiglipModel(SiglipConfig()).eval()  # transformers' defaults are siglip-base-patch16-224
    state = model.state_dict()
    for index, key in enumerate(sorted(state)):
        shape = tuple(state[key].shape)
        if "norm" in key:
            value = formula_weights(shape, index, 0.2) + (1.0 if key.endswith("weight") else 0.0)
        elif len(shape) < 2:
            value = formula_weights(shape, index, 0.2)
        else:
            value = formula_weights(shape, index, 2.5 * state[key][0].numel() ** -0.5)
        state[key] = value
    model.load_state_dict(state)
    pixels = formula_weights((2, 3, 224, 224), 5001, 4.0)
    ids = torch.full((3, 64), 1)
    for row, length in enumerate([5, 9, 64]):
        ids[row, :length] = (torch.arange(length) * 977 + row * 131) % 31990 + 5
    with torch.no_grad():
        expected = {
            "image_embeds": model.vision_model(pixel_values=pixels).pooler_output,
            "text_embeds": model.text_model(input_ids=ids).pooler_output,
        }
    save_file({k: v.contiguous() for k, v in expected.items()}, f"{fresh(name)}/expected.safetensors", metadata=VERSIONS)


tiny(
    "first",
    text=dict(vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
              max_position_embeddings=9, projection_size=32),
    vision=dict(hidden_size=32, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4, image_size=22, patch_size=7),
    seed=1, gradients=True)
tiny(
    "second",
    text=dict(vocab_size=53, hidden_size=18, intermediate_size=36, num_hidden_layers=1, num_attention_heads=6,
              max_position_embeddings=7, hidden_act="gelu", layer_norm_eps=1e-3),
    vision=dict(hidden_size=18, intermediate_size=44, num_hidden_layers=2, num_attention_heads=2, image_size=15, patch_size=3,
                hidden_act="gelu", layer_norm_eps=1e-2),
    seed=2, gradients=False)
full_size("base-patch16-224")
print(json.dumps(VERSIONS))
