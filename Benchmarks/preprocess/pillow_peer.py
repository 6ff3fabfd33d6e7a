#!/usr/bin/env python3
"""The peer of PreprocessBench: Pillow and numpy, one thread, the same files and the same line of JSON.

    python pillow_peer.py FOLDER [--only 640x480] [--passes 3] [--dump FILE]

Open, convert to RGB, bicubic resize of the shorter side to 224, centre crop, float32 channels-first normalised: the
steps of transformers' Pillow-backed CLIPImageProcessor without its framework around them.
"""

import argparse
import io
import json
import pathlib
import time

import numpy as np
from PIL import Image

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
SIDE = 224


def preprocess(data, times):
    start = time.perf_counter()
    image = Image.open(io.BytesIO(data))
    image.load()
    if image.mode != "RGB":
        image = image.convert("RGB")
    decoded = time.perf_counter()
    width, height = image.size
    if width <= height:
        size = (SIDE, int(SIDE * height / width))
    else:
        size = (int(SIDE * width / height), SIDE)
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    image = image.crop((left, top, left + SIDE, top + SIDE))
    resized = time.perf_counter()
    pixels = np.asarray(image).astype(np.float32)
    pixels *= np.float32(1 / 255)
    pixels -= MEAN
    pixels /= STD
    tensor = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    times += (decoded - start, resized - decoded, time.perf_counter() - resized)
    return tensor


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--dump", type=pathlib.Path)
    arguments = parser.parse_args()
    files = []
    for path in sorted(arguments.folder.glob("*.jpg")):
        data = path.read_bytes()
        width, height = Image.open(io.BytesIO(data)).size
        if arguments.only in (None, f"{width}x{height}"):
            files.append(data)
    fastest, best = float("inf"), None
    for _ in range(arguments.passes):
        times = np.zeros(3)
        start = time.perf_counter()
        for data in files:
            preprocess(data, times)
        elapsed = time.perf_counter() - start
        if elapsed < fastest:
            fastest, best = elapsed, times
    if arguments.dump:
        np.stack([preprocess(data, np.zeros(3)) for data in files]).tofile(arguments.dump)
    decode, resize, normalize = best / len(files) * 1e3
    print(json.dumps({
        "program": "pillow", "images": len(files), "images_per_second": len(files) / fastest, "decode_ms": decode,
        "resize_ms": resize, "normalize_ms": normalize,
    }))


main()
