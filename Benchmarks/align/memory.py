"""Peak memory of `gmail align`: batch 64 at once, and batch 1,024 by gradient caching in micro-batches.

    python memory.py --gmail PATH [--size 64] [--width 192] [--layers 6]      # torch, transformers (for the model), pillow
    python memory.py --gmail PATH --data DIR [--steps 1] [--micro 16]         # ViT-B/32 size: tens of minutes on two cores

Without --data a random CLIP of middle size and pictures of its own, so that it takes minutes, not hours. --data is the folder
of Benchmarks/embed/make_data.py: its model, and pairs of its photos, each photo in several pairs; the features of the frozen
f_r are computed once per photo, before the first step, and come from the cache. Prints the peak resident size (ru_maxrss) of
each run and what the pixels and features of a batch of 1,024 take.
"""

import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy
import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names
from PIL import Image
from transformers import CLIPConfig, CLIPModel


def model(folder, a):
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=dict(vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                         eos_token_id=99, bos_token_id=98, pad_token_id=99),
        vision_config=dict(hidden_size=a.width, intermediate_size=4 * a.width, num_hidden_layers=a.layers,
                           num_attention_heads=4, image_size=a.size, patch_size=8),
        projection_dim=128)
    CLIPModel(config).save_pretrained(folder)
    settings = {
        "do_resize": True, "size": {"shortest_edge": a.size}, "resample": 3, "do_center_crop": True, "crop_size": a.size,
        "do_rescale": True, "do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    with open(f"{folder}/preprocessor_config.json", "w") as file:
        json.dump(settings, file)


def pictures(root, a):
    """The model and 1,024 pairs."""
    if a.data:
        os.symlink(os.path.abspath(f"{a.data}/clip-vit-base-patch32"), f"{root}/model")
        photos = [os.path.abspath(p) for p in sorted(glob.glob(f"{glob.glob(a.data + '/photos-*')[0]}/*.jpg"))]
    else:
        model(f"{root}/model", a)
    rng = numpy.random.default_rng(0)
    with open(f"{root}/pairs.jsonl", "w") as file:
        for index in range(1024):
            for number, kind in enumerate("rg"):
                path = f"{root}/{kind}{index}.jpg"
                if a.data:
                    os.symlink(photos[(2 * index + number) % len(photos)], path)
                else:
                    noise = rng.integers(0, 256, (13, 14, 3)).astype("uint8")
                    Image.fromarray(noise).resize((a.size + 16, a.size + 8)).save(path, quality=85)
            file.write(json.dumps({"id": f"p{index}", "caption": "x", "real": f"r{index}.jpg",
                                   "generated": f"g{index}.jpg"}) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gmail", required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--data")
    parser.add_argument("--steps", type=int, default=1, help="of batch 1,024")
    parser.add_argument("--small-steps", type=int, default=4, help="of batch 64")
    parser.add_argument("--micro", default="64,16", help="micro-batch sizes, separated by commas")
    a = parser.parse_args()
    root = tempfile.mkdtemp(prefix="gmail-align-memory-")
    try:
        pictures(root, a)
        peaks = {}
        for batch, micro in [(64, None)] + [(1024, int(size)) for size in a.micro.split(",")]:
            steps = a.steps if micro else a.small_steps
            command = [
                a.gmail, "align", "--recipe", "gmail", "--model", f"{root}/model", "--pairs", f"{root}/pairs.jsonl", "--out",
                f"{root}/run-{batch}-{micro}", "--cache", f"{root}/cache", "--quiet", "--set",
                f"training.batchSize={batch}", "--set", f"training.steps={steps}", "--set", "training.precision=float32"]
            if micro:
                command += ["--set", f"training.microBatchSize={micro}"]
            start = time.perf_counter()
            process = subprocess.Popen(command, env=os.environ | {"XDG_CACHE_HOME": f"{root}/xdg"})
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"exit status {status}")
            peaks[batch, micro] = usage.ru_maxrss / 1024
            print(f"batch {batch:4d}{f' in micro-batches of {micro}' if micro else '':24s}: peak "
                  f"{usage.ru_maxrss / 1024:7.1f} MiB ({usage.ru_maxrss / 1024 - peaks[64, None]:+.1f}), {steps} steps, "
                  f"{time.perf_counter() - start:.0f} s, {usage.ru_utime:.0f} s of CPU", flush=True)
        with open(f"{root}/model/config.json") as file:
            config = json.load(file)
        values = 1024 * 3 * config["vision_config"]["image_size"] ** 2 / 2**20
        features = 2 * 1024 * config["projection_dim"] * 4 / 2**20
        print(f"a batch of 1,024 has {4 * values:.0f} MiB of pixels as floats, {values:.0f} MiB as bytes, and "
              f"{features:.1f} MiB of features")
    finally:
        shutil.rmtree(root)


main()
