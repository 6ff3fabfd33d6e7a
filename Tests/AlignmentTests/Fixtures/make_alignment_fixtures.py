"""Makes the alignment fixtures beside this file: a tiny random CLIP and training runs of it in PyTorch and PEFT.

    python make_alignment_fixtures.py          # torch, transformers, peft, safetensors (CPU)

Every case trains 20 steps over three batches. Kept are the start, the first step's loss and gradients, the weights after
one step and after twenty, and every loss. Every axis has another size, so that a swapped axis cannot pass.
"""

import copy
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
from torch import nn
from torch.nn.functional import cross_entropy, normalize
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
VISION = dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=3, num_channels=3,
              image_size=14, patch_size=7, hidden_act="quick_gelu")
EMBEDDING = 13
BATCH, BATCHES, STEPS = 6, 3, 20
# Pairs 1 and 4 of a batch show one real image, and so do pairs 2 and 3 of the last batch.
REAL_IDS = [[0, 1, 2, 3, 1, 5], [0, 1, 2, 3, 1, 5], [0, 1, 2, 2, 1, 5]]
TAU, LR, PROJECTION_LR, DECAY, CLIP = 0.07, 2e-3, 1e-3, 0.01, 1.0


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


def image_features(model, pixels):
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


def text_features(model, ids):
    return model.text_projection(model.text_model(input_ids=ids).pooler_output)


def repeats(ids):
    ids = torch.tensor(ids)
    return (ids[:, None] == ids[None, :]) & ~torch.eye(len(ids), dtype=torch.bool)


def one_direction(a, b, ids):
    logits = normalize(a, dim=-1) @ normalize(b, dim=-1).t() / TAU
    return cross_entropy(logits.masked_fill(repeats(ids), float("-inf")), torch.arange(len(a)))


def symmetric(a, b, ids):
    return (one_direction(a, b, ids) + one_direction(b, a, ids)) / 2


class Head(nn.Module):
    def __init__(self, depth, hidden, norm):
        super().__init__()
        sizes = [EMBEDDING] + [hidden] * (depth - 1) + [EMBEDDING]
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=not norm) for a, b in zip(sizes, sizes[1:]) if depth)
        self.norms = nn.ModuleList(nn.BatchNorm1d(layer.out_features) for layer in self.layers if norm)

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if len(self.norms):
                x = self.norms[i](x)
            if i + 1 < len(self.layers):
                x = nn.functional.gelu(x)
        return x


def heads(depth, hidden=None, norm=False, identity=False, seed=0):
    torch.manual_seed(seed)
    both = nn.ModuleDict({"generated": Head(depth, hidden, norm), "real": Head(depth, hidden, norm)})
    if identity:
        for head in both.values():
            nn.init.eye_(head.layers[0].weight)
            nn.init.zeros_(head.layers[0].bias)
    return both


def clean(state, prefix=""):
    return {prefix + k: v.detach().clone().contiguous() for k, v in state.items() if "num_batches" not in k}


def run(name, data, projection, objective, lora=None, generated_text=0.0, real_text=0.0):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    base = CLIPModel.from_pretrained(os.path.join(HERE, "base")).eval().requires_grad_(False)
    tuned = copy.deepcopy(base)
    if lora:
        wrapped = get_peft_model(tuned, LoraConfig(bias="none", target_modules=r"vision_model\..*\.(q_proj|k_proj|v_proj|out_proj)", **lora))
        generator = torch.Generator().manual_seed(7)
        trained = {}
        for key, parameter in sorted(wrapped.named_parameters()):
            if "lora_" in key:
                # B too: at zero it would hide half of the gradients.
                parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
                trained[key.replace(".default", "")] = parameter
    else:
        trained = {k: p.requires_grad_(True) for k, p in tuned.named_parameters() if k.startswith(("vision_model.", "visual_projection."))}
    projection.train()
    out = {f"start.encoder.{k}": p.detach().clone() for k, p in trained.items()} if lora else {}
    out |= clean(projection.state_dict(), "start.projection.")
    groups = [dict(params=list(trained.values()), lr=LR)]
    if list(projection.parameters()):
        groups.append(dict(params=list(projection.parameters()), lr=PROJECTION_LR))
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=6, T_mult=2)
    losses, norms = [], []
    for step in range(STEPS):
        which = step % BATCHES
        ids = REAL_IDS[which]
        generated = image_features(tuned, data["generated"][which])
        texts = text_features(base, data["input_ids"][which]).detach()
        if objective == "mixed":
            real = image_features(tuned, data["real"][which])
            loss = symmetric(torch.cat([generated, real]), torch.cat([texts, texts]), ids + ids)
        else:
            real = image_features(base, data["real"][which]).detach()
            g, r = projection["generated"](generated), projection["real"](real)
            loss = (one_direction if objective == "generated-to-real" else symmetric)(g, r, ids)
            if generated_text:
                loss = loss + generated_text * symmetric(g, texts, ids)
            if real_text:
                loss = loss + real_text * symmetric(r, texts, ids)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            out |= {f"grad.encoder.{k}": p.grad.clone() for k, p in trained.items()}
            out |= {f"grad.projection.{k}": p.grad.clone() for k, p in projection.named_parameters()}
        norms.append(torch.nn.utils.clip_grad_norm_(list(trained.values()) + list(projection.parameters()), CLIP).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step in (0, STEPS - 1):
            at = f"after{step + 1}."
            out |= {f"{at}encoder.{k}": p.detach().clone() for k, p in trained.items()}
            out |= clean(projection.state_dict(), f"{at}projection.")
    out |= {"losses": torch.tensor(losses, dtype=torch.float64), "norms": torch.tensor(norms, dtype=torch.float64)}
    save_file({k: v.contiguous() for k, v in out.items()}, os.path.join(folder, "expected.safetensors"), metadata=VERSIONS)
    print(name, losses[0], losses[-1])


def main():
    folder = os.path.join(HERE, "base")
    shutil.rmtree(folder, ignore_errors=True)
    model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=EMBEDDING)).eval()
    randomise(model, 31)
    model.save_pretrained(folder)
    generator = torch.Generator().manual_seed(32)
    ids = torch.randint(3, 33, (BATCHES, BATCH, 8), generator=generator)
    ids[:, :, 6] = 35
    data = {
        "generated": torch.randn(BATCHES, BATCH, 3, 14, 14, generator=generator),
        "real": torch.randn(BATCHES, BATCH, 3, 14, 14, generator=generator),
        "input_ids": ids,
    }
    for which, groups in enumerate(REAL_IDS):
        for row, group in enumerate(groups):
            data["real"][which, row] = data["real"][which, groups.index(group)]
    data["real_ids"] = torch.tensor(REAL_IDS)
    save_file(data, os.path.join(HERE, "base", "batches.safetensors"), metadata=VERSIONS)
    run("lora", data, heads(1, identity=True), "generated-to-real", lora=dict(r=4, lora_alpha=6))
    run("lora-text", data, heads(2, hidden=11, norm=True, seed=5), "symmetric", lora=dict(r=3, lora_alpha=3),
        generated_text=0.5, real_text=0.25)
    run("full", data, heads(0), "generated-to-real")
    run("mixed", data, heads(0), "mixed", lora=dict(r=2, lora_alpha=4))


main()
