#!/usr/bin/env python3
"""PreprocessBench against Pillow, one thread each, run in turn; medians.

    swift build -c release --package-path Benchmarks
    python Benchmarks/preprocess/compare.py FOLDER [--only 640x480] [--rounds 5]

First checks that both compute the same tensors (within half a grey level), then times them.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import PIL

here = pathlib.Path(__file__).resolve().parent
bench = here.parent / ".build" / "release" / "PreprocessBench"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--only", default="640x480")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if not bench.exists():
        sys.exit(f"{bench} is missing: swift build -c release --package-path {here.parent}")
    commands = {
        "gmail": [str(bench)],
        "pillow": [sys.executable, str(here / "pillow_peer.py")],
    }
    common = [arguments.folder, "--only", arguments.only]
    environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

    def run(name, *more):
        done = subprocess.run(commands[name] + common + list(more), env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{name}: {done.stderr}")
        return json.loads(done.stdout)

    with tempfile.TemporaryDirectory() as folder:
        tensors = {}
        for name in commands:
            dump = pathlib.Path(folder) / name
            run(name, "--passes", "1", "--dump", str(dump))
            tensors[name] = np.fromfile(dump, np.float32)
        difference = float(np.abs(tensors["gmail"] - tensors["pillow"]).max())
    if not difference < 0.5 / 255 / 0.28:
        sys.exit(f"the tensors differ by {difference}: not the same work, so nothing to compare")

    results = {name: [] for name in commands}
    for _ in range(arguments.rounds):
        for name in commands:
            results[name].append(run(name))
    print(f"{platform.machine()}, 1 thread, {results['gmail'][0]['images']} JPEGs of {arguments.only}, Pillow "
          f"{PIL.__version__}, median of {arguments.rounds} rounds run in turn, largest difference {difference:.2g}")
    for name, lines in results.items():
        middle = {key: statistics.median(line[key] for line in lines) for key in lines[0] if key != "program"}
        print(f"{name:7} {middle['images_per_second']:7.1f} images/s   decode {middle['decode_ms']:.3f} ms   "
              f"resize {middle['resize_ms']:.3f} ms   normalise {middle['normalize_ms']:.3f} ms")
    ratio = [a["images_per_second"] / b["images_per_second"] for a, b in zip(results["gmail"], results["pillow"])]
    print(f"ratio   {statistics.median(ratio):.2f} (from {min(ratio):.2f} to {max(ratio):.2f})")


main()
