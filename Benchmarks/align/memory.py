"""Peak memory of `gmail align`: batch 64 at once, and batch 1,024 by gradient caching in pieces of 64.

    python memory.py --gmail PATH [--size 64] [--width 192] [--layers 6]      # torch, transformers (for the model), pillow

A random CLIP of middle size and pictures of its own, so that it takes minutes, not hours. Prints the peak resident size
(ru_maxrss) of each run and what the pixels and features of a batch of 1,024 take.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile

import numpy
import torch

_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gmail", required=True)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1)
    a = parser.parse_args()
    root = tempfile.mkdtemp(prefix="gmail-align-memory-")
    try:
        model(f"{root}/model", a)
        rng = numpy.random.default_rng(0)
        with open(f"{root}/pairs.jsonl", "w") as file:
            for index in range(1024):
                for kind in "rg":
                    noise = rng.integers(0, 256, (13, 14, 3)).astype("uint8")
                    Image.fromarray(noise).resize((a.size + 16, a.size + 8)).save(f"{root}/{kind}{index}.jpg", quality=85)
                file.write(json.dumps({"id": f"p{index}", "caption": "x", "real": f"r{index}.jpg",
                                       "generated": f"g{index}.jpg"}) + "\n")
        peaks = {}
        for batch, micro in ((64, None), (1024, 64)):
            command = [
                a.gmail, "align", "--recipe", "gmail", "--model", f"{root}/model", "--pairs", f"{root}/pairs.jsonl", "--out",
                f"{root}/run-{batch}", "--cache", f"{root}/cache", "--quiet", "--set", f"training.batchSize={batch}", "--set",
                f"training.steps={a.steps * (1 if batch > 64 else 4)}", "--set", "training.precision=float32"]
            if micro:
                command += ["--set", f"training.microBatchSize={micro}"]
            process = subprocess.Popen(command, env=os.environ | {"XDG_CACHE_HOME": f"{root}/xdg"})
            _, status, usage = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"exit status {status}")
            peaks[batch] = usage.ru_maxrss / 1024
            print(f"batch {batch:4d}{' in pieces of 64' if micro else '':16s}: peak {peaks[batch]:7.1f} MiB, "
                  f"{usage.ru_utime:.0f} s of CPU", flush=True)
        pixels = 1024 * 3 * a.size * a.size * 4 / 2**20
        features = 2 * 1024 * 128 * 4 / 2**20
        print(f"difference {peaks[1024] - peaks[64]:+.1f} MiB; a batch of 1,024 has {pixels:.0f} MiB of pixels and "
              f"{features:.1f} MiB of features")
    finally:
        shutil.rmtree(root)


main()
