"""Whole trajectories of diffusers' schedulers with a made-up model, and the training side of the noise schedule.

Run: python make_scheduler_fixtures.py   (torch 2.13.0, diffusers 0.42.1, numpy 2.4, safetensors 0.6)

Writes schedulers.safetensors and schedulers.json beside this script. The JSON lists the cases: a scheduler configuration
(the file's content), a number of steps, and the names of the tensors that belong to it.
"""

import importlib.util
import json
import math
import os

import torch

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs one, so it is as if there were none.
_find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "torchvision" else _find_spec(name, *rest)

import diffusers
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPE = (1, 2, 2, 3)

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
V, EPS, X0 = ({"prediction_type": p} for p in ("v_prediction", "epsilon", "sample"))

DDIM, PNDM, EULER, DPM = "DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler"
SD_TAIL = {"steps_offset": 1, "set_alpha_to_one": False, "clip_sample": False, "skip_prk_steps": True}

# name, class, configuration, steps
CASES = [
    ("ddim-sd2-v", DDIM, {**SD, **SD_TAIL, **V}, [10, 20, 50, 33]),
    ("ddim-sd2-epsilon", DDIM, {**SD, **SD_TAIL, **EPS}, [20, 7]),
    ("ddim-defaults", DDIM, {}, [10, 13]),
    ("ddim-sample-cosine", DDIM, {"beta_schedule": "squaredcos_cap_v2", **X0, "clip_sample_range": 0.5}, [10]),
    ("ddim-trailing-zero-snr", DDIM, {**SD, **V, "clip_sample": False, "timestep_spacing": "trailing",
                                     "rescale_betas_zero_snr": True}, [10, 50, 33]),
    ("ddim-linspace", DDIM, {**SD, **EPS, "clip_sample": False, "timestep_spacing": "linspace"}, [20, 11]),
    ("ddim-short", DDIM, {"num_train_timesteps": 37, "clip_sample": False}, [37, 5, 1]),
    ("pndm-sd2-base", PNDM, {**SD, **SD_TAIL, **EPS}, [10, 20, 50, 33]),
    ("pndm-v", PNDM, {**SD, **SD_TAIL, **V}, [20, 1, 2, 3]),
    ("pndm-runge-kutta", PNDM, {**SD, **EPS}, [10, 20, 4, 33]),
    ("pndm-trailing", PNDM, {**SD, **EPS, "skip_prk_steps": True, "timestep_spacing": "trailing"}, [10, 17]),
    ("pndm-linspace", PNDM, {**SD, **EPS, "skip_prk_steps": True, "timestep_spacing": "linspace",
                            "set_alpha_to_one": True}, [10]),
    ("euler-sd2-v", EULER, {**SD, **SD_TAIL, **V, "timestep_spacing": "leading"}, [10, 20, 50, 33]),
    ("euler-linspace", EULER, {**SD, **EPS}, [10, 20, 50, 33]),
    ("euler-trailing-zero-snr", EULER, {**SD, **V, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True},
     [10, 33]),
    ("euler-karras", EULER, {**SD, **EPS, "use_karras_sigmas": True}, [10, 25]),
    ("euler-exponential", EULER, {**SD, **X0, "use_exponential_sigmas": True, "sigma_min": 0.05, "sigma_max": 12.5},
     [10]),
    ("euler-sigma-min", EULER, {**SD, **EPS, "final_sigmas_type": "sigma_min"}, [10, 1]),
    ("dpm-sd2-v", DPM, {**SD, **SD_TAIL, **V}, [10, 20, 50, 33]),
    ("dpm-epsilon-leading", DPM, {**SD, **EPS, "steps_offset": 1, "timestep_spacing": "leading"}, [10, 20, 25]),
    ("dpm-trailing", DPM, {**SD, **EPS, "timestep_spacing": "trailing"}, [10, 33]),
    ("dpm-karras", DPM, {**SD, **EPS, "use_karras_sigmas": True}, [10, 25]),
    ("dpm-karras-cosine", DPM, {"beta_schedule": "squaredcos_cap_v2", **V, "use_karras_sigmas": True,
                               "lambda_min_clipped": -5.1}, [10]),
    ("dpm-cosine-clipped", DPM, {"beta_schedule": "squaredcos_cap_v2", **V, "lambda_min_clipped": -5.1}, [10, 20]),
    ("dpm-exponential", DPM, {**SD, **X0, "use_exponential_sigmas": True}, [10]),
    ("dpm-heun", DPM, {**SD, **EPS, "solver_type": "heun"}, [10, 20]),
    ("dpm-first-order", DPM, {**SD, **EPS, "solver_order": 1, "final_sigmas_type": "sigma_min"}, [10]),
    # The last step is of first order up to 14 steps.
    ("dpm-sigma-min", DPM, {**SD, **EPS, "final_sigmas_type": "sigma_min"}, [10, 14, 15, 20]),
    ("dpm-limits", DPM, {**SD, **EPS, "use_karras_sigmas": True, "sigma_min": 0.1, "sigma_max": 8.0}, [10]),
    ("dpm-sigma-min-no-lower", DPM, {**SD, **EPS, "final_sigmas_type": "sigma_min", "lower_order_final": False},
     [10, 2, 1]),
    ("dpm-euler-at-final", DPM, {**SD, **V, "final_sigmas_type": "sigma_min", "euler_at_final": True}, [20]),
    ("dpm-zero-snr", DPM, {**SD, **V, "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}, [20]),
    # One class's file read as another class: what the file leaves out gets the other's defaults.
    ("ddim-file-as-dpm", DPM, ("DDIMScheduler", {**SD, **SD_TAIL, **V}), [20]),
    ("pndm-file-as-euler", EULER, ("PNDMScheduler", {**SD, **SD_TAIL, **EPS}), [20]),
    ("pndm-file-as-ddim", DDIM, ("PNDMScheduler", {**SD, **SD_TAIL, **EPS}), [20]),
]


def model(x, t):
    """Smooth, bounded, different at every position and time; the Swift test has the same."""
    return 0.9 * torch.tanh(0.7 * x + math.cos(float(t) / 173)) + 0.1 * x.flip(-1)


tensors, cases = {}, []
noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(11))
tensors["noise"] = noise
for name, cls, configuration, counts in CASES:
    if isinstance(configuration, tuple):
        own, configuration = configuration
        made = getattr(diffusers, own).from_config(configuration)
        def make(): return getattr(diffusers, cls).from_config(made.config)
    else:
        own = cls
        def make(): return getattr(diffusers, cls).from_config(configuration)
    for count in counts:
        scheduler = make()
        scheduler.set_timesteps(count)
        if hasattr(scheduler, "set_begin_index"):
            # Else a first timestep that occurs twice (Karras levels, rounded) would start at its second occurrence.
            scheduler.set_begin_index(0)
        x = noise * scheduler.init_noise_sigma
        samples = [x]
        for t in scheduler.timesteps:
            output = model(scheduler.scale_model_input(x, t), t)
            x = scheduler.step(output, t, x).prev_sample
            samples.append(x)
        key = f"{name}.{count}"
        tensors[f"{key}.samples"] = torch.cat(samples)
        tensors[f"{key}.timesteps"] = scheduler.timesteps.to(torch.float64)
        cases.append({"name": key, "class": cls, "steps": count,
                      "configuration": {"_class_name": own, **configuration}})

# The forward process.
for name, configuration in [("sd", SD), ("cosine", {"beta_schedule": "squaredcos_cap_v2"}),
                            ("zero-snr", {**SD, "rescale_betas_zero_snr": True}), ("linear", {})]:
    scheduler = diffusers.DDIMScheduler(**configuration)
    generator = torch.Generator().manual_seed(3)
    x0, e = (torch.randn((3, 2, 2), generator=generator) for _ in range(2))
    t = torch.tensor([0, 481, 998])
    tensors[f"train.{name}.alphas"] = scheduler.alphas_cumprod
    tensors[f"train.{name}.original"], tensors[f"train.{name}.noise"] = x0, e
    tensors[f"train.{name}.noisy"] = scheduler.add_noise(x0, e, t)
    tensors[f"train.{name}.velocity"] = scheduler.get_velocity(x0, e, t)

save_file({k: v.contiguous() for k, v in tensors.items()}, os.path.join(HERE, "schedulers.safetensors"))
with open(os.path.join(HERE, "schedulers.json"), "w") as file:
    json.dump({"versions": {"torch": torch.__version__, "diffusers": diffusers.__version__}, "cases": cases}, file,
              indent=1)
    file.write("\n")
print(len(cases), "cases")
