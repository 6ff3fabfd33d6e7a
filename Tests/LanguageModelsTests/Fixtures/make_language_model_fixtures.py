"""Makes the fixtures of LanguageModelsTests: tiny GPT-2 models and what transformers computes and generates with them.

    python make_language_model_fixtures.py

Deterministic; versions go to versions.json. Every axis has another size, so that a swapped one cannot pass.
"""
import collections, json, os, shutil, sys
import torch

# A torchvision built for CUDA does not load beside a CPU torch; transformers needs its operators' names alone.
_names = torch.library.Library("torchvision", "DEF")
_names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
_names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import transformers
from safetensors.torch import save_file
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_num_threads(1)
MASK = (1 << 64) - 1


def path(*names):
    return os.path.join(HERE, *names)


def numbers(seed):
    """Uniform numbers in [0, 1); the tests have the same generator."""
    state = seed
    while True:
        state = (state * 6364136223846793005 + 1442695040888963407) & MASK
        yield (state >> 11) / 2**53


def randomize(model, seed, scale):
    """Weights wide enough that predictions differ from token to token."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(model.named_parameters()):
            p.copy_(torch.randn(p.shape, generator=generator) * scale)
            if "ln_" in name and name.endswith("weight"):
                p.add_(1)
    return model.eval()


def make(name, seed, scale, shard=None, base=False, **sizes):
    folder = path(name)
    shutil.rmtree(folder, ignore_errors=True)
    model = randomize(GPT2LMHeadModel(GPT2Config(**sizes)), seed, scale)
    saved = model.transformer if base else model
    saved.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    extra = os.path.join(folder, "generation_config.json")
    if os.path.exists(extra):
        os.remove(extra)
    return model


# A byte-level vocabulary of 101 tokens: characters, some pairs, and the end-of-text token.
characters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["\u0120", ".", ",", "!"]
pairs = [(a, b) for a in ["\u0120", "t", "s", "e", "o", "a", "n"] for b in "abcdefghij"]
vocabulary = characters + [a + b for a, b in pairs] + ["<|endoftext|>"]
assert len(vocabulary) == 101

tiny = make("tiny", 1, 0.25, vocab_size=101, n_positions=64, n_embd=30, n_layer=3, n_head=5, n_inner=52,
            bos_token_id=100, eos_token_id=100)
with open(path("tiny", "vocab.json"), "w") as f:
    json.dump({t: i for i, t in enumerate(vocabulary)}, f)
with open(path("tiny", "merges.txt"), "w") as f:
    f.write("#version: 0.2\n" + "\n".join(f"{a} {b}" for a, b in pairs) + "\n")
tokenizer = GPT2Tokenizer.from_pretrained(path("tiny"))

# Untied, other activation, layer-scaled attention, in shards.
odd = make("odd-sharded", 2, 0.2, shard="9KB", vocab_size=37, n_positions=19, n_embd=12, n_layer=2, n_head=3, n_inner=20,
           activation_function="gelu", scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False,
           bos_token_id=36, eos_token_id=[36, 35])
# OpenAI's layout: no prefix, and the masks that old files carry.
base = make("base-layout", 3, 0.2, base=True, vocab_size=23, n_positions=11, n_embd=8, n_layer=2, n_head=2, n_inner=None,
            bos_token_id=22, eos_token_id=22)
state = {k: v.contiguous() for k, v in base.transformer.state_dict().items()}
for layer in range(2):
    state[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(11, 11)).view(1, 1, 11, 11)
    state[f"h.{layer}.attn.masked_bias"] = torch.tensor(-10000.0)
save_file(state, path("base-layout", "model.safetensors"), {"format": "pt"})

# Logits, with and without padding and prefix; gradients. ----------------------------------------------------------------
generator = torch.Generator().manual_seed(9)
expected = {}
with torch.no_grad():
    for name, model, vocab in [("tiny", tiny, 101), ("odd", odd, 37), ("base", base, 23)]:
        ids = torch.randint(0, vocab, (4, 7), generator=generator)
        expected[f"{name}.ids"] = ids
        expected[f"{name}.logits"] = model(ids).logits
    ids = expected["tiny.ids"]
    mask = torch.ones(4, 7, dtype=torch.long)
    for row, padding in enumerate([0, 3, 1, 6]):
        mask[row, :padding] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    expected["tiny.mask"] = mask
    expected["tiny.positions"] = positions
    expected["tiny.padded_logits"] = tiny(ids, attention_mask=mask, position_ids=positions).logits
    expected["tiny.masked_logits"] = tiny(ids, attention_mask=mask).logits  # positions counted over the padding
    prefix = torch.randn(4, 5, 30, generator=generator)
    expected["tiny.prefix"] = prefix
    both = torch.cat([prefix, tiny.transformer.wte(ids)], 1)
    expected["tiny.prefix_logits"] = tiny(inputs_embeds=both).logits

odd.config.resid_pdrop = odd.config.embd_pdrop = odd.config.attn_pdrop = 0.0
labels = expected["odd.ids"].clone()
labels[1, 4:] = -100
loss = odd(expected["odd.ids"], labels=labels).loss
loss.backward()
expected["odd.labels"] = labels
expected["odd.loss"] = loss.detach()
for name, p in odd.named_parameters():
    expected[f"odd.grad.{name}"] = p.grad
save_file({k: v.contiguous() for k, v in expected.items()}, path("expected.safetensors"))

# Generation: 200 prompts of 1 to 12 tokens, in batches of 8 with padding on the left. ----------------------------------
source = numbers(5)
prompts = [[int(next(source) * 100) for _ in range(1 + int(next(source) * 12))] for _ in range(200)]
PAD = 100


def batches(size=8):
    for start in range(0, len(prompts), size):
        part = prompts[start:start + size]
        longest = max(map(len, part))
        ids = torch.tensor([[PAD] * (longest - len(p)) + p for p in part])
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in part])
        yield start, longest, ids, mask


def generate(stops=(), strings=(), minimum=0, per_prompt=1, **options):
    """New tokens of each prompt's sequences, cut after the one that ended them; scores of beams."""
    tokens, scores = [], []
    for start, longest, ids, mask in batches():
        generate.start = start
        # Rows that a stop string ended are filled up with padding only where there are stop tokens, so it stands in as one.
        ends = list(stops) or ([PAD] if strings else None)
        out = tiny.generate(ids, attention_mask=mask, pad_token_id=PAD, eos_token_id=ends,
                            stop_strings=list(strings) or None, tokenizer=tokenizer if strings else None,
                            min_new_tokens=minimum or None, num_return_sequences=per_prompt,
                            return_dict_in_generate=True, output_scores=True, **options)
        for row in out.sequences[:, longest:].tolist():
            ends = [i for i, t in enumerate(row) if t in stops]
            row = row[:ends[0] + 1] if ends else row
            # Without stop strings a row without a stop token has its full length, and PAD in it was generated.
            while strings and row and row[-1] == PAD and PAD not in stops:
                row.pop()
            tokens.append(row)
        if getattr(out, "sequences_scores", None) is not None:
            scores += [round(float(s), 6) for s in out.sequences_scores]
    return tokens, scores


