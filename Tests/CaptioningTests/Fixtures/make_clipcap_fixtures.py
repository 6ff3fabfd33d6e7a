"""Makes the ClipCap fixtures beside this file: a tiny GPT-2 with its tokenizer, training steps, state dicts, beams.

    python make_clipcap_fixtures.py      # torch (CPU), transformers, tokenizers, safetensors

The captioner is written out here in plain torch, with the key names of rmokady/CLIP_prefix_caption (Mokady et al. 2021),
padded and masked as its training does it. Every axis has another size, so that a swapped axis cannot pass.
"""

import json
import os
import shutil
from collections import OrderedDict

import safetensors
import tokenizers
import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import save_file
from torch import nn

# A torchvision built for CUDA does not load beside a CPU torch; none of its operators are needed, only their names.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

from transformers import GPT2Config, GPT2LMHeadModel

HERE = os.path.dirname(os.path.abspath(__file__))
VERSIONS = {
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "tokenizers": tokenizers.__version__,
    "safetensors": safetensors.__version__,
}
WIDTH, CONTEXT, PREFIX, CLIP_LENGTH, FEATURES = 16, 40, 5, 3, 10  # C, positions, P, L, d
BATCH, STEPS, RATE = 4, 3, 2e-3


def fresh(name):
    folder = os.path.join(HERE, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def captions():
    """64 captions, each of its own, of a closed little world."""
    colours = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange"]
    things = ["dog", "boat", "kite", "train", "horse", "clock", "cake", "zebra"]
    places = ["on a beach", "in the snow", "near a river", "under a tree", "beside the road", "on a table", "at night", "in a park"]
    verbs = ["stands", "lies", "waits", "moves"]
    return [
        f"A {colours[i % 8]} {things[(i * 3 + i // 8) % 8]} {verbs[i % 4]} {places[(i * 5 + i // 8) % 8]}."
        for i in range(64)
    ]


def tokenizer(folder):
    model = tokenizers.ByteLevelBPETokenizer()
    model.train_from_iterator(captions(), vocab_size=330, min_frequency=2)
    model.add_special_tokens(["<|endoftext|>"])  # the last id; 0 is "!", as in GPT-2
    model.save(os.path.join(folder, "tokenizer.json"))
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as file:
        json.dump({"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"}, file)
    with open(os.path.join(folder, "captions.json"), "w") as file:
        json.dump(captions(), file, indent=0)
    return model


def language_model(vocabulary, seed):
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=CONTEXT, n_embd=WIDTH, n_layer=2, n_head=4,
        bos_token_id=vocabulary - 1, eos_token_id=vocabulary - 1)
    model = GPT2LMHeadModel(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if ".ln_" in name:
                parameter.copy_((1 if name.endswith("weight") else 0) + 0.2 * noise)
            elif parameter.dim() < 2:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(noise * (0.5 if "wte" in name else 0.3))
    return model.eval()


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(
            nn.Linear(FEATURES, WIDTH * PREFIX // 2), nn.Tanh(), nn.Linear(WIDTH * PREFIX // 2, WIDTH * PREFIX))

    def forward(self, x):
        return self.model(x)


class Attention(nn.Module):
    def __init__(self, heads=8):
        super().__init__()
        self.heads = heads
        self.to_queries = nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_keys_values = nn.Linear(WIDTH, 2 * WIDTH, bias=False)
        self.project = nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        batch, length, width = x.shape
        size = width // self.heads
        queries = self.to_queries(x).view(batch, length, self.heads, size)
        both = self.to_keys_values(x).view(batch, length, 2, self.heads, size)
        keys, values = both[:, :, 0], both[:, :, 1]
        scores = torch.einsum("bqhs,bkhs->bhqk", queries, keys) * size**-0.5
        mixed = torch.einsum("bhqk,bkhs->bqhs", scores.softmax(-1), values)
        return self.project(mixed.reshape(batch, length, width))


class Feed(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.attn, self.norm2, self.mlp = nn.LayerNorm(WIDTH), Attention(), nn.LayerNorm(WIDTH), Feed()

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Layers(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.layers = nn.ModuleList(Layer() for _ in range(count))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class TransformerMapper(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        self.transformer = Layers(layers)
        self.linear = nn.Linear(FEATURES, CLIP_LENGTH * WIDTH)
        self.prefix_const = nn.Parameter(torch.randn(PREFIX, WIDTH))

    def forward(self, x):
        image = self.linear(x).view(len(x), CLIP_LENGTH, WIDTH)
        learned = self.prefix_const.expand(len(x), PREFIX, WIDTH)
        return self.transformer(torch.cat([image, learned], 1))[:, CLIP_LENGTH:]


class Captioner(nn.Module):
    def __init__(self, gpt, clip_project):
        super().__init__()
        self.gpt, self.clip_project = gpt, clip_project

    def prefix(self, features):
        return self.clip_project(features).view(-1, PREFIX, WIDTH)

    def logits(self, tokens, mask, features):
        inputs = torch.cat([self.prefix(features), self.gpt.transformer.wte(tokens)], 1)
        mask = torch.cat([torch.ones(len(tokens), PREFIX), mask], 1)
        return self.gpt(inputs_embeds=inputs, attention_mask=mask).logits[:, PREFIX - 1 : -1]


def batches(vocabulary, seed):
    """Rows of ids, 0 among them, and embeddings; lengths differ within a batch."""
    generator = torch.Generator().manual_seed(seed)
    result = []
    for step in range(STEPS):
        lengths = torch.randint(3, 10, (BATCH,), generator=generator).tolist()
        rows = [torch.randint(0, vocabulary, (n,), generator=generator).tolist() for n in lengths]
        rows[step % BATCH][1] = 0
        result.append((rows, torch.randn(BATCH, FEATURES, generator=generator) * 3))
    return result


def train(name, mapper, vocabulary, frozen, original, normalized):
    torch.manual_seed(len(name))
    model = Captioner(language_model(vocabulary, seed=1), mapper())
    tensors = {f"start.{key}": value.clone() for key, value in model.clip_project.state_dict().items()}
    if frozen:
        model.gpt.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0, eps=1e-6 if original else 1e-8)
    losses = []
    for step, (rows, features) in enumerate(batches(vocabulary, seed=7)):
        length = max(map(len, rows))
        tokens = torch.zeros(BATCH, length, dtype=torch.long)
        mask = torch.zeros(BATCH, length)
        labels = torch.full((BATCH, length), 0 if original else -100)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)] = torch.tensor(ids)
            mask[row, : len(ids)] = 1
            labels[row, : len(ids)] = torch.tensor(ids)
        inputs = F.normalize(features) if normalized else features
        logits = model.logits(tokens, mask, inputs)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.flatten(), ignore_index=0 if original else -100)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            for key, parameter in model.named_parameters():
                if parameter.grad is not None:
                    tensors[f"gradient.{key}"] = parameter.grad.clone()
        if not original:
            nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.item())
        tensors[f"features.{step}"] = features
        tensors[f"tokens.{step}"] = tokens
        tensors[f"lengths.{step}"] = torch.tensor([len(ids) for ids in rows])
    for key, parameter in model.named_parameters():
        if parameter.requires_grad:
            tensors[f"trained.{key}"] = parameter.detach().clone()
    tensors["losses"] = torch.tensor(losses, dtype=torch.float64)
    save_file(tensors, os.path.join(fresh(name), "expected.safetensors"), metadata=VERSIONS)
    return model


def published(model):
    """The state dict as the authors' transformers 4.10 wrote it: the causal mask of every layer is in it."""
    state = OrderedDict()
    for key, value in model.state_dict().items():
        state[key] = value
        if key.startswith("gpt.") and key.endswith("ln_1.bias"):
            stem = key[: -len("ln_1.bias")]
            state[f"{stem}attn.bias"] = torch.tril(torch.ones(CONTEXT, CONTEXT, dtype=torch.uint8))[None, None]
            state[f"{stem}attn.masked_bias"] = torch.tensor(-1e4)
    state["gpt.lm_head.weight"] = state["gpt.transformer.wte.weight"]
    state._metadata = OrderedDict({"": {"version": 1}})
    return state


@torch.no_grad()
def search(model, features, stop, beams=5, steps=12):
    """ClipCap's own beam search, for one image: mean log-probability ranks ended and open beams together at every step."""
    prefix = model.prefix(features[None])
    found = None
    for step in range(steps):
        if found is None:
            scores = model.gpt(inputs_embeds=prefix).logits[0, -1].log_softmax(-1)
            best = scores.topk(beams)
            found = [([token], score, 1, token == stop) for score, token in zip(best.values.tolist(), best.indices.tolist())]
        else:
            candidates = []
            for ids, total, length, ended in found:
                if ended:
                    candidates.append((total / length, ids, total, length, None, 0.0))
                    continue
                inputs = torch.cat([prefix, model.gpt.transformer.wte(torch.tensor([ids]))], 1)
                scores = model.gpt(inputs_embeds=inputs).logits[0, -1].log_softmax(-1)
                for token, score in enumerate(scores.tolist()):
                    candidates.append(((total + score) / (length + 1), ids, total, length, token, score))
            candidates.sort(key=lambda entry: -entry[0])
            found = [
                (ids, total, length, True) if token is None else (ids + [token], total + score, length + 1, token == stop)
                for _, ids, total, length, token, score in candidates[:beams]
            ]
        if all(ended for *_, ended in found):
            break
    found.sort(key=lambda beam: -beam[1] / beam[2])
    return [{"tokens": ids, "score": total / length} for ids, total, length, _ in found]


def main():
    folder = fresh("gpt2")
    words = tokenizer(folder)
    vocabulary = words.get_vocab_size()
    assert words.token_to_id("!") == 0 and words.token_to_id("<|endoftext|>") == vocabulary - 1
    gpt = language_model(vocabulary, seed=1)
    gpt.save_pretrained(folder)
    os.remove(os.path.join(folder, "generation_config.json"))

    mlp = train("mlp", MLP, vocabulary, frozen=False, original=False, normalized=True)
    transformer = train("transformer", TransformerMapper, vocabulary, frozen=True, original=True, normalized=False)

    folder = fresh("state-dicts")
    torch.save(published(mlp), os.path.join(folder, "mlp.pt"))
    torch.save(published(transformer), os.path.join(folder, "transformer.pt"))
    mapper_alone = OrderedDict((k, v) for k, v in mlp.state_dict().items() if k.startswith("clip_project."))
    torch.save(mapper_alone, os.path.join(folder, "mapper.pt"))
    torch.save(mapper_alone, os.path.join(folder, "legacy.pt"), _use_new_zipfile_serialization=False)
    torch.save([torch.zeros(2)], os.path.join(folder, "list.pt"))
    torch.save({"epoch": 3, "model": mapper_alone}, os.path.join(folder, "nested.pt"))
    parallel = OrderedDict((f"module.{k}", v) for k, v in mapper_alone.items())
    torch.save({"epoch": 3, "state_dict": parallel}, os.path.join(folder, "parallel.pt"))
    torch.save(OrderedDict({"clip_project.model.0.weight": torch.zeros(3, 2)}), os.path.join(folder, "foreign.pt"))

    class Call:
        def __reduce__(self):
            return (print, ("this must not run",))

    torch.save({"a": Call()}, os.path.join(folder, "call.pt"))

    generator = torch.Generator().manual_seed(11)
    features = torch.randn(3, FEATURES, generator=generator) * 3
    # A random model seldom says "."; tokens that it does say stand in for it, so that beams end early, late and never.
    stops = [words.encode(".").ids[0], 22, 28, 191, 245]
    expected = {"versions": VERSIONS, "features": features.flatten().tolist(), "cases": []}
    for name, model in [("mlp", mlp), ("transformer", transformer)]:
        for stop in stops:
            images = [search(model, row, stop) for row in features]
            expected["cases"].append({"model": name, "stop": stop, "images": images})
    with open(os.path.join(folder, "beams.json"), "w") as file:
        json.dump(expected, file)
    # Every dtype and container that a state dict may hold.
    kinds = OrderedDict()
    for dtype in [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool]:
        kinds[str(dtype)[6:]] = (torch.arange(6).reshape(2, 3) % 2 if dtype == torch.bool else torch.arange(6).reshape(2, 3)).to(dtype)
    kinds["view"] = torch.arange(12, dtype=torch.float32).reshape(3, 4).t()[1:3]
    kinds["scalar"] = torch.tensor(2.5)
    kinds["parameter"] = nn.Parameter(torch.ones(2))
    torch.save(kinds, os.path.join(folder, "kinds.pt"))


main()
