"""The Python peer of CaptionBench: ClipCap's training step on transformers' GPT-2, embeddings and captions in memory.

    python peer.py mlp|transformer tuned|frozen DTYPE BATCH LENGTH REPEATS      # torch, transformers; one JSON line

As CLIP_prefix_caption trains: logits of every position, cross entropy over the captions' tokens, AdamW. bfloat16 is autocast.
"""

import contextlib
import json
import os
import resource
import statistics
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names
from transformers import GPT2Config, GPT2LMHeadModel

kind, language, dtype = sys.argv[1:4]
batch, length, repeats = map(int, sys.argv[4:7])
PREFIX, CLIP_LENGTH, FEATURES, WIDTH = 10, 10, 512, 768


class Attention(nn.Module):
    def __init__(self, heads=8):
        super().__init__()
        self.heads = heads
        self.q, self.kv = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        b, n, c = x.shape
        q = self.q(x).view(b, n, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2, self.attention = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), Attention()
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.ReLU(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(FEATURES, CLIP_LENGTH * WIDTH)
        self.learned = nn.Parameter(torch.randn(PREFIX, WIDTH))
        self.layers = nn.Sequential(*[Layer() for _ in range(8)])

    def forward(self, x):
        x = self.linear(x).view(len(x), CLIP_LENGTH, WIDTH)
        return self.layers(torch.cat([x, self.learned.expand(len(x), -1, -1)], 1))[:, CLIP_LENGTH:]


torch.manual_seed(0)
gpt = GPT2LMHeadModel(GPT2Config()).train(language == "tuned").requires_grad_(language == "tuned")
mapper = (
    nn.Sequential(nn.Linear(FEATURES, WIDTH * PREFIX // 2), nn.Tanh(), nn.Linear(WIDTH * PREFIX // 2, WIDTH * PREFIX))
    if kind == "mlp"
    else Transformer()
)
autocast = (lambda: torch.autocast("cpu", torch.bfloat16)) if dtype == "bfloat16" else contextlib.nullcontext
trained = [p for p in [*gpt.parameters(), *mapper.parameters()] if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=2e-5, weight_decay=0.0)
tokens = torch.randint(1, 50257, (batch, length))
mask = torch.ones(batch, PREFIX + length)
features = torch.randn(batch, FEATURES)


def step():
    with autocast():
        inputs = torch.cat([mapper(features).view(batch, PREFIX, WIDTH), gpt.transformer.wte(tokens)], 1)
        logits = gpt(inputs_embeds=inputs, attention_mask=mask).logits[:, PREFIX - 1 : -1]
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]).float(), tokens.flatten(), ignore_index=0)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


step()
times = []
for _ in range(repeats):
    start = time.perf_counter()
    step()
    times.append(time.perf_counter() - start)
median = statistics.median(times)
print(json.dumps({
    "mapper": kind, "language_model": language, "dtype": dtype, "batch": batch, "length": length, "step_seconds": median,
    "samples_per_second": batch / median, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
}))
