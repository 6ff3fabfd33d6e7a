"""Reads an adapter folder with peft.PeftModel.from_pretrained and compares embeddings: the other half of the round trip.

    python check_with_peft.py MODEL_FOLDER ADAPTER_FOLDER EMBEDDINGS.safetensors

EMBEDDINGS holds `pixel_values` [B, 3, S, S] and `image_embeds` [B, E], as the Swift side computed them. Exit code 1 when
they differ by more than 1e-5, or when PEFT reports missing or unexpected keys. AdaptersTests writes such a set of files
when GMAIL_PEFT_CHECK names a folder.
"""

import sys
import warnings

import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from peft import PeftModel
from safetensors.torch import load_file
from transformers import CLIPModel

model_folder, adapter_folder, embeddings = sys.argv[1:]
expected = load_file(embeddings)
with warnings.catch_warnings():
    warnings.filterwarnings("error", message=".*(missing|unexpected).*adapter.*")
    model = PeftModel.from_pretrained(CLIPModel.from_pretrained(model_folder), adapter_folder).eval()
with torch.no_grad():
    clip = model.base_model.model
    got = clip.visual_projection(clip.vision_model(pixel_values=expected["pixel_values"]).pooler_output)
    base = CLIPModel.from_pretrained(model_folder).eval()
    plain = base.visual_projection(base.vision_model(pixel_values=expected["pixel_values"]).pooler_output)
difference = (got - expected["image_embeds"]).abs().max().item()
print(f"largest difference {difference:.2e}, of the adapter itself {(got - plain).abs().max().item():.2e}")
sys.exit(difference > 1e-5 or torch.equal(got, plain))
