"""transformers' side of the language model benchmark: the requests and answers of LanguageModelBench, one per line.

    python peer.py FOLDER PREFIXES
"""
import json, resource, sys, time

import os
import sys
import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names

import torch.nn.functional as F
from safetensors.torch import load_file
from transformers import GPT2LMHeadModel

model = GPT2LMHeadModel.from_pretrained(sys.argv[1]).eval()
prefixes = load_file(sys.argv[2])["prefixes"]
trained = optimizer = None


def caption(batch, length):
    start = time.perf_counter()
    with torch.inference_mode():
        tokens = model.generate(inputs_embeds=prefixes[:batch], attention_mask=torch.ones(batch, prefixes.shape[1], dtype=torch.long),
                                num_beams=5, do_sample=False, max_new_tokens=length, eos_token_id=None, pad_token_id=0)
    return {"seconds": time.perf_counter() - start, "tokens": tokens.tolist()}


def train(batch, length):
    global trained, optimizer
    if trained is None:
        trained = GPT2LMHeadModel.from_pretrained(sys.argv[1]).train()
        optimizer = torch.optim.AdamW(trained.parameters(), lr=2e-5)
    ids = torch.tensor([1 + i * 7919 % 50000 for i in range(batch * length)]).view(batch, length)
    prefix = prefixes[:batch].clone().requires_grad_()
    start = time.perf_counter()
    embeddings = torch.cat([prefix, trained.transformer.wte(ids)], 1)
    logits = trained(inputs_embeds=embeddings).logits[:, prefixes.shape[1] - 1:-1]
    loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), ids.flatten(), ignore_index=0)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return {"seconds": time.perf_counter() - start, "loss": loss.item()}


for line in sys.stdin:
    words = line.split()
    if words[0] == "caption":
        answer = caption(int(words[1]), int(words[2]))
    elif words[0] == "train":
        answer = train(int(words[1]), int(words[2]))
    elif words[0] == "memory":
        answer = {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
                  "weights": sum(p.numel() * p.element_size() for p in model.parameters())}
    else:
        answer = {}
    print(json.dumps(answer), flush=True)
