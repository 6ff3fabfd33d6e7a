"""The Python peer: open_clip ViT-B/32 as its users run it. Prints one JSON line.

    python peer.py e2e|model|preprocess --photos DIR [--dtype float32|bfloat16] [--batch 64] [--workers 2] [--tuned]

--tuned  sets what a practitioner who knows may set: torch.set_float32_matmul_precision("medium"), weights held in bf16.
"""

import argparse
import contextlib
import glob
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names
import open_clip
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Folder(Dataset):
    def __init__(self, files, transform):
        self.files, self.transform = files, transform

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return self.transform(Image.open(self.files[index]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["e2e", "model", "preprocess"])
    parser.add_argument("--photos", required=True)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tuned", action="store_true")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.tuned:
        torch.set_float32_matmul_precision("medium")
    files = sorted(glob.glob(f"{arguments.photos}/*.jpg"))
    model, _, transform = open_clip.create_model_and_transforms("ViT-B-32-quickgelu", pretrained=None)
    model.eval()
    if arguments.tuned and arguments.dtype == "bfloat16":
        model.to(torch.bfloat16)
    autocast = torch.autocast("cpu", torch.bfloat16) if arguments.dtype == "bfloat16" and not arguments.tuned else contextlib.nullcontext()
    weights_dtype = next(model.parameters()).dtype
    count = len(files)

    @torch.inference_mode()
    def embed(batches):
        for batch in batches:
            with autocast:
                features = model.encode_image(batch.to(weights_dtype))
            torch.nn.functional.normalize(features.float(), dim=-1)

    if arguments.mode == "model":
        batch = torch.randn(arguments.batch, 3, 224, 224)
        embed([batch])
        start = time.perf_counter()
        embed([batch] * (count // arguments.batch))
        count = count // arguments.batch * arguments.batch
    elif arguments.mode == "preprocess":
        torch.set_num_threads(1)
        dataset = Folder(files, transform)
        dataset[0]
        start = time.perf_counter()
        for index in range(count):
            dataset[index]
    else:
        start = time.perf_counter()
        embed(DataLoader(Folder(files, transform), arguments.batch, num_workers=arguments.workers))
    seconds = time.perf_counter() - start
    print(json.dumps({"images_per_second": count / seconds, "images": count, "seconds": seconds}))


main()
