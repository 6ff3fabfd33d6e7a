"""Writes a GPT-2 (small, 124 million random parameters) with what transformers computes, for GMAIL_GPT2_REFERENCE.

    python make_gpt2_reference.py FOLDER [--model HF_FOLDER]

Half a gigabyte, so it is not shipped. With --model the weights of that folder are used instead of random ones, any size
whose context holds 49 positions; keys that transformers misses or does not know are an error.
"""
import argparse, json
import torch

_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--model")
arguments = parser.parse_args()
torch.manual_seed(0)
if arguments.model:
    model, loading = GPT2LMHeadModel.from_pretrained(arguments.model, output_loading_info=True)
    assert not any(loading.values()), loading
else:
    model = GPT2LMHeadModel(GPT2Config())
    with torch.no_grad():
        # Wider than at the start of training, so that predictions differ; what is written to the residual stream stays.
        model.transformer.wte.weight.mul_(4)
        for block in model.transformer.h:
            block.attn.c_attn.weight.mul_(2)
model.eval()
ids = torch.randint(0, model.config.vocab_size, (3, 37))
mask = torch.ones_like(ids)
mask[1, :5] = 0
mask[2, :21] = 0
positions = (mask.cumsum(-1) - 1).clamp(min=0)
with torch.no_grad():
    logits = model(ids, attention_mask=mask, position_ids=positions).logits
    options = dict(attention_mask=mask, pad_token_id=model.config.vocab_size - 1, eos_token_id=None, max_new_tokens=12)
    greedy = model.generate(ids, do_sample=False, **options)[:, 37:]
    beams = model.generate(ids, do_sample=False, num_beams=5, **options)[:, 37:]
model.save_pretrained(arguments.folder)
save_file({"ids": ids, "mask": mask, "positions": positions, "logits": logits.contiguous(), "greedy": greedy.contiguous(),
           "beams": beams.contiguous()}, f"{arguments.folder}/expected.safetensors",
          {"torch": torch.__version__, "transformers": transformers.__version__})
print(json.dumps({"logit_range": [float(logits.min()), float(logits.max())], "beams": beams.tolist()}))
