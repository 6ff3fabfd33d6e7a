"""Alignment from JPEG files, ours against transformers + PEFT, in one run and in turn.

    python files.py --data DIR --gmail PATH [--steps 4] [--batch 16] [--rounds 2] [--dtype float32|bfloat16]

--data  the folder of Benchmarks/embed/make_data.py: photos and a ViT-B/32-size model.

Both sides: the time of steps 2 to N of an epoch; what comes before the end of the first step (start, model, first images)
is left out. Ours is the difference of two runs of `gmail align`, of N steps and of one: in the first epoch both with an
empty feature cache, so that f_r of every pair is in the difference; warm with the cache of the first. The peer computes f_r
in every epoch; it decodes on two worker processes, ours on as many threads as there are cores. Ours also trains the linear
projections, the peer none.
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
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="float32")
    a = parser.parse_args()
    photos = [os.path.abspath(p) for p in sorted(glob.glob(f"{glob.glob(a.data + '/photos-*')[0]}/*.jpg"))]
    pairs = a.steps * a.batch
    # The feature cache knows files by their content: a photo used twice would be computed once.
    if a.steps < 2 or len(photos) < 2 * pairs:
        sys.exit(f"expected at least 2 steps and {2 * pairs} photos, got {a.steps} and {len(photos)}")
    model = os.path.abspath(f"{a.data}/clip-vit-base-patch32")
    root = tempfile.mkdtemp(prefix="files-", dir=a.data)
    try:
        with open(f"{root}/pairs.jsonl", "w") as file:
            for index in range(pairs):
                names = []
                for kind, path in (("r", photos[2 * index]), ("g", photos[2 * index + 1])):
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
                f"{root}/run-{count}", "--cache", f"{root}/{cache}", "--quiet", "--set", f"training.batchSize={a.batch}",
                "--set", f"training.steps={steps}", "--set", f"training.precision={a.dtype}"]
            return run(command, environment)[0]

        peer = [sys.executable, f"{HERE}/files_peer.py", "--model", model, "--pairs", f"{root}/pairs.jsonl", "--batch",
                str(a.batch), "--epochs", "1", "--dtype", a.dtype]
        timed = (a.steps - 1) * a.batch
        ours(1, "cache-weights")  # remembers the weights' hash, and brings the files into memory
        first, warm, theirs = [], [], []
        for round in range(a.rounds):
            cold = ours(a.steps, f"cache-{round}") - ours(1, f"cache-{round}-one")
            first.append(timed / cold)
            theirs.append(json.loads(run(peer)[1])["pairs_per_second"][0])
            warm.append(timed / (ours(a.steps, f"cache-{round}") - ours(1, f"cache-{round}")))
            print(f"round {round + 1}: first epoch {first[-1]:.2f}, warm {warm[-1]:.2f}, peer {theirs[-1]:.2f} pairs/s",
                  flush=True)
        median = statistics.median
        print(f"batch {a.batch}, {a.dtype}, {a.steps - 1} timed steps, medians of {a.rounds}: first epoch {median(first):.2f}, "
              f"warm {median(warm):.2f}, peer {median(theirs):.2f} pairs/s: {median(first) / median(theirs):.2f}x, "
              f"{median(warm) / median(theirs):.2f}x")
    finally:
        shutil.rmtree(root)


main()
