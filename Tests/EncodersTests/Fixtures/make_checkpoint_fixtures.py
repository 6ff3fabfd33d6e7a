"""Makes checkpoints/: files as the authors of Long-CLIP and SynCLR publish theirs, tiny and random, and what the formulas give.

    python make_checkpoint_fixtures.py      # torch 2.13, open_clip 3.3, timm 1.0, transformers 5.24, safetensors (CPU)

Long-CLIP's own code is written anew here: one table of positions up to 20, the other from there on, added to the tokens of a CLIP;
and the stretching from which its training starts, position by position. Every axis has another size; heads are 64 wide, as both
codes have them. Files are float16 to be small; answers are computed in float32.
"""

import functools
import json
import os
import shutil

import torch

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs its operators, only their names.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import open_clip
import safetensors
import timm
import transformers
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from transformers import CLIPConfig, CLIPModel

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "checkpoints")
VERSIONS = {m.__name__: m.__version__ for m in (torch, open_clip, timm, transformers, safetensors)}
shutil.rmtree(HERE, ignore_errors=True)
KEPT = 20


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("logit_scale"):
                noise = torch.tensor(2.5)
            elif "norm" in name or "ln_" in name:
                noise = (1 if name.endswith("weight") else 0) + 0.2 * noise
            elif parameter.dim() < 2:
                noise = 0.1 * noise
            elif name.endswith(("pos_embed", "cls_token", "positional_embedding", "position_embedding.weight")):
                noise = 0.3 * noise
            else:
                noise = noise * parameter.shape[-1] ** -0.5
            parameter.copy_(noise.half())  # what the file holds


def folder(name):
    path = os.path.join(HERE, name)
    os.makedirs(path)
    return path


def answers(path, values):
    save_file({k: v.detach().float().contiguous() if v.is_floating_point() else v for k, v in values.items()},
              f"{path}/expected.safetensors", metadata=VERSIONS)


def long_clip():
    model = open_clip.CLIP(
        embed_dim=12, quick_gelu=True,
        vision_cfg=dict(image_size=21, layers=2, width=64, patch_size=7, head_width=64, mlp_ratio=0.625),
        text_cfg=dict(context_length=28, vocab_size=83, width=128, heads=2, layers=2, mlp_ratio=0.25)).eval()
    randomise(model, 3)
    generator = torch.Generator().manual_seed(4)
    trained = (torch.randn(28, 128, generator=generator) * 0.3).half()
    path = folder("long-clip")
    state = {k: v.half() for k, v in model.state_dict().items() if k != "attn_mask"}
    torch.save(state | {"positional_embedding_res": trained}, f"{path}/longclip-T.pt")
    first = (torch.arange(28) < KEPT).float()[:, None]
    with torch.no_grad():
        model.positional_embedding.copy_(model.positional_embedding * first + trained.float() * (1 - first))
    ids = torch.randint(3, 80, (3, 28), generator=generator)
    for row, end in enumerate([9, 23, 27]):
        ids[row, end] = 82
        ids[row, end + 1 :] = 0
    pixels = torch.randn(2, 3, 21, 21, generator=generator)
    with torch.no_grad():
        answers(path, {"pixel_values": pixels, "input_ids": ids, "image_embeds": model.encode_image(pixels),
                       "text_embeds": model.encode_text(ids)})


def stretched(old):
    """As the authors' loop has it: each position after the kept ones, and three on the way to the next; then past the end."""
    length = len(old)
    new = torch.zeros(4 * length - 3 * KEPT, old.shape[1])
    new[:KEPT] = old[:KEPT]
    for i in range(length - 1 - KEPT):
        for j in range(4):
            new[4 * i + KEPT + j] = ((4 - j) * old[i + KEPT] + j * old[i + 1 + KEPT]) / 4
    for j in range(4):
        new[4 * length - 3 * KEPT - 4 + j] = old[length - 1] + j * (old[length - 1] - old[length - 2]) / 4
    return new


def stretch():
    text = dict(vocab_size=41, hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2,
                max_position_embeddings=25, eos_token_id=40, bos_token_id=39, pad_token_id=0)
    vision = dict(hidden_size=24, intermediate_size=36, num_hidden_layers=1, num_attention_heads=3, image_size=14, patch_size=7)
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=10)).eval()
    randomise(model, 5)
    path = folder("stretch")
    model.save_pretrained(path)
    with open(f"{path}/preprocessor_config.json", "w") as file:
        json.dump({"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 14}, "crop_size": 14}, file)
    longer = CLIPModel(CLIPConfig(text_config=text | {"max_position_embeddings": 40}, vision_config=vision, projection_dim=10)).eval()
    state = model.state_dict()
    key = "text_model.embeddings.position_embedding.weight"
    state[key] = stretched(state[key])
    longer.load_state_dict(state)
    ids = torch.randint(3, 38, (2, 40), generator=torch.Generator().manual_seed(6))
    ids[0, 31], ids[1, 39] = 40, 40
    with torch.no_grad():
        embeds = longer.text_projection(longer.text_model(input_ids=ids).pooler_output)
    answers(path, {"positions": state[key], "input_ids": ids, "text_embeds": embeds})


def synclr(name, wrapper, prefix):
    model = VisionTransformer(
        img_size=21, patch_size=7, embed_dim=128, depth=2, num_heads=2, mlp_ratio=0.15625, num_classes=5,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6)).eval()
    randomise(model, 7)
    path = folder(name)
    state = {f"{prefix}{k}": v.half() for k, v in model.state_dict().items()}
    # What a training leaves beside the encoder.
    state |= {f"{prefix.replace('visual.', '')}projector.0.weight": torch.ones(3, 4), f"{prefix}mask_token": torch.zeros(1, 128)}
    torch.save({"epoch": 3, wrapper: state}, f"{path}/{name}.pth")
    pixels = torch.randn(3, 3, 21, 21, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        x = model.norm_pre(model.pos_drop(model._pos_embed(model.patch_embed(pixels))))
        states = [x]
        for block in model.blocks:
            states.append(block(states[-1]))
        answers(path, {"pixel_values": pixels, "image_embeds": model.norm(states[-1])[:, 0]}
                | {f"hidden.{i}": s for i, s in enumerate(states)})


long_clip()
stretch()
synclr("synclr", "state_dict", "module.visual.")
synclr("synclr-model", "model", "visual.")
print(json.dumps(VERSIONS))
