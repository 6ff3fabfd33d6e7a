"""SigLIP's image embeddings, ours against transformers, in one run: model alone, in turn, medians of --rounds.

    python siglip.py --bench PATH [--rounds 3] [--dtype float32|bfloat16] [--batch 16]

--bench  Benchmarks' ModelBench. The peer is transformers' SiglipModel (siglip-base-patch16-224's size, random weights) in the Python
that runs this script: as it is, and tuned: torch.set_float32_matmul_precision("medium"), weights held in bfloat16.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def peer(dtype, batch, tuned):
    import torch

    sys.path.insert(0, os.path.dirname(HERE))
    import torchvision_names
    from transformers import SiglipVisionConfig, SiglipVisionModel

    torch.manual_seed(0)
    if tuned:
        torch.set_float32_matmul_precision("medium")
    model = SiglipVisionModel(SiglipVisionConfig()).eval()
    held = torch.bfloat16 if tuned and dtype == "bfloat16" else torch.float32
    model.to(held)
    autocast = torch.autocast("cpu", torch.bfloat16) if dtype == "bfloat16" and not tuned else contextlib.nullcontext()
    pixels = torch.randn(batch, 3, 224, 224)

    @torch.inference_mode()
    def run():
        with autocast:
            features = model(pixel_values=pixels.to(held)).pooler_output
        torch.nn.functional.normalize(features.float(), dim=-1)

    run()
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    print(json.dumps({"images_per_second": batch / statistics.median(times)}))


def line(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--peer", choices=["default", "tuned"], help="be the peer")
    a = parser.parse_args()
    if a.peer:
        return peer(a.dtype, a.batch, a.peer == "tuned")
    own = [sys.executable, os.path.abspath(__file__), "--dtype", a.dtype, "--batch", str(a.batch), "--peer"]
    runs = {
        "ours": [a.bench, "siglip", a.dtype, str(a.batch), "3"],
        "transformers": own + ["default"],
        "transformers tuned": own + ["tuned"],
    }
    rates = {name: [] for name in runs}
    for _ in range(a.rounds):
        for name, command in runs.items():
            rates[name].append(line(command)["images_per_second"])
    for name, values in rates.items():
        print(f"{name:20s} {statistics.median(values):7.2f} images/s  ({min(values):.2f} to {max(values):.2f})")

    def ratio(other):
        return statistics.median(u / v for u, v in zip(rates["ours"], rates[other]))

    print(f"{a.dtype}: {ratio('transformers'):.2f}x transformers, {ratio('transformers tuned'):.2f}x tuned")


main()
