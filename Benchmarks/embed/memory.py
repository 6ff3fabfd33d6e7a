"""Peak memory of `gmail embed` over 1,000, 5,000 and 10,000 images: it must not grow with their number.

    python memory.py --photos DIR --gmail PATH      # torch, transformers (for the model); Linux

The images are hard links to the photos of make_data.py, in turn; the model is a tiny random CLIP at CLIP's 224 pixels, so
that memory is that of decoding, batches and rows, and a run takes as long as decoding does. Prints each run's peak
(ru_maxrss) and the resident size sampled while the largest one runs.
"""

import argparse
import glob
import json
import os
import subprocess
import sys
import tempfile
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names

from transformers import CLIPConfig, CLIPModel


def model(folder):
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config=dict(vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
                         eos_token_id=99, bos_token_id=98, pad_token_id=99),
        vision_config=dict(hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=224,
                           patch_size=32),
        projection_dim=64)
    CLIPModel(config).save_pretrained(folder)
    settings = {
        "do_resize": True, "size": {"shortest_edge": 224}, "resample": 3, "do_center_crop": True, "crop_size": 224,
        "do_rescale": True, "do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    with open(f"{folder}/preprocessor_config.json", "w") as file:
        json.dump(settings, file)


def resident(pid):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--photos", required=True)
    parser.add_argument("--gmail", required=True)
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 5000, 10000])
    a = parser.parse_args()
    photos = sorted(glob.glob(f"{a.photos}/*.jpg"))
    # Hard links need the photos' own file system.
    root = tempfile.mkdtemp(prefix="memory-", dir=os.path.dirname(os.path.abspath(a.photos)))
    try:
        model(f"{root}/model")
        peaks = {}
        for count in a.counts:
            images = f"{root}/images-{count}"
            os.makedirs(images)
            for index in range(count):
                os.link(photos[index % len(photos)], f"{images}/{index:06d}.jpg")
            command = [a.gmail, "embed", "--model", f"{root}/model", "--images", images, "--out", f"{root}/f.safetensors",
                       "--json", "--quiet"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            samples = []
            while process.poll() is None:
                size = resident(process.pid)
                if size:  # 0 once it has ended
                    samples.append(size)
                time.sleep(0.25)
            out, errors = process.communicate()
            if process.returncode:
                sys.exit(errors)
            summary = json.loads(out)
            peaks[count] = summary["peak_memory_mib"]
            shares = [0.1, 0.5, 1.0]
            at = [samples[int(share * (len(samples) - 1))] for share in shares]
            print(f"{count:6d} images: peak {peaks[count]:7.1f} MiB, resident after a tenth, half and all of the time "
                  f"{at[0]:.0f}, {at[1]:.0f}, {at[2]:.0f} MiB; {summary['images_per_second']:.0f} images/s", flush=True)
        first, last = a.counts[0], a.counts[-1]
        growth = peaks[last] - peaks[first]
        print(f"growth from {first} to {last} images: {growth:+.1f} MiB, {growth * 2**20 / (last - first):.0f} bytes per image")
    finally:
        subprocess.run(["rm", "-rf", root], check=True)


main()
