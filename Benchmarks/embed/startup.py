"""How long `gmail` takes to answer: help, and the first embedding of one image, medians of --rounds.

    python startup.py --model DIR --photo FILE --gmail PATH [--rounds 7]

--model  a ViT-B/32-size folder (make_data.py). Reading the weights is timed apart, by reading the file once (from the page
cache, as the runs find it). The first run ever also hashes the weights for the sidecar; the hash is then remembered.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


def timed(command, environment):
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        sys.exit(result.stderr)
    return time.perf_counter() - start, result.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--photo", required=True)
    parser.add_argument("--gmail", required=True)
    parser.add_argument("--rounds", type=int, default=7)
    a = parser.parse_args()
    out = tempfile.mkdtemp()
    environment = os.environ | {"XDG_CACHE_HOME": f"{out}/cache"}
    help_command = [a.gmail, "embed", "--help"]
    embed = [a.gmail, "embed", "--model", a.model, "--images", a.photo, "--out", f"{out}/f.safetensors", "--json", "--quiet"]

    def read():
        start = time.perf_counter()
        with open(f"{a.model}/model.safetensors", "rb", buffering=0) as file:
            buffer = bytearray(1 << 24)
            while file.readinto(buffer):
                pass
        return time.perf_counter() - start

    read()
    unhashed = timed(embed, environment)[0]
    helps, firsts, reads, models = [], [], [], []
    for _ in range(a.rounds):
        helps.append(timed(help_command, environment)[0])
        seconds, text = timed(embed, environment)
        firsts.append(seconds)
        models.append(json.loads(text)["model_seconds"])
        reads.append(read())
    median = statistics.median
    print(f"gmail embed --help: {median(helps) * 1000:.0f} ms ({min(helps) * 1000:.0f} to {max(helps) * 1000:.0f})")
    print(f"one image, whole process: {median(firsts):.2f} s ({min(firsts):.2f} to {max(firsts):.2f}), of it the model "
          f"{median(models):.2f} s; reading the weights {median(reads):.2f} s; the first run, which hashes them: {unhashed:.2f} s")


main()
