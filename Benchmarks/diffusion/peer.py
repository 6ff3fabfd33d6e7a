"""diffusers beside DiffusionBench: the same shapes, in turn, in one run; prints one JSON line with both and the ratio.

    python peer.py --bench .build/release/DiffusionBench --what unet|small|train|decode [--dtype float32|bfloat16]
                   [--batch 8] [--repeats 3] [--rounds 2]                 # torch, diffusers
    python peer.py --bench .build/release/DiffusionBench --what load      # diffusers loads what DiffusionBench saves

unet is Stable Diffusion 2's (865.9 M parameters, random) at latents 2x4x64x64; small, train and decode are of the
miniature's size. GMAIL_TORCH_SHIM names the shim's library, as everywhere.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import tempfile
import time

import torch

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs one.
_find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "torchvision" else _find_spec(name, *rest)
from diffusers import AutoencoderKL, UNet2DConditionModel

parser = argparse.ArgumentParser()
parser.add_argument("--bench", required=True)
parser.add_argument("--what", choices=["unet", "small", "train", "decode", "load"], default="unet")
parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--plain", action="store_true", help="ours without prepareForInference")
a = parser.parse_args()
torch.manual_seed(0)

if a.what == "load":
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([a.bench, "save", folder], check=True, stdout=subprocess.DEVNULL)
        answers = load_file(f"{folder}/answers.safetensors")
        unet, vae = UNet2DConditionModel.from_pretrained(f"{folder}/unet"), AutoencoderKL.from_pretrained(f"{folder}/vae")
        with torch.inference_mode():
            noise = unet(answers["sample"], 500, answers["text"]).sample
            decoded = vae.decode(answers["sample"]).sample
    print(json.dumps({"unet": (noise - answers["noise"]).abs().max().item(),
                      "vae": (decoded - answers["decoded"]).abs().max().item()}))
    raise SystemExit

small = dict(sample_size=16, block_out_channels=(64, 128, 128), layers_per_block=1, attention_head_dim=(2, 4, 4),
             norm_num_groups=16, cross_attention_dim=128, use_linear_projection=True,
             down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
             up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"))
if a.what == "decode":
    model = AutoencoderKL(block_out_channels=(32, 64, 64), layers_per_block=1, norm_num_groups=16, sample_size=64,
                          down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3).eval()
    latents = torch.randn(a.batch, 4, 16, 16)

    @torch.inference_mode()
    def run():
        model.decode(latents)
elif a.what == "unet":
    dtype = getattr(torch, a.dtype)
    model = UNet2DConditionModel(
        sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2, cross_attention_dim=1024,
        attention_head_dim=[5, 10, 20, 20], use_linear_projection=True).to(dtype).eval()
    sample, text = torch.randn(2, 4, 64, 64, dtype=dtype), torch.randn(2, 77, 1024, dtype=dtype)

    @torch.inference_mode()
    def run():
        model(sample, 500, encoder_hidden_states=text)
else:
    model = UNet2DConditionModel(**small)
    sample, text = torch.randn(a.batch, 4, 16, 16), torch.randn(a.batch, 77, 128)
    target, steps = torch.randn(a.batch, 4, 16, 16), torch.arange(a.batch) * 7
    if a.what == "small":
        model.eval()

        @torch.inference_mode()
        def run():
            model(sample, 500, encoder_hidden_states=text)
    else:
        def run():
            torch.nn.functional.mse_loss(model(sample, steps, encoder_hidden_states=text).sample, target).backward()
            model.zero_grad()

command = [a.bench, a.what, a.dtype if a.what == "unet" else str(a.batch), str(a.repeats)]
command += ["plain"] if a.plain else []
run()
ours, theirs = [], []
for _ in range(a.rounds):
    ours.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["seconds"])
    for _ in range(a.repeats):
        start = time.perf_counter()
        run()
        theirs.append(time.perf_counter() - start)
mine, peer = statistics.median(ours), statistics.median(theirs)
print(json.dumps({"what": a.what, "dtype": a.dtype, "batch": 2 if a.what == "unet" else a.batch, "threads": torch.get_num_threads(),
                  "ours_s": mine, "diffusers_s": peer, "ratio": peer / mine, "ours_all": ours, "diffusers_all": theirs}))
