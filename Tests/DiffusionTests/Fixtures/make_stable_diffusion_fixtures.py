"""Makes the Stable Diffusion fixtures beside this file: tiny random models and what diffusers answers.

    python make_stable_diffusion_fixtures.py      # diffusers, transformers, safetensors, torch (CPU)

    sd-tiny/        a whole pipeline of SD 2's kind, weights as an fp16 variant, tokenizer as vocab.json and merges.txt
    unet-variant/   a UNet with every setting away from SD 2's: convolutions for projections, odd widths, sines first, …
    vae-old/        an autoencoder whose attention has the key names of diffusers before 0.13
    stable-diffusion.safetensors    inputs and answers

Every axis has another size, so that a swapped axis cannot pass. Weights are stored in float16 and computed with in
float32, which loses nothing.
"""

import importlib.util
import json
import os
import shutil

import torch

# A torchvision built for CUDA does not load beside a CPU torch; nothing here needs one, so it is as if there were none.
_find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] == "torchvision" else _find_spec(name, *rest)

import diffusers
import transformers
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "transformers": transformers.__version__}
torch.set_num_threads(1)


def randomise(model, seed):
    """Weights large enough for every layer to matter, biases and norms too, in steps of float16."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                noise = noise / parameter[0].numel() ** 0.5
            elif "norm" in name and name.endswith("weight"):
                noise = 1 + 0.2 * noise
            else:
                noise = 0.1 * noise
            parameter.copy_(noise.half().float())
    return model.eval()


def rand(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def byte_alphabet():
    """The printable stand-ins of the 256 bytes, in the order of CLIP's vocabulary."""
    printable = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    extra = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(extra))]


