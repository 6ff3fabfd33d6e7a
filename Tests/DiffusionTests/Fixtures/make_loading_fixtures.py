"""What StableDiffusionPipeline makes of folders that it puts right on loading: pictures of sd-tiny with edited files.

    python make_loading_fixtures.py      # diffusers 0.42.1, transformers 5, torch 2.13 (CPU), safetensors

Needs sd-tiny beside it (make_stable_diffusion_fixtures.py). Writes loading.json, the cases: edits of the folder's JSON
files (null removes a key), the scheduler asked for in place of the folder's own, steps, guidance, and which settings the
pipeline said that it corrects; loading.safetensors, a picture of each; and pickles/, two parts as .bin files.
"""

import importlib.util
import json
import os
import shutil
import tempfile
import warnings

import torch

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs one, so it is as if there were none.
_find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "torchvision" else _find_spec(name, *rest)

import diffusers
import transformers
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
torch.set_num_threads(1)

INDEX, SCHEDULER, UNET = "model_index.json", "scheduler/scheduler_config.json", "unet/config.json"
TOKENIZER, VAE = "tokenizer/tokenizer_config.json", "vae/config.json"
CLASSES = {"ddim": "DDIMScheduler", "pndm": "PNDMScheduler", "euler": "EulerDiscreteScheduler",
           "dpm++": "DPMSolverMultistepScheduler"}
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
PROMPT = "Tables, tables and CUBES! be red, red, red; 12345 cubes"


def file_of(cls, **settings):
    """A scheduler file of a class with nothing in it but what is given."""
    return {INDEX: {"scheduler": ["diffusers", cls]}, SCHEDULER: {"": None, "_class_name": cls, **SD, **settings}}


CASES = []


def case(name, edits, scheduler=None, steps=6, guidance=7.5):
    CASES.append({"name": name, "edits": edits, "scheduler": scheduler, "steps": steps, "guidance": guidance})


for kind, cls in CLASSES.items():
    base = {"set_alpha_to_one": False, "skip_prk_steps": True, "timestep_spacing": "leading"}
    case(f"{kind}-old", file_of(cls, **base, clip_sample=True, steps_offset=0))
    case(f"{kind}-absent", file_of(cls, **base))
    case(f"{kind}-two", file_of(cls, **base, clip_sample=False, steps_offset=2))
    case(f"{kind}-right", file_of(cls, **base, clip_sample=False, steps_offset=1))
    case(f"{kind}-bare", file_of(cls), steps=7)
    case(f"{kind}-v", file_of(cls, prediction_type="v_prediction", timestep_spacing="trailing"))
    # One class's file with the other methods.
    for other in CLASSES:
        if other != kind:
            case(f"{kind}-as-{other}", file_of(cls, **base), other)
    # The index names another class than the file.
    case(f"index-{kind}", {INDEX: {"scheduler": ["diffusers", cls]}})
case("ddim-range", file_of("DDIMScheduler", clip_sample=True, clip_sample_range=0.3))
case("ddim-zero-snr", file_of("DDIMScheduler", prediction_type="v_prediction", timestep_spacing="trailing",
                              rescale_betas_zero_snr=True))
case("dpm-zero-snr", file_of("DPMSolverMultistepScheduler", prediction_type="v_prediction", timestep_spacing="trailing",
                             rescale_betas_zero_snr=True))
case("euler-zero-snr", file_of("EulerDiscreteScheduler", prediction_type="v_prediction", timestep_spacing="trailing",
                               rescale_betas_zero_snr=True))
case("dpm-many", file_of("DPMSolverMultistepScheduler"), steps=16)
# Files of kindred classes.
case("ddpm-as-dpm", file_of("DDPMScheduler", variance_type="fixed_small"), "dpm++")
case("ddpm-as-ddim", file_of("DDPMScheduler", variance_type="fixed_small", clip_sample=True), "ddim")
case("unipc-as-dpm", file_of("UniPCMultistepScheduler", solver_type="bh2", solver_order=2), "dpm++")
case("deis-as-dpm", file_of("DEISMultistepScheduler", solver_type="logrho", algorithm_type="deis",
                            final_sigmas_type="sigma_min"), "dpm++")
