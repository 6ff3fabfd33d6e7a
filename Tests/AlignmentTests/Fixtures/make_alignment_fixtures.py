"""Makes the alignment fixtures beside this file: a tiny random CLIP, a SigLIP, a Long-CLIP, a SynCLR, and training runs of them in PyTorch and PEFT.

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
from torch.nn.functional import cross_entropy, logsigmoid, normalize
from transformers import AutoModel, CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

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
SIGLIP_TEXT = dict(vocab_size=37, hidden_size=16, intermediate_size=20, num_hidden_layers=1, num_attention_heads=2,
                   max_position_embeddings=8, projection_size=24)
SIGLIP_VISION = dict(hidden_size=24, intermediate_size=36, num_hidden_layers=2, num_attention_heads=3, image_size=14,
                     patch_size=7)
LONG_TEXT = TEXT | dict(max_position_embeddings=25)
EMBEDDING = 13
BATCH, BATCHES, STEPS = 6, 3, 20
# Pairs 1 and 4 of a batch show one real image, and so do pairs 2 and 3 of the last batch.
REAL_IDS = [[0, 1, 2, 3, 1, 5], [0, 1, 2, 3, 1, 5], [0, 1, 2, 2, 1, 5]]
# Of the text side in the manner of Long-CLIP: positions that stay, components of six images, temperature, smoothing.
KEPT, COMPONENTS, TEXT_TAU, SMOOTHING = 20, 3, 0.05, 0.1
TAU, LR, PROJECTION_LR, DECAY, CLIP = 0.07, 2e-3, 1e-3, 0.01, 1.0


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("logit_scale"):
                parameter.fill_(2.5)
            elif name.endswith("logit_bias"):
                parameter.fill_(-6.5)
            elif "norm" in name:
                parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
            elif parameter.dim() < 2:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(noise * parameter.shape[-1] ** -0.5)


def image_features(model, pixels):
    if isinstance(model, ViT):
        return model(pixels)
    if model.config.model_type == "siglip":
        return model.vision_model(pixel_values=pixels).pooler_output
    return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)


def text_features(model, ids):
    if model.config.model_type == "siglip":
        return model.text_model(input_ids=ids).pooler_output
    return model.text_projection(model.text_model(input_ids=ids).pooler_output)


def repeats(ids):
    ids = torch.tensor(ids)
    return (ids[:, None] == ids[None, :]) & ~torch.eye(len(ids), dtype=torch.bool)


def one_direction(a, b, ids):
    logits = normalize(a, dim=-1) @ normalize(b, dim=-1).t() / TAU
    return cross_entropy(logits.masked_fill(repeats(ids), float("-inf")), torch.arange(len(a)))


def symmetric(a, b, ids):
    return (one_direction(a, b, ids) + one_direction(b, a, ids)) / 2


def sigmoid(a, b, ids, scale):
    """SigLIP's loss, where pairs that show one real image are no negatives of each other."""
    logits = normalize(a, dim=-1) @ normalize(b, dim=-1).t() * scale["logit_scale"].exp() + scale["logit_bias"]
    terms = logsigmoid(logits * (2 * torch.eye(len(a)) - 1)).masked_fill(repeats(ids), 0)
    return -terms.sum() / len(a)


def smoothed(logits, ids):
    """Both directions; what is excluded takes part in nothing."""
    def direction(rows):
        excluded = repeats(ids)
        chances = rows.masked_fill(excluded, float("-inf")).log_softmax(1)
        count = (~excluded).sum(1, keepdim=True)
        targets = torch.eye(len(ids)) * (1 - SMOOTHING) + torch.where(excluded, 0.0, SMOOTHING / count)
        return -(targets * chances.masked_fill(excluded, 0)).sum(1).mean()
    return (direction(logits) + direction(logits.t())) / 2


