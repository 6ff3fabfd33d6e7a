"""Images of `gmail generate` made again with diffusers' own pipeline from the same noise, prompt and settings, and compared.

    gmail generate --model DIR --captions FILE --out OUT --limit 16 ...
    python same_images.py --model DIR --generated OUT [--limit 16]     # torch, diffusers, transformers, pillow

Prints one JSON line: what diffusers and transformers said of keys while they loaded the folder (nothing, where the folder is
theirs), and the largest and mean difference of the pixels, of 255.
"""

import argparse
import importlib.util
import json
import logging

import numpy
import torch
from PIL import Image

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs one.
_find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "torchvision" else _find_spec(name, *rest)
import diffusers
import transformers
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, PNDMScheduler,
                       StableDiffusionPipeline, UNet2DConditionModel)
from transformers import CLIPTextModel

parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--generated", required=True)
parser.add_argument("--limit", type=int, default=16)
a = parser.parse_args()


class Heard(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


heard = Heard()
for name in ("diffusers", "transformers"):
    logging.getLogger(name).addHandler(heard)
keys = {}
for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL), ("text_encoder", CLIPTextModel)):
    info = kind.from_pretrained(f"{a.model}/{part}", output_loading_info=True)[1]
    keys[part] = {k: sorted(v) for k, v in info.items() if k in ("missing_keys", "unexpected_keys", "mismatched_keys") and v}
pipe = StableDiffusionPipeline.from_pretrained(a.model)
pipe.set_progress_bar_config(disable=True)
settings = json.load(open(f"{a.generated}/settings.json"))
kinds = {"ddim": DDIMScheduler, "pndm": PNDMScheduler, "euler": EulerDiscreteScheduler, "dpm++": DPMSolverMultistepScheduler}
pipe.scheduler = kinds[settings["scheduler"]].from_config(pipe.scheduler.config)
width, height = map(int, settings["size"].split("x"))
worst, total, count, equal = 0, 0.0, 0, 0
for line in open(f"{a.generated}/pairs.jsonl"):
    if count == a.limit:
        break
    pair = json.loads(line)
    theirs = pipe(pair["caption"], num_inference_steps=settings["steps"], guidance_scale=settings["guidance"],
                  negative_prompt=settings["negative_prompt"], width=width, height=height,
                  generator=torch.Generator().manual_seed(pair["generator"]["seed"])).images[0]
    ours = numpy.asarray(Image.open(f"{a.generated}/{pair['generated']}").convert("RGB")).astype(int)
    difference = numpy.abs(ours - numpy.asarray(theirs).astype(int))
    worst, total, count = max(worst, int(difference.max())), total + float(difference.mean()), count + 1
    equal += int(difference.max() == 0)
print(json.dumps({"images": count, "equal": equal, "largest_of_255": worst, "mean_of_255": total / max(count, 1), "keys": keys,
                  "said": sorted(set(heard.lines)), "diffusers": diffusers.__version__, "transformers": transformers.__version__}))