def write_tokenizer(folder):
    os.makedirs(folder)
    merges = ["r e", "c u", "b e</w>", "re d</w>", "cu be</w>", "t a", "b l", "ta bl", "tabl e</w>"]
    alphabet = byte_alphabet()
    tokens = alphabet + [c + "</w>" for c in alphabet] + [m.replace(" ", "") for m in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    with open(f"{folder}/vocab.json", "w", encoding="utf-8") as f:
        json.dump({t: i for i, t in enumerate(tokens)}, f, ensure_ascii=False)
    with open(f"{folder}/merges.txt", "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    def special(content):
        return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
    with open(f"{folder}/special_tokens_map.json", "w") as f:
        json.dump({"bos_token": special("<|startoftext|>"), "eos_token": special("<|endoftext|>"), "pad_token": "!",
                   "unk_token": special("<|endoftext|>")}, f, indent=2)
    with open(f"{folder}/tokenizer_config.json", "w") as f:
        json.dump({"add_prefix_space": False, "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
                   "pad_token": "!", "unk_token": "<|endoftext|>", "do_lower_case": True, "model_max_length": 13,
                   "tokenizer_class": "CLIPTokenizer"}, f, indent=2)
    return len(tokens)


def halve(path):
    """Rewrites a weight file as its fp16 variant."""
    tensors = {k: v.half().contiguous() for k, v in load_file(path).items()}
    os.remove(path)
    save_file(tensors, path.replace(".safetensors", ".fp16.safetensors"), metadata={"format": "pt"})


def projection(name, shape):
    """A fixed direction to compare whole gradients along, repeated by the Swift test."""
    count = 1
    for side in shape:
        count *= side
    index = torch.arange(count, dtype=torch.float64)
    return torch.cos(0.7 * index + len(name)).reshape(shape)


out = {}

# --- a whole pipeline
folder = f"{HERE}/sd-tiny"
shutil.rmtree(folder, ignore_errors=True)
vocabulary = write_tokenizer(f"{folder}/tokenizer")
tokenizer = CLIPTokenizer.from_pretrained(f"{folder}/tokenizer")
text = randomise(CLIPTextModel(CLIPTextConfig(
    vocab_size=vocabulary, hidden_size=10, intermediate_size=14, num_hidden_layers=3, num_attention_heads=2,
    max_position_embeddings=13, hidden_act="gelu", projection_dim=6, bos_token_id=vocabulary - 2,
    eos_token_id=vocabulary - 1)), 1)
unet = randomise(UNet2DConditionModel(
    sample_size=8, block_out_channels=(8, 12), layers_per_block=1, attention_head_dim=(2, 3), norm_num_groups=4,
    cross_attention_dim=10, use_linear_projection=True, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
    up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), upcast_attention=True), 2)
vae = randomise(AutoencoderKL(
    block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2, sample_size=16,
    down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2), 3)
scheduler = DDIMScheduler(
    beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False,
    steps_offset=1)
pipeline = StableDiffusionPipeline(
    vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=scheduler, safety_checker=None,
    feature_extractor=None, requires_safety_checker=False)
for part, module, stem in [("text_encoder", text, "model"), ("unet", unet, "diffusion_pytorch_model"),
                           ("vae", vae, "diffusion_pytorch_model")]:
    module.save_pretrained(f"{folder}/{part}")
    path = f"{folder}/{part}/{stem}.safetensors"
    if part == "text_encoder":
        # As every published folder has it: the tower below `text_model.`.
        tensors = {k if k.startswith("text_model.") else f"text_model.{k}": v.contiguous() for k, v in load_file(path).items()}
        save_file(tensors, path, metadata={"format": "pt"})
    halve(path)
scheduler.save_pretrained(f"{folder}/scheduler")
with open(f"{folder}/model_index.json", "w") as f:
    json.dump({"_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__,
               "feature_extractor": [None, None], "requires_safety_checker": False, "safety_checker": [None, None],
               "scheduler": ["diffusers", "DDIMScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
               "tokenizer": ["transformers", "CLIPTokenizer"], "unet": ["diffusers", "UNet2DConditionModel"],
               "vae": ["diffusers", "AutoencoderKL"]}, f, indent=2)

prompts = ["a red cube on a table", "", "Tables, tables and CUBES! be red, red, red; 12345 cubes"]
ids = tokenizer(prompts, padding="max_length", max_length=13, truncation=True, return_tensors="pt").input_ids
with torch.no_grad():
    out["text.ids"] = ids
    out["text.states"] = text(ids).last_hidden_state

# even sides, and sides that halving does not divide
for name, seed, (height, width) in [("even", 10, (8, 6)), ("uneven", 11, (9, 7))]:
    sample, states = rand(seed, 2, 4, height, width), rand(seed + 50, 2, 5, 10)
    steps = torch.tensor([3, 977])
    out |= {f"unet.{name}.sample": sample, f"unet.{name}.text": states, f"unet.{name}.steps": steps}
    with torch.no_grad():
        out[f"unet.{name}.output"] = unet(sample, steps, states).sample

# one step of training the denoiser to predict noise
noise, noisy, states = rand(20, 2, 4, 8, 6), rand(21, 2, 4, 8, 6), rand(22, 2, 5, 10)
steps = torch.tensor([17, 640])
loss = torch.nn.functional.mse_loss(unet(noisy, steps, states).sample, noise)
loss.backward()
out |= {"train.noise": noise, "train.noisy": noisy, "train.text": states, "train.steps": steps,
        "train.loss": loss.detach()}
full = ["conv_in.weight", "time_embedding.linear_1.weight", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight",
        "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj.weight", "mid_block.resnets.1.norm2.weight",
        "mid_block.resnets.0.time_emb_proj.bias", "up_blocks.0.resnets.1.conv_shortcut.weight", "conv_out.weight"]
names, along = [], []
for name, parameter in sorted(unet.named_parameters()):
    names.append(name)
    along.append((parameter.grad.double() * projection(name, parameter.shape)).sum())
    if name in full:
        out[f"train.gradient.{name}"] = parameter.grad.clone()
out["train.along"] = torch.stack(along)

# the autoencoder both ways, at sides that halving divides and not, and one step of training it
for name, seed, (height, width) in [("even", 30, (10, 6)), ("uneven", 31, (11, 7))]:
    picture = rand(seed, 2, 3, height, width).clamp(-1, 1)
    with torch.no_grad():
        posterior = vae.encode(picture).latent_dist
        out |= {f"vae.{name}.picture": picture, f"vae.{name}.mean": posterior.mean.contiguous(),
                f"vae.{name}.logvar": posterior.logvar.contiguous()}
latents = rand(32, 2, 4, 5, 3)
picture = rand(33, 2, 3, 10, 6)
with torch.no_grad():
    out |= {"vae.latents": latents, "vae.decoded": vae.decode(latents).sample}
posterior = vae.encode(picture).latent_dist
drawn = posterior.mean + posterior.std * latents
loss = torch.nn.functional.mse_loss(vae.decode(drawn).sample, picture) + 0.01 * posterior.kl().mean()
loss.backward()
out |= {"vae.train.picture": picture, "vae.train.loss": loss.detach(),
        "vae.train.along": torch.stack([(p.grad.double() * projection(n, p.shape)).sum()
                                        for n, p in sorted(vae.named_parameters())])}

# the whole pipeline
noise = rand(40, 2, 4, 12, 8)
pipeline.set_progress_bar_config(disable=True)
result = pipeline(prompts[:1] + prompts[2:], height=24, width=16, num_inference_steps=5, guidance_scale=7.5,
                  negative_prompt=["a table"] * 2, latents=noise, output_type="pt").images
latents = pipeline(prompts[:1] + prompts[2:], height=24, width=16, num_inference_steps=5, guidance_scale=7.5,
                   negative_prompt=["a table"] * 2, latents=noise, output_type="latent").images
out |= {"pipeline.noise": noise, "pipeline.latents": latents,
        "pipeline.pictures": (result * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()}
plain = pipeline(prompts[:1], height=24, width=16, num_inference_steps=3, guidance_scale=1.0, latents=noise[:1],
                 output_type="pt").images
out["pipeline.unguided"] = (plain * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()

# --- a UNet unlike SD 2's
folder = f"{HERE}/unet-variant"
shutil.rmtree(folder, ignore_errors=True)
variant = randomise(UNet2DConditionModel(
    sample_size=None, in_channels=5, out_channels=2, center_input_sample=True, flip_sin_to_cos=False, freq_shift=1,
    block_out_channels=(9, 6, 12), layers_per_block=(1, 2, 1), attention_head_dim=3, norm_num_groups=3, norm_eps=1e-3,
    cross_attention_dim=7, use_linear_projection=False, transformer_layers_per_block=(1, 2, 1),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "CrossAttnUpBlock2D")), 4)
variant.save_pretrained(folder)
halve(f"{folder}/diffusion_pytorch_model.safetensors")
os.rename(f"{folder}/diffusion_pytorch_model.fp16.safetensors", f"{folder}/diffusion_pytorch_model.safetensors")
sample, states, steps = rand(60, 3, 5, 10, 13), rand(61, 3, 4, 7), torch.tensor([0.25, 500.5, 999.0])
with torch.no_grad():
    out |= {"variant.sample": sample, "variant.text": states, "variant.steps": steps,
            "variant.output": variant(sample, steps, states).sample}

# --- an autoencoder with old key names
folder = f"{HERE}/vae-old"
shutil.rmtree(folder, ignore_errors=True)
vae.save_pretrained(folder)
path = f"{folder}/diffusion_pytorch_model.safetensors"
names = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
old = {}
for key, value in load_file(path).items():
    for new, before in names:
        if "attentions" in key:
            key = key.replace(new, before)
    old[key] = value.half()
save_file(old, path, metadata={"format": "pt"})
with open(f"{folder}/config.json") as f:
    config = json.load(f)
for key in ["mid_block_add_attention", "use_quant_conv", "use_post_quant_conv", "latents_mean", "latents_std",
            "shift_factor", "force_upcast", "scaling_factor"]:
    config.pop(key)
with open(f"{folder}/config.json", "w") as f:
    json.dump(config, f, indent=2)
again = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
with torch.no_grad():
    assert torch.equal(again.decode(out["vae.latents"]).sample, out["vae.decoded"]), "diffusers reads the old names otherwise"

save_file({k: v.contiguous() for k, v in out.items()}, f"{HERE}/stable-diffusion.safetensors",
          metadata={k: v for k, v in sorted(VERSIONS.items())})
print({k: tuple(v.shape) for k, v in out.items()}, VERSIONS)
