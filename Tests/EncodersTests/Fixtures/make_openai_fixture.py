"""Makes `openai/`: a tiny random CLIP as OpenAI's own checkpoints hold theirs, and its answers.

    python make_openai_fixture.py          # open_clip_torch, safetensors, torch (CPU)

What sets that layout apart from Hugging Face's: attention projections fused in `in_proj_*`, `visual.proj` and
`text_projection` as [in, out], no prefix of the text tower, weights of products in float16 beside norms and embeddings in
float32, and three numbers beside the weights (`input_resolution`, `context_length`, `vocab_size`). open_clip's CLIP has the
same keys, so it loads the file strictly and gives the answers, in float32 from the same rounded weights.
"""

import json
import os
import shutil

import torch

_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import open_clip
import safetensors
from open_clip.model import convert_weights_to_lp
from safetensors.torch import load_file, save_file

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "openai")
SIZE, PATCH, WIDTH, HEADS, LAYERS = 21, 7, 24, 3, 2  # image tower
CONTEXT, VOCABULARY, TEXT_WIDTH, TEXT_HEADS, TEXT_LAYERS = 9, 59, 20, 2, 3
DIMENSION = 14


def build():
    return open_clip.CLIP(
        embed_dim=DIMENSION, quick_gelu=True,
        vision_cfg={"image_size": SIZE, "layers": LAYERS, "width": WIDTH, "patch_size": PATCH, "head_width": WIDTH // HEADS},
        text_cfg={"context_length": CONTEXT, "vocab_size": VOCABULARY, "width": TEXT_WIDTH, "heads": TEXT_HEADS,
                  "layers": TEXT_LAYERS}).eval()


model = build()
generator = torch.Generator().manual_seed(11)
with torch.no_grad():
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name == "logit_scale":
            parameter.fill_(2.5)
        elif "ln_" in name:
            parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
        elif parameter.dim() < 2:
            parameter.copy_(0.1 * noise)
        else:
            parameter.copy_(noise * parameter.shape[-1] ** -0.5)
convert_weights_to_lp(model, dtype=torch.float16)
state = {key: value.contiguous() for key, value in model.state_dict().items()}
assert "visual.transformer.resblocks.0.attn.in_proj_weight" in state and "positional_embedding" in state
assert state["visual.proj"].dtype == torch.float16 and state["ln_final.weight"].dtype == torch.float32
state |= {"input_resolution": torch.tensor(SIZE), "context_length": torch.tensor(CONTEXT), "vocab_size": torch.tensor(VOCABULARY)}
shutil.rmtree(FOLDER, ignore_errors=True)
os.makedirs(FOLDER)
save_file(state, f"{FOLDER}/model.safetensors")

# The answers come from the file: read back without the three numbers, widened, loaded strictly.
stored = load_file(f"{FOLDER}/model.safetensors")
for key in ("input_resolution", "context_length", "vocab_size"):
    del stored[key]
reference = build()
reference.load_state_dict({key: value.float() for key, value in stored.items()}, strict=True)
pixels = torch.randn(2, 3, SIZE, SIZE, generator=generator)
ids = torch.randint(3, VOCABULARY - 4, (3, CONTEXT), generator=generator)
for row, end in enumerate((2, 4, CONTEXT - 1)):
    ids[row, end] = VOCABULARY - 1  # the end token is the largest id
    ids[row, end + 1 :] = 0
with torch.no_grad():
    expected = {"pixel_values": pixels, "input_ids": ids, "image_embeds": reference.encode_image(pixels),
                "text_embeds": reference.encode_text(ids)}
versions = {"torch": torch.__version__, "open_clip": open_clip.__version__, "safetensors": safetensors.__version__}
save_file({k: v.contiguous() for k, v in expected.items()}, f"{FOLDER}/expected.safetensors", metadata=versions)
config = {
    "model_type": "clip", "projection_dim": DIMENSION,
    "text_config": {"vocab_size": VOCABULARY, "hidden_size": TEXT_WIDTH, "intermediate_size": 4 * TEXT_WIDTH,
                    "num_hidden_layers": TEXT_LAYERS, "num_attention_heads": TEXT_HEADS, "max_position_embeddings": CONTEXT,
                    "hidden_act": "quick_gelu", "eos_token_id": 2, "pad_token_id": 0},
    "vision_config": {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": LAYERS,
                      "num_attention_heads": HEADS, "image_size": SIZE, "patch_size": PATCH, "hidden_act": "quick_gelu"}}
with open(f"{FOLDER}/config.json", "w") as file:
    json.dump(config, file, indent=1)
print(json.dumps(versions))
