"""Alignment from JPEG files, ours against transformers + PEFT, in one run and in turn.

    python files.py --data DIR --gmail PATH [--pairs 96] [--batch 16] [--rounds 2] [--dtype float32|bfloat16]

--data  the folder of Benchmarks/embed/make_data.py: photos and a ViT-B/32-size model.

Ours, first epoch: `gmail align` for one epoch with an empty feature cache, from the start of the process to its end, less
what the same command takes for one step on a warm cache beyond that step (start, model, run folder, checkpoint): frozen
features are computed before the first step, so the process is what an epoch costs. Ours, warm: the same command again in a
new run folder with the cache the first one left. The peer computes f_r in every epoch; its set-up is not timed.
"""

import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def run(command, environment=None):
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stderr}")
    return time.perf_counter() - start, result.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--gmail", required=True)
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    a = parser.parse_args()
    photos = [os.path.abspath(p) for p in sorted(glob.glob(f"{glob.glob(a.data + '/photos-*')[0]}/*.jpg"))]
    model = os.path.abspath(f"{a.data}/clip-vit-base-patch32")
    root = tempfile.mkdtemp(prefix="files-", dir=a.data)
    try:
        with open(f"{root}/pairs.jsonl", "w") as file:
            for index in range(a.pairs):
                names = []
                for kind, path in (("r", photos[2 * index % len(photos)]), ("g", photos[(2 * index + 1) % len(photos)])):
                    names.append(f"{kind}{index}.jpg")
                    os.link(path, f"{root}/{names[-1]}")
                file.write(json.dumps({"id": f"p{index}", "caption": "x", "real": names[0], "generated": names[1]}) + "\n")
        environment = os.environ | {"XDG_CACHE_HOME": f"{root}/xdg"}
        count = 0

        def ours(steps, cache):
            nonlocal count
            count += 1
            command = [
                a.gmail, "align", "--recipe", "gmail", "--model", model, "--pairs", f"{root}/pairs.jsonl", "--out",
                f"{root}/run-{count}", "--cache", cache, "--quiet", "--set", f"training.batchSize={a.batch}", "--set",
                f"training.steps={steps}", "--set", f"training.precision={a.dtype}"]
            return run(command, environment)[0]

        steps = a.pairs // a.batch
        peer = [sys.executable, f"{HERE}/files_peer.py", "--model", model, "--pairs", f"{root}/pairs.jsonl", "--batch",
                str(a.batch), "--epochs", "1", "--dtype", a.dtype]
        ours(1, f"{root}/cache-first")  # remembers the weights' hash
        first, warm, theirs = [], [], []
        for round in range(a.rounds):
            cache = f"{root}/cache-{round}"
            cold = ours(steps, cache)
            both = ours(steps, cache)
            one = ours(1, cache)
            per_step = (both - one) / (steps - 1)
            overhead = one - per_step
            first.append(a.pairs / (cold - overhead))
            warm.append(a.batch / per_step)
            theirs.append(json.loads(run(peer)[1])["pairs_per_second"][0])
            print(f"round {round + 1}: first epoch {first[-1]:.2f}, warm {warm[-1]:.2f}, peer {theirs[-1]:.2f} pairs/s "
                  f"(start and end of our process {overhead:.1f} s)", flush=True)
        ratio = lambda x: statistics.median(u / v for u, v in zip(x, theirs))
        print(f"batch {a.batch}, {a.dtype}, {a.pairs} pairs: first epoch {ratio(first):.2f}x, warm {ratio(warm):.2f}x")
    finally:
        shutil.rmtree(root)


main()