plain, _ = generate(do_sample=False, max_new_tokens=15)
counts = sorted(((sum(t in r[1:] for r in plain), t) for t in range(100)), reverse=True)
common, second = counts[2][1], counts[6][1]
assert PAD not in sum(plain, []), "the padding token was generated: pick another seed"
texts = [tokenizer.decode(r) for r in plain]
# Texts that occur often, wherever in tokens they begin and end.
strings = []
for width in [2, 3, 4]:
    found = collections.Counter(w for t in texts
                                for w in {t[i:i + width] for i in range(len(t) - width + 1)} if w.isalpha())
    strings.append(found.most_common(2)[1][0])
print(strings, file=sys.stderr)

cases = []


def case(name, settings, **options):
    tokens, scores = generate(**options)
    cases.append({"name": name, **settings, "tokens": tokens, "scores": scores})
    lengths = sorted({len(t) for t in tokens})
    ended = sum(any(w in tokenizer.decode(t) for w in settings["strings"]) for t in tokens)
    print(f"{name}: {len(tokens)} sequences, lengths {lengths}, {ended} with a stop string", file=sys.stderr)


def beams(name, penalty, early, stops, maximum, minimum=0, count=5, per_prompt=1, strings=()):
    case(name, {"strategy": "beams", "penalty": penalty, "early": str(early).lower(), "stops": stops, "maximum": maximum,
                "minimum": minimum, "beams": count, "perPrompt": per_prompt, "strings": list(strings)},
         stops=stops, minimum=minimum, per_prompt=per_prompt, do_sample=False, num_beams=count, length_penalty=penalty,
         early_stopping=early, max_new_tokens=maximum, strings=strings)


