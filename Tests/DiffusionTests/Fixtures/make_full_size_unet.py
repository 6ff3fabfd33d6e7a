"""Makes what FullSizeUNetTests reads: a random UNet of Stable Diffusion 2's size (865.9 M parameters) and its answers.

    python make_full_size_unet.py OUT       # diffusers, torch (CPU); writes 1.7 GB and takes some minutes

Then `GMAIL_SD2_UNET=OUT swift test --filter FullSizeUNetTests`. Weights are as diffusers draws them, rounded to bfloat16,
so that both dtypes compute with the same numbers. --no-bf16 leaves out the answer in bfloat16, which is slow on a CPU
without it.
"""

import importlib.util
import os
import sys

import torch

_find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "torchvision" else _find_spec(name, *rest)
import diffusers
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
torch.manual_seed(0)
unet = UNet2DConditionModel(
    sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2, cross_attention_dim=1024,
    attention_head_dim=(5, 10, 20, 20), use_linear_projection=True).eval().to(torch.bfloat16)
unet.save_pretrained(out, max_shard_size="10GB")
generator = torch.Generator().manual_seed(1)
sample = torch.randn(2, 4, 64, 64, generator=generator).bfloat16().float()
text = torch.randn(2, 77, 1024, generator=generator).bfloat16().float()
steps = torch.tensor([981, 981])
answers = {"sample": sample, "text": text, "steps": steps}
with torch.inference_mode():
    if "--no-bf16" not in sys.argv:
        answers["bfloat16"] = unet(sample.bfloat16(), steps, text.bfloat16()).sample
    answers["float32"] = unet.float()(sample, steps, text).sample
save_file({k: v.contiguous() for k, v in answers.items()}, f"{out}/answers.safetensors",
          metadata={"diffusers": diffusers.__version__, "torch": torch.__version__})
print({k: (tuple(v.shape), float(v.float().std())) for k, v in answers.items()})
