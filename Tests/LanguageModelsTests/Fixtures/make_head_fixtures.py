"""Makes the fixture folder heads: a tiny GPT-2 whose output layer is stored in every way, and transformers' logits.

    python make_head_fixtures.py

Made with transformers 5.24.0, torch 2.13.0, safetensors 0.8. Deterministic.
"""
import json, os, shutil, tempfile
import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from safetensors.torch import save_file, save_model
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "heads")
shutil.rmtree(HERE, ignore_errors=True)
os.makedirs(HERE)
torch.manual_seed(4)
torch.set_num_threads(1)

config = GPT2Config(vocab_size=23, n_positions=9, n_embd=10, n_layer=2, n_head=5, n_inner=14, bos_token_id=22, eos_token_id=22)
model = GPT2LMHeadModel(config).eval()
with torch.no_grad():
    for p in model.parameters():
        p.copy_(torch.randn(p.shape) * 0.3)
state = {k: v.clone() for k, v in model.state_dict().items()}
head = torch.randn(23, 10) * 0.3
ids = torch.randint(0, 23, (2, 6))
expected = {"ids": ids, "head": head}


def variant(name, tensors, tied):
    """Logits of a folder with these tensors, and with tie_word_embeddings true, false or absent."""
    with tempfile.TemporaryDirectory() as folder:
        settings = config.to_dict()
        del settings["tie_word_embeddings"]
        if tied is not None:
            settings["tie_word_embeddings"] = tied
        json.dump(settings, open(os.path.join(folder, "config.json"), "w"))
        save_file({k: v.clone() for k, v in tensors.items()}, os.path.join(folder, "model.safetensors"), {"format": "pt"})
        with torch.no_grad():
            logits = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()(ids).logits
    expected[f"logits.{name}"] = logits


alone = {k: v for k, v in state.items() if k != "lm_head.weight"}
embedding = "transformer.wte.weight"
variant("copy", state, None)
variant("other", {**state, "lm_head.weight": head}, True)
variant("other absent", {**state, "lm_head.weight": head}, None)
variant("untied", {**state, "lm_head.weight": head}, False)
variant("head alone", {k: v for k, v in {**state, "lm_head.weight": head}.items() if k != embedding}, True)
variant("none", alone, True)
bare = {k.removeprefix("transformer."): v for k, v in alone.items()}
variant("bare other", {**bare, "lm_head.weight": head}, None)
variant("bare head alone", {k: v for k, v in {**bare, "lm_head.weight": head}.items() if k != "wte.weight"}, None)

settings = config.to_dict()
del settings["tie_word_embeddings"]
json.dump(settings, open(os.path.join(HERE, "config.json"), "w"), indent=1, sort_keys=True)
save_file({**alone, **expected}, os.path.join(HERE, "tensors.safetensors"))
torch.save(model.state_dict(), os.path.join(HERE, "pytorch_model.bin"))
save_model(model, os.path.join(HERE, "save_model.safetensors"))
