"""PyTorch's layers on small inputs, and files of torch.save in the layouts that training programs write.

Run: python make_torchnn_fixtures.py   (torch 2.13.0, transformers 5.24.0, safetensors 0.8.0)

Writes layers.safetensors and pickles/*.pt beside this script. Every axis has another size, so that a swapped axis cannot
pass.
"""

import os
import zipfile
from collections import OrderedDict

import torch
from safetensors.torch import save_file
from torch import nn
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

HERE = os.path.dirname(os.path.abspath(__file__))
generator = torch.Generator().manual_seed(7)


def random(*shape):
    return torch.randn(shape, generator=generator)


def fill(module):
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.copy_(random(*tensor.shape))
    return module


tensors = {}


def keep(name, module, x, y=None):
    tensors[f"{name}.x"] = x
    tensors[f"{name}.y"] = module(x) if y is None else y
    for key, value in module.state_dict().items():
        tensors[f"{name}.{key}"] = value.clone()


with torch.no_grad():
    keep("linear", fill(nn.Linear(5, 7)), random(2, 3, 5))
    keep("linear-plain", fill(nn.Linear(5, 7, bias=False)), random(2, 3, 5))
    keep("conv1d", fill(Conv1D(7, 5)), random(2, 3, 5))
    keep("norm", fill(nn.LayerNorm(6)), 0.01 * random(2, 3, 6))  # so small that eps is seen
    keep("norm-wide-eps", fill(nn.LayerNorm(6, eps=0.5)), random(2, 3, 6))
    keep("embedding", fill(nn.Embedding(11, 4)), torch.tensor([[3, 10, 0], [7, 3, 1]]))
    keep("convolution", fill(nn.Conv2d(3, 5, 3)), random(2, 3, 9, 8))
    keep("convolution-strided", fill(nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False)), random(2, 3, 9, 8))

    # In training twice, then at rest: output and running statistics after each.
    batch = fill(nn.BatchNorm1d(4, momentum=0.3, eps=0.2))
    for step in range(2):
        x = random(5, 4) * 2 + 1
        tensors[f"batch.{step}.x"], tensors[f"batch.{step}.y"] = x, batch(x)
        tensors[f"batch.{step}.mean"] = batch.running_mean.clone()
        tensors[f"batch.{step}.variance"] = batch.running_var.clone()
    batch.eval()
    tensors["batch.weight"], tensors["batch.bias"] = batch.weight.clone(), batch.bias.clone()
    x = random(3, 4)
    tensors["batch.rest.x"], tensors["batch.rest.y"] = x, batch(x)

    x = torch.cat([random(2, 9) * 3, torch.tensor([[0.0, -0.0, 30, -30, 1e-3, -1e-3, 1, -1, -1.702]])])
    tensors["activation.x"] = x
    for name in ["gelu", "quick_gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"]:
        tensors[f"activation.{name}"] = ACT2FN[name](x)

save_file({name: value.detach().contiguous() for name, value in tensors.items()}, os.path.join(HERE, "layers.safetensors"))


def state(prefix="", first=0):
    return OrderedDict(
        [(f"{prefix}weight", torch.arange(first, first + 6).float().reshape(3, 2)), (f"{prefix}bias", torch.ones(3) * first)])


model = nn.Linear(2, 3)
optimizer = torch.optim.AdamW(model.parameters())
model(torch.ones(1, 2)).sum().backward()
optimizer.step()
mixed = state("module.")
mixed["head"] = torch.ones(2)

files = {
    "alone": state(),
    "parameters": OrderedDict((name, nn.Parameter(value)) for name, value in state().items()),
    "state_dict": {"epoch": 3, "state_dict": state()},
    "model": {"model": state(), "optimizer": optimizer.state_dict(), "args": {"lr": 0.1}},
    "model_state_dict": {"epoch": 3, "model_state_dict": state(), "loss": 0.5, "optimizer_state_dict": optimizer.state_dict()},
    "module": {"module": state(), "global_steps": 100},
    "parallel": state("module."),
    "compiled": state("_orig_mod."),
    "parallel-compiled": {"step": 5, "model": state("module._orig_mod.")},
    "parallel-in-part": mixed,
    "two": {"model": state(), "state_dict": state(first=20), "epoch": 1},
    "other-name": {"net": state(), "epoch": 3},
    "averaged": {"model": state(), "model_ema": state(first=20), "epoch": 3},
    "beside": {**state(), "epoch": 3},
}
os.makedirs(os.path.join(HERE, "pickles"), exist_ok=True)
for name, contents in files.items():
    torch.save(contents, os.path.join(HERE, "pickles", f"{name}.pt"))


def packed(name, record):
    """`alone.pt` with one record of 32 MiB of zeros, which the container packs a thousandfold."""
    path = os.path.join(HERE, "pickles", "alone.pt")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(os.path.join(HERE, "pickles", f"{name}.pt"), "w") as out:
        for entry in source.infolist():
            is_bomb = entry.filename.endswith(record)
            out.writestr(
                zipfile.ZipInfo(entry.filename), bytes(32 << 20) if is_bomb else source.read(entry),
                compress_type=zipfile.ZIP_DEFLATED if is_bomb else zipfile.ZIP_STORED, compresslevel=9)


packed("bomb-storage", "/data/0")
packed("bomb-pickle", "/data.pkl")
print(len(tensors), "tensors,", len(files), "files")
