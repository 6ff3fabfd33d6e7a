"""Makes heads/: GPT-2 folders whose files hold the output layer in unusual ways, and the logits that transformers gives them.

    python make_head_fixtures.py

    own       both tables are stored and differ, while the configuration says (by default) that they are one
    alone     only lm_head.weight is stored, as safetensors' save_model leaves it of two names of one tensor
    pickled   pytorch_model.bin in two shards, both names stored and equal
"""
import json, os, shutil
import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "heads")
shutil.rmtree(ROOT, ignore_errors=True)
SIZES = dict(vocab_size=29, n_positions=13, n_embd=8, n_layer=1, n_head=2, n_inner=10, bos_token_id=28, eos_token_id=28)
expected = {}
ids = torch.tensor([[3, 17, 28, 9, 0, 11, 25], [1, 2, 3, 4, 5, 6, 7]])
for seed, name in enumerate(["own", "alone", "pickled"]):
    folder = os.path.join(ROOT, name)
    os.makedirs(folder)
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**SIZES)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    config = {k: v for k, v in model.config.to_diff_dict().items() if k != "transformers_version"}
    config.pop("tie_word_embeddings", None)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1, sort_keys=True)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    if name == "own":
        state["lm_head.weight"] = torch.randn(29, 8) * 0.3
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    elif name == "alone":
        del state["transformer.wte.weight"]
        save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    else:
        keys = sorted(state)
        parts = {f"pytorch_model-{i + 1:05}-of-00002.bin": keys[i::2] for i in range(2)}
        for part, names in parts.items():
            torch.save({key: state[key] for key in names}, os.path.join(folder, part))
        with open(os.path.join(folder, "pytorch_model.bin.index.json"), "w") as file:
            json.dump({"metadata": {}, "weight_map": {k: p for p, names in parts.items() for k in names}}, file)
    with torch.no_grad():
        expected[f"{name}.logits"] = GPT2LMHeadModel.from_pretrained(folder).eval()(ids).logits
expected["ids"] = ids
save_file(expected, os.path.join(ROOT, "expected.safetensors"))
with open(os.path.join(ROOT, "versions.json"), "w") as file:
    json.dump({"torch": torch.__version__, "transformers": transformers.__version__}, file, indent=1)
