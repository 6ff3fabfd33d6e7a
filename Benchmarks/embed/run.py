"""Embedding, ours against open_clip, in one run: end to end, model alone, in turn, medians of --rounds.

    python run.py --data DIR --gmail PATH --bench PATH [--rounds 3] [--dtype float32|bfloat16]

--data   the folder of make_data.py     --gmail  .build/release/gmail     --bench  Benchmarks' ModelBench
The peer runs in the Python that runs this script.
"""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def line(command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--gmail", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="float32")
    a = parser.parse_args()
    photos = sorted(glob.glob(f"{a.data}/photos-*"))[0]
    model = f"{a.data}/clip-vit-base-patch32"
    peer = [sys.executable, f"{HERE}/peer.py"]
    out = tempfile.mkdtemp()
    runs = {
        "end to end, ours": [a.gmail, "embed", "--model", model, "--images", photos, "--out", f"{out}/f.safetensors",
                             "--dtype", a.dtype, "--json", "--quiet"],
        "end to end, open_clip": peer + ["e2e", "--photos", photos, "--dtype", a.dtype],
        "model, ours": [a.bench, "embed", a.dtype, "64", "3"],
        "model, open_clip": peer + ["model", "--photos", photos, "--dtype", a.dtype],
        "model, open_clip tuned": peer + ["model", "--photos", photos, "--dtype", a.dtype, "--tuned"],
    }
    if a.dtype != "float32":
        runs["end to end, open_clip float32"] = peer + ["e2e", "--photos", photos, "--dtype", "float32"]
    rates = {name: [] for name in runs}
    shares = []
    for _ in range(a.rounds):
        for name, command in runs.items():
            measured = line(command)
            rates[name].append(measured["images_per_second"])
            if "share_of_gemm_peak" in measured:
                shares.append(measured["share_of_gemm_peak"])
    for name, values in rates.items():
        print(f"{name:30s} {statistics.median(values):7.2f} images/s  ({min(values):.2f} to {max(values):.2f})")
    def ratio(x, y):
        return statistics.median(u / v for u, v in zip(rates[x], rates[y]))
    if a.dtype != "float32":
        print(f"end to end {ratio('end to end, ours', 'end to end, open_clip float32'):.2f}x open_clip in float32")
    print(f"end to end {ratio('end to end, ours', 'end to end, open_clip'):.2f}x, "
          f"model {ratio('model, ours', 'model, open_clip'):.2f}x open_clip, "
          f"{ratio('model, ours', 'model, open_clip tuned'):.2f}x tuned; share of the GEMM peak {statistics.median(shares):.2f}")


main()
