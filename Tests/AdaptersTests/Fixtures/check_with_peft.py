"""Reads adapter folders with peft.PeftModel.from_pretrained and compares outputs: the other half of the round trip.

    GMAIL_PEFT_CHECK=FOLDER swift test --filter filesForPEFTItself     # leaves adapters in FOLDER
    python check_with_peft.py FOLDER

`expected.safetensors` of every adapter holds what the Swift side was given and computed: `pixel_values` and `image_embeds` of
the CLIP or the SigLIP beside this file, or `input_ids` and `logits` of the GPT-2. Exit code 1 when something differs by more than 1e-5, when
PEFT reports missing or unexpected keys, or when it warns of anything about the adapter.
"""

import json
import os
import sys
import warnings

import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from peft import PeftModel
from safetensors.torch import load_file
from transformers import CLIPModel, CLIPVisionModelWithProjection, GPT2LMHeadModel, SiglipConfig, SiglipModel

HERE = os.path.dirname(os.path.abspath(__file__))


def model_for(folder, expected):
    if "logits" in expected:
        return GPT2LMHeadModel.from_pretrained(os.path.join(HERE, "gpt2"))
    with open(os.path.join(folder, "adapter_config.json")) as file:
        configuration = json.load(file)
    if configuration["base_model_name_or_path"] == "siglip":
        # Not from_pretrained: an adapter of the other direction lies in the folder, which transformers would load too.
        siglip = SiglipModel(SiglipConfig.from_pretrained(os.path.join(HERE, "siglip")))
        siglip.load_state_dict(load_file(os.path.join(HERE, "siglip", "model.safetensors")))
        return siglip
    made_for = (configuration["auto_mapping"] or {}).get("base_model_class")
    clip = CLIPModel.from_pretrained(os.path.join(HERE, "base"))
    if made_for != "CLIPVisionModelWithProjection":
        return clip
    config = clip.config.vision_config
    config.projection_dim = clip.config.projection_dim
    tower = CLIPVisionModelWithProjection(config)
    tower.vision_model.load_state_dict(clip.vision_model.state_dict())
    tower.visual_projection.load_state_dict(clip.visual_projection.state_dict())
    return tower


def outputs(model, expected):
    with torch.no_grad():
        if "logits" in expected:
            return model(input_ids=expected["input_ids"]).logits
        if isinstance(model, SiglipModel):
            return model.vision_model(pixel_values=expected["pixel_values"]).pooler_output
        return model.visual_projection(model.vision_model(pixel_values=expected["pixel_values"]).pooler_output)


failed = False
for name in sorted(os.listdir(sys.argv[1])):
    folder = os.path.join(sys.argv[1], name)
    expected = load_file(os.path.join(folder, "expected.safetensors"))
    plain = outputs(model_for(folder, expected).eval(), expected)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(missing|unexpected|adapter|fan_in_fan_out|matched).*")
        model = PeftModel.from_pretrained(model_for(folder, expected), folder).eval()
    got = outputs(model.base_model.model, expected)
    difference = (got - expected["logits" if "logits" in expected else "image_embeds"]).abs().max().item()
    print(f"{name}: largest difference {difference:.2e}, of the adapter itself {(got - plain).abs().max().item():.2e}")
    failed = failed or difference > 1e-5 or torch.equal(got, plain)
sys.exit(failed)
