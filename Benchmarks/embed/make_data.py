"""Makes what the embedding benchmark needs, below --out: 640x480 JPEG photos and a ViT-B/32 model folder.

    python make_data.py --out DIR [--images 256]      # torch, transformers, pillow, numpy

The photos are synthetic (band-limited noise with edges) and of ordinary file size; the weights are random: neither
changes how long decoding or a forward pass takes.
"""

import argparse
import json
import os

import numpy
import sys
import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names

from PIL import Image
from transformers import CLIPConfig, CLIPModel


def photo(rng):
    picture = numpy.zeros((480, 640, 3))
    for octave, weight in ((4, 90), (16, 45), (64, 25), (240, 9)):
        coarse = rng.normal(size=(octave, octave * 4 // 3, 3))
        image = [Image.fromarray(coarse[..., c].astype("float32")).resize((640, 480), Image.BICUBIC) for c in range(3)]
        picture += weight * numpy.stack([numpy.asarray(i) for i in image], -1)
    for _ in range(12):  # edges
        x, y, w, h = rng.integers(0, 560), rng.integers(0, 400), rng.integers(20, 200), rng.integers(20, 200)
        picture[y : y + h, x : x + w] += rng.normal(size=3) * 40
    return Image.fromarray(numpy.clip(picture + 120, 0, 255).astype("uint8"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--images", type=int, default=256)
    arguments = parser.parse_args()
    photos = f"{arguments.out}/photos-{arguments.images}"
    if not os.path.isdir(photos):
        os.makedirs(photos + ".tmp")
        rng = numpy.random.default_rng(0)
        for index in range(arguments.images):
            photo(rng).save(f"{photos}.tmp/{index:05d}.jpg", quality=90)
        os.rename(photos + ".tmp", photos)
    model = f"{arguments.out}/clip-vit-base-patch32"
    if not os.path.isdir(model):
        torch.manual_seed(0)
        CLIPModel(CLIPConfig()).save_pretrained(model + ".tmp")
        settings = {
            "do_resize": True, "size": {"shortest_edge": 224}, "resample": 3, "do_center_crop": True,
            "crop_size": {"height": 224, "width": 224}, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
            "do_convert_rgb": True, "image_processor_type": "CLIPImageProcessor",
        }
        with open(f"{model}.tmp/preprocessor_config.json", "w") as file:
            json.dump(settings, file, indent=1)
        os.rename(model + ".tmp", model)


main()
