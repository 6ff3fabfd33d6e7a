"""The first caption of a full-size captioner: how long it takes, and how much memory, beside the size of the weights.

Weights are counted twice: all of CLIP, mapper and GPT-2 as they lie in files, and those that a caption reads (without CLIP's
text tower). Memory too: the resident peak, which counts pages of mapped files and of libraries, and the anonymous peak, which
nothing can reclaim.

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
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names
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
    # A small tokenizer serves: its ids are a part of GPT-2's. The others get names, so that any caption can be written out.
    fixture = f"{HERE}/../../Tests/CaptioningTests/Fixtures/gpt2"
    shutil.copy(f"{fixture}/tokenizer_config.json", f"{data}/gpt2/tokenizer_config.json")
    with open(f"{fixture}/tokenizer.json") as file:
        tokenizer = json.load(file)
    vocabulary = tokenizer["model"]["vocab"]
    known = set(vocabulary.values()) | {token["id"] for token in tokenizer["added_tokens"]}
    vocabulary.update({f"\u0120token{i}": i for i in range(GPT2Config().vocab_size) if i not in known})
    with open(f"{data}/gpt2/tokenizer.json", "w") as file:
        json.dump(tokenizer, file)
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


def sizes(path):
    """Bytes of every tensor of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {key: entry["data_offsets"][1] - entry["data_offsets"][0] for key, entry in header.items() if key != "__metadata__"}


checkpoint = f"{data}/run/checkpoints/step-000001"
clip = sizes(f"{data}/clip/model.safetensors")
rest = sum(sum(sizes(f"{checkpoint}/{name}.safetensors").values()) for name in ["language_model", "mapper"])
weights = sum(clip.values()) + rest
read = sum(size for key, size in clip.items() if key.startswith("vis")) + rest
command = [options.gmail, "caption", "--run", f"{data}/run", "--quiet", "--max-tokens", "20", f"{data}/0.jpg"]
times = []
for _ in range(options.repeats + 1):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    times.append(time.perf_counter() - start)
# Sampled once per millisecond; the resident peak is the kernel's own.
process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
peak = anonymous = 0
while process.poll() is None:
    try:
        with open(f"/proc/{process.pid}/status") as file:
            values = {line.split(":")[0]: line.split()[1] for line in file if line.startswith(("VmHWM", "RssAnon"))}
    except OSError:
        break
    peak = max(peak, int(values.get("VmHWM", 0)) / 1024)
    anonymous = max(anonymous, int(values.get("RssAnon", 0)) / 1024)
    time.sleep(0.001)
process.wait()
# As long as the pages are cached, reading the weights costs no more than this.
start = time.perf_counter()
for path in [f"{data}/clip/model.safetensors", f"{checkpoint}/language_model.safetensors", f"{checkpoint}/mapper.safetensors"]:
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
reading = time.perf_counter() - start
mib = 2**20
print(json.dumps({
    "first_caption_seconds": statistics.median(times[1:]), "reading_seconds": reading, "weights_mib": weights / mib,
    "weights_read_mib": read / mib, "peak_mib": peak, "anonymous_peak_mib": anonymous, "peak_over_weights": peak / (weights / mib),
    "peak_over_weights_read": peak / (read / mib), "anonymous_over_weights_read": anonymous / (read / mib)}))