case("euler-sigmas-as-dpm", file_of("EulerDiscreteScheduler", use_karras_sigmas=True, sigma_min=0.1, sigma_max=8.0),
     "dpm++")
case("dpm-sigmas-as-euler", file_of("DPMSolverMultistepScheduler", use_exponential_sigmas=True, sigma_min=0.1), "euler")
# UNets of early diffusers.
for name, settings in [("old", {"_diffusers_version": "0.8.1"}), ("development", {"_diffusers_version": "0.7.0.dev0"}),
                       ("boundary", {"_diffusers_version": "0.9.0.dev0"}), ("ten", {"_diffusers_version": "0.10.2"}),
                       ("unknown", {"_diffusers_version": None}),
                       ("pair", {"_diffusers_version": "0.6.0", "sample_size": [8, 8]}),
                       ("large", {"_diffusers_version": "0.6.0", "sample_size": 72})]:
    case(f"unet-{name}", {UNET: settings}, steps=1, guidance=1.0)
# Prompts are cut to what the tokenizer's folder says.
case("short-prompts", {TOKENIZER: {"model_max_length": 9}})
case("vae-scale", {VAE: {"scaling_factor": 0.5}})
case("vae-no-scale", {VAE: {"scaling_factor": None}})
case("no-guidance", {}, guidance=0.5)

pictures = {}
for entry in CASES:
    with tempfile.TemporaryDirectory() as temporary:
        folder = f"{temporary}/model"
        shutil.copytree(f"{HERE}/sd-tiny", folder)
        for file, changes in entry["edits"].items():
            with open(f"{folder}/{file}") as f:
                values = {} if "" in changes else json.load(f)
            for key, value in changes.items():
                if value is None:
                    values.pop(key, None)
                else:
                    values[key] = value
            with open(f"{folder}/{file}", "w") as f:
                json.dump(values, f)
        others = {}
        if entry["scheduler"]:
            others["scheduler"] = getattr(diffusers, CLASSES[entry["scheduler"]]).from_pretrained(f"{folder}/scheduler")
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            pipeline = StableDiffusionPipeline.from_pretrained(
                folder, variant="fp16", torch_dtype=torch.float32, safety_checker=None, **others)
        texts = " ".join(str(w.message) for w in said)
        entry["corrected"] = [key for key in ["clip_sample", "steps_offset", "sample_size"] if f"`{key}` should be" in texts
                              or f"'{key}' to 64" in texts]
        pipeline.set_progress_bar_config(disable=True)
        image = pipeline(PROMPT, num_inference_steps=entry["steps"], guidance_scale=entry["guidance"],
                         generator=torch.Generator().manual_seed(7), output_type="pt").images
        pictures[entry["name"]] = (image * 255).round().to(torch.uint8).permute(0, 2, 3, 1)[0].contiguous()
        print(entry["name"], tuple(pictures[entry["name"]].shape), entry["corrected"], flush=True)

save_file(pictures, f"{HERE}/loading.safetensors", metadata=VERSIONS)
with open(f"{HERE}/loading.json", "w") as f:
    json.dump({"versions": VERSIONS, "prompt": PROMPT, "cases": CASES}, f, indent=1)
    f.write("\n")

# The two smaller parts as `torch.save` wrote them before there were safetensors, with the positions that old text encoders
# carry.
os.makedirs(f"{HERE}/pickles", exist_ok=True)
text = load_file(f"{HERE}/sd-tiny/text_encoder/model.fp16.safetensors")
text["text_model.embeddings.position_ids"] = torch.arange(13)[None]
torch.save(text, f"{HERE}/pickles/text_encoder.bin")
torch.save(load_file(f"{HERE}/sd-tiny/vae/diffusion_pytorch_model.fp16.safetensors"), f"{HERE}/pickles/vae.bin")
