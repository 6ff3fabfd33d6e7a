"""The Python peer of ModelBench's `align`: transformers' CLIP and PEFT's LoRA, one training step on a batch in memory.

    python peer.py DTYPE BATCH REPEATS computed|cached [--tuned]      # torch, transformers, peft; prints one JSON line

LoRA of rank 4 on q, k, v and out of the image tower, Eq. 1, AdamW, clipping. f_r is the model with its adapter disabled,
computed in the step or once before. --tuned sets torch.set_float32_matmul_precision("medium").
"""

import contextlib
import json
import os
import statistics
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names
from peft import LoraConfig, get_peft_model
from transformers import CLIPConfig, CLIPModel

dtype, batch, repeats, real = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
if "--tuned" in sys.argv:
    torch.set_float32_matmul_precision("medium")
torch.manual_seed(0)
clip = CLIPModel(CLIPConfig()).requires_grad_(False).eval()
model = get_peft_model(clip, LoraConfig(r=4, lora_alpha=8, target_modules=r"vision_model\..*\.(q_proj|k_proj|v_proj|out_proj)"))
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
autocast = (lambda: torch.autocast("cpu", torch.bfloat16)) if dtype == "bfloat16" else contextlib.nullcontext
generated, originals = torch.randn(batch, 3, 224, 224), torch.randn(batch, 3, 224, 224)
targets = torch.arange(batch)


def features(pixels):
    base = model.base_model.model
    return base.visual_projection(base.vision_model(pixel_values=pixels).pooler_output)


def frozen():
    with torch.no_grad(), model.disable_adapter(), autocast():
        return features(originals)


kept = frozen()


def step():
    with autocast():
        g = features(generated)
    r = kept if real == "cached" else frozen()
    g, r = (torch.nn.functional.normalize(x.float(), dim=-1) for x in (g, r))
    loss = torch.nn.functional.cross_entropy(g @ r.t() / 0.07, targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained, 1.0)
    optimizer.step()
    optimizer.zero_grad()


step()
times = []
for _ in range(repeats):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
print(json.dumps({"pairs_per_second": batch / statistics.median(times), "batch": batch, "dtype": dtype, "real": real}))