def principal(features):
    """Long-CLIP's PCA: the batch's first components by a singular value decomposition, and back."""
    mean = features.mean(0)
    centred = features - mean
    _, _, rows = torch.linalg.svd(centred, full_matrices=False)
    directions = rows.t()[:, :COMPONENTS]
    return centred @ directions @ directions.t() + mean


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        for name in ("k_proj", "v_proj", "q_proj", "out_proj"):
            setattr(self, name, nn.Linear(width, width))

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width, heads, inner):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, inner), "fc2": nn.Linear(inner, width)})

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp["fc2"](nn.functional.gelu(self.mlp["fc1"](self.layer_norm2(x))))


class ViT(nn.Module):
    """timm's vision transformer with query, key and value apart, as adapters want them."""
    def __init__(self, width=64, heads=1, inner=20, depth=2, patch=7, positions=5):
        super().__init__()
        self.cls_token, self.pos_embed = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, positions, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(Block(width, heads, inner) for _ in range(depth))})
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, pixels):
        x = self.patch_embed["proj"](pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        for layer in self.encoder["layers"]:
            x = layer(x)
        return self.norm(x)[:, 0]

    def timm_state(self):
        out = {}
        for key, value in self.state_dict().items():
            key = key.replace("encoder.layers.", "blocks.").replace("layer_norm", "norm").replace("self_attn.out_proj", "attn.proj")
            if "q_proj" in key:
                parts = [self.state_dict()[key.replace("blocks.", "encoder.layers.").replace("q_proj", n)] for n in ("q_proj", "k_proj", "v_proj")]
                key, value = key.replace("self_attn.q_proj", "attn.qkv"), torch.cat(parts)
            elif "k_proj" in key or "v_proj" in key:
                continue
            out[key] = value
        return out


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


def run(name, data, projection, objective, lora=None, generated_text=0.0, real_text=0.0, short_text=0.0, base="base", targets=r"vision_model\..*\."):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    if isinstance(base, str):
        base = AutoModel.from_pretrained(os.path.join(HERE, base))
    base = base.eval().requires_grad_(False)
    tuned = copy.deepcopy(base)
    if lora:
        wrapped = get_peft_model(tuned, LoraConfig(bias="none", target_modules=targets + "(q_proj|k_proj|v_proj|out_proj)", **lora))
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
    scale = {}
    if objective == "sigmoid":
        own = base.state_dict()
        scale = {k: own[k].reshape(()).clone().requires_grad_(True) for k in ("logit_scale", "logit_bias")}
        groups.append(dict(params=list(scale.values()), lr=LR, weight_decay=0.0))
    positions, trained_positions = None, {}
    if short_text:
        positions = base.text_model.embeddings.position_embedding
        first = positions.weight[:KEPT].clone()
        trained_positions = {"position_embedding_res": positions.weight[KEPT:].clone().requires_grad_(True)}
        groups.append(dict(params=list(trained_positions.values()), lr=PROJECTION_LR))
        del positions.weight
    optimizer = torch.optim.AdamW(groups, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=6, T_mult=2)
    losses, norms = [], []
    for step in range(STEPS):
        which = step % BATCHES
        ids = REAL_IDS[which]
        generated = image_features(tuned, data["generated"][which])
        if positions:
            positions.weight = torch.cat([first, trained_positions["position_embedding_res"]])
            texts, shorts = (text_features(base, data[key][which]) for key in ("long_ids", "short_ids"))
        elif not isinstance(base, ViT):
            texts = text_features(base, data["input_ids"][which]).detach()
        if objective == "mixed":
            real = image_features(tuned, data["real"][which])
            loss = symmetric(torch.cat([generated, real]), torch.cat([texts, texts]), ids + ids)
        else:
            real = image_features(base, data["real"][which]).detach()
            g, r = projection["generated"](generated), projection["real"](real)
            pairwise = (lambda a, b, ids: sigmoid(a, b, ids, scale)) if scale else symmetric
            loss = (one_direction if objective == "generated-to-real" else pairwise)(g, r, ids)
            if short_text:
                unit, text = normalize(g, dim=-1), normalize(texts, dim=-1)
                loss = loss + generated_text * smoothed(unit @ text.t() / TEXT_TAU, ids)
                loss = loss + short_text * smoothed(principal(unit) @ normalize(shorts, dim=-1).t() / TEXT_TAU, ids)
            elif generated_text:
                loss = loss + generated_text * pairwise(g, texts, ids)
            if real_text:
                loss = loss + real_text * pairwise(r, texts, ids)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            out |= {f"grad.encoder.{k}": p.grad.clone() for k, p in trained.items()}
            out |= {f"grad.projection.{k}": p.grad.clone() for k, p in projection.named_parameters()}
            out |= {f"grad.loss.{k}": p.grad.clone() for k, p in scale.items()}
            out |= {f"grad.text.{k}": p.grad.clone() for k, p in trained_positions.items()}
        everything = list(trained.values()) + list(projection.parameters()) + list(scale.values()) + list(trained_positions.values())
        norms.append(torch.nn.utils.clip_grad_norm_(everything, CLIP).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step in (0, STEPS - 1):
            at = f"after{step + 1}."
            out |= {f"{at}encoder.{k}": p.detach().clone() for k, p in trained.items()}
            out |= clean(projection.state_dict(), f"{at}projection.")
            out |= {f"{at}loss.{k}": p.detach().clone() for k, p in scale.items()}
            out |= {f"{at}text.{k}": p.detach().clone() for k, p in trained_positions.items()}
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
    siglip = SiglipModel(SiglipConfig(text_config=SIGLIP_TEXT, vision_config=SIGLIP_VISION)).eval()
    randomise(siglip, 41)
    shutil.rmtree(os.path.join(HERE, "siglip-base"), ignore_errors=True)
    siglip.save_pretrained(os.path.join(HERE, "siglip-base"))
    own = dict(base="siglip-base", targets=r"vision_model\.encoder\..*\.")
    run("siglip", data, heads(0), "generated-to-real", lora=dict(r=3, lora_alpha=5), **own)
    run("siglip-sigmoid", data, heads(0), "sigmoid", lora=dict(r=2, lora_alpha=6), generated_text=0.5, real_text=0.25, **own)
    long = CLIPModel(CLIPConfig(text_config=LONG_TEXT, vision_config=VISION, projection_dim=EMBEDDING)).eval()
    randomise(long, 51)
    shutil.rmtree(os.path.join(HERE, "long-base"), ignore_errors=True)
    long.save_pretrained(os.path.join(HERE, "long-base"))
    generator = torch.Generator().manual_seed(52)
    texts = {}
    for key, ends in [("long_ids", [24, 22, 23, 24, 21, 24]), ("short_ids", [5, 9, 3, 7, 22, 4])]:
        texts[key] = torch.randint(3, 33, (BATCHES, BATCH, 25), generator=generator)
        for row, end in enumerate(ends):
            texts[key][:, row, end:] = 35
    save_file(texts, os.path.join(HERE, "long-base", "texts.safetensors"), metadata=VERSIONS)
    run("long-clip", data | texts, heads(1, identity=True), "generated-to-real", lora=dict(r=2, lora_alpha=4), generated_text=0.5,
        short_text=0.75, base="long-base")
    vit = ViT()
    randomise(vit, 61)
    shutil.rmtree(os.path.join(HERE, "synclr-base"), ignore_errors=True)
    os.makedirs(os.path.join(HERE, "synclr-base"))
    torch.save({"model": {f"visual.{k}": v for k, v in vit.timm_state().items()}}, os.path.join(HERE, "synclr-base", "synclr.pth"))
    run("synclr", data, heads(0), "generated-to-real", lora=dict(r=2, lora_alpha=3), base=vit, targets=r"encoder\..*\.")
    run("mixed", data, heads(0), "mixed", lora=dict(r=2, lora_alpha=4))


main()
