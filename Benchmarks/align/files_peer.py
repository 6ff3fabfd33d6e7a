"""The Python peer of `gmail align` from JPEG files: transformers' CLIP, PEFT's LoRA, a DataLoader with Pillow.

    python files_peer.py --model DIR --pairs pairs.jsonl --batch 16 --epochs 2 [--workers 2] [--dtype float32|bfloat16]

Each epoch decodes generated and real images of every pair, as nothing is cached; f_r is the model with its adapter
disabled. Prints one JSON line with pairs/s of every epoch, over its steps from the second on: set-up, the workers' start
and the first images are left out.
"""

import argparse
import contextlib
import json
import os
import sys
import time

import numpy
import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names
from peft import LoraConfig, get_peft_model
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPModel

MEAN = numpy.array([0.48145466, 0.4578275, 0.40821073], dtype=numpy.float32)
STD = numpy.array([0.26862954, 0.26130258, 0.27577711], dtype=numpy.float32)


class Pairs(Dataset):
    def __init__(self, path, size):
        self.folder, self.size = os.path.dirname(path), size
        with open(path) as file:
            self.items = [json.loads(line) for line in file]

    def __len__(self):
        return len(self.items)

    def load(self, name):
        image = Image.open(f"{self.folder}/{name}").convert("RGB")
        scale = self.size / min(image.size)
        image = image.resize([max(self.size, int(side * scale)) for side in image.size], Image.BICUBIC)
        left, top = (image.width - self.size) // 2, (image.height - self.size) // 2
        image = image.crop((left, top, left + self.size, top + self.size))
        return torch.from_numpy((numpy.asarray(image, dtype=numpy.float32) / 255 - MEAN) / STD).permute(2, 0, 1)

    def __getitem__(self, index):
        return self.load(self.items[index]["generated"]), self.load(self.items[index]["real"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    a = parser.parse_args()
    torch.manual_seed(0)
    clip = CLIPModel.from_pretrained(a.model).requires_grad_(False).eval()
    targets = r"vision_model\..*\.(q_proj|k_proj|v_proj|out_proj)"
    model = get_peft_model(clip, LoraConfig(r=4, lora_alpha=8, target_modules=targets))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.01)
    autocast = (lambda: torch.autocast("cpu", torch.bfloat16)) if a.dtype == "bfloat16" else contextlib.nullcontext
    data = Pairs(a.pairs, clip.config.vision_config.image_size)
    loader = DataLoader(data, a.batch, shuffle=True, drop_last=True, num_workers=a.workers, persistent_workers=True)

    def features(pixels):
        base = model.base_model.model
        return base.visual_projection(base.vision_model(pixel_values=pixels).pooler_output)

    rates = []
    for _ in range(a.epochs):
        ends = []
        for generated, real in loader:
            with autocast():
                with torch.no_grad(), model.disable_adapter():
                    r = features(real)
                g = features(generated)
            g, r = (torch.nn.functional.normalize(x.float(), dim=-1) for x in (g, r))
            loss = torch.nn.functional.cross_entropy(g @ r.t() / 0.07, torch.arange(len(g)))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            ends.append(time.perf_counter())
        rates.append(a.batch * (len(ends) - 1) / (ends[-1] - ends[0]))
    print(json.dumps({"pairs_per_second": rates, "batch": a.batch, "dtype": a.dtype}))


main()