case("greedy", {"strategy": "greedy", "stops": [], "maximum": 15, "minimum": 0, "strings": []}, do_sample=False, max_new_tokens=15)
case("greedy, stop tokens, minimum", {"strategy": "greedy", "stops": [common, second], "maximum": 15, "minimum": 4, "strings": []},
     stops=[common, second], minimum=4, do_sample=False, max_new_tokens=15)
case("greedy, stop strings", {"strategy": "greedy", "stops": [], "maximum": 15, "minimum": 0, "strings": strings},
     strings=strings, do_sample=False, max_new_tokens=15)
beams("beams, heuristic", 1.0, False, [common], 12)
beams("beams, full", 1.0, True, [common, second], 20)
beams("beams, never", 1.0, "never", [common], 9)
beams("beams, no penalty, never", 0.0, "never", [common, second], 15)
beams("beams, long, heuristic, all returned", 2.0, False, [common, second], 9, per_prompt=5)
beams("beams, short, full", -0.7, True, [common], 17)
beams("beams, short, never, minimum", -0.7, "never", [common, second], 11, minimum=3)
beams("beams, no stop", 1.0, False, [], 6)
beams("three beams, stop strings", 0.6, False, [common], 12, count=3, strings=strings)

# Sampling: `torch.multinomial` is replaced by the inverse distribution function over given uniform numbers.
LENGTH = 13


def sampled(temperature, k, p, stops, minimum=0, per_prompt=1):
    source = numbers(77)
    table = [[next(source) for _ in range(LENGTH)] for _ in range(len(prompts) * per_prompt)]
    step = {"start": None, "index": 0}
    original = torch.multinomial

    def pick(probabilities, num_samples):
        if step["start"] != generate.start:
            step.update(start=generate.start, index=0)
        values, order = probabilities.double().sort(descending=True, stable=True)
        chosen = []
        for row in range(len(values)):
            u = table[step["start"] * per_prompt + row][step["index"]]
            total = values[row].cumsum(0)
            chosen.append(order[row][int((total <= u * total[-1]).sum())])
        step["index"] += 1
        return torch.stack(chosen)[:, None]

    torch.multinomial = pick
    try:
        case(f"sampling {temperature} {k} {p}",
             {"strategy": "sampling", "temperature": temperature, "topK": k, "topP": p, "stops": stops, "maximum": LENGTH,
              "minimum": minimum, "perPrompt": per_prompt, "strings": []},
             stops=stops, minimum=minimum, per_prompt=per_prompt, do_sample=True, temperature=temperature, top_k=k or 0,
             top_p=p, max_new_tokens=LENGTH)
    finally:
        torch.multinomial = original


sampled(1.0, None, 1.0, [common])
sampled(0.7, 9, 1.0, [common, second], minimum=2)
sampled(1.3, None, 0.8, [common])
sampled(0.9, 20, 0.6, [common], per_prompt=2)

with open(path("generation.json"), "w") as f:
    json.dump({"prompts": prompts, "cases": cases}, f, separators=(",", ":"))
with open(path("versions.json"), "w") as f:
    json.dump({"torch": torch.__version__, "transformers": transformers.__version__}, f)
