"""The first caption of a full-size captioner: how long it takes, and how much memory, beside the size of the weights.

    python first_caption.py --gmail ../../.build/release/gmail --data ../../.build/bench-captioning      # torch, transformers

Makes a random ViT-B/32 and a random GPT-2 small once, trains a captioner for one step (GPT-2 fine-tuned, so that the run
holds all of it), and captions one photo in fresh processes.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time

import torch

_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from PIL import Image
from transformers import CLIPConfig, CLIPModel, GPT2Config, GPT2LMHeadModel

HERE = os.path.dirname(os.path.abspath(__file__))
parser = argparse.ArgumentParser()
parser.add_argument("--gmail", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--repeats", type=int, default=5)
options = parser.parse_args()
data = os.path.abspath(options.data)


def make():
    torch.manual_seed(0)
    CLIPModel(CLIPConfig()).save_pretrained(f"{data}/clip")
    with open(f"{data}/clip/preprocessor_config.json", "w") as file:
        json.dump({
            "do_resize": True, "size": {"shortest_edge": 224}, "resample": 3, "do_center_crop": True, "crop_size": 224,
            "do_rescale": True, "do_normalize": True, "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711]}, file)
    GPT2LMHeadModel(GPT2Config()).save_pretrained(f"{data}/gpt2")
    fixture = f"{HERE}/../../Tests/CaptioningTests/Fixtures/gpt2"
    for name in ["tokenizer.json", "tokenizer_config.json"]:  # a small tokenizer serves: its ids are a part of GPT-2's
        shutil.copy(f"{fixture}/{name}", f"{data}/gpt2/{name}")
    with open(f"{data}/pairs.jsonl", "w") as file:
        for index in range(2):
            picture = (torch.rand(480, 640, 3) * 255).to(torch.uint8).numpy()
            Image.fromarray(picture).save(f"{data}/{index}.jpg", quality=90)
            line = {"id": str(index), "caption": "A photo.", "real": f"{index}.jpg", "generated": f"{index}.jpg"}
            file.write(json.dumps(line) + "\n")
    subprocess.run([
        options.gmail, "train", "captioner", "--recipe", "real", "--model", f"{data}/clip", "--language-model", f"{data}/gpt2",
        "--pairs", f"{data}/pairs.jsonl", "--out", f"{data}/run", "--cache", f"{data}/cache", "--quiet", "--set",
        "training.steps=1", "--set", "training.batchSize=2", "--set", "training.validationEvery=0"], check=True)


if not os.path.exists(f"{data}/run/checkpoints"):
    os.makedirs(data, exist_ok=True)
    make()
weights = sum(
    os.path.getsize(path) for path in [
        f"{data}/clip/model.safetensors", f"{data}/run/checkpoints/step-000001/language_model.safetensors",
        f"{data}/run/checkpoints/step-000001/mapper.safetensors"])
command = [options.gmail, "caption", "--run", f"{data}/run", "--quiet", "--max-tokens", "20", f"{data}/0.jpg"]
times = []
for _ in range(options.repeats + 1):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    times.append(time.perf_counter() - start)
# The training of one step would count as a child of this process, and is larger; so the last one has a parent of its own.
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
shown = subprocess.run(["python3", "-c", MEASURE, *command], check=True, capture_output=True, text=True)
peak = int(shown.stdout) / 1024
print(json.dumps({
    "first_caption_seconds": statistics.median(times[1:]), "weights_mib": weights / 2**20, "peak_mib": peak,
    "peak_over_weights": peak / (weights / 2**20)}))
