"""Writes added-tokens.json and its base folders: folders that declare added and special tokens in every layout, and what
transformers makes of drawn texts with them. Deterministic.

Run: python make_added_token_fixtures.py SHARED   (SHARED/data/tokenizers holds CLIP's and GPT-2's vocabularies)

Made with transformers 5.24.0, tokenizers 0.23.3, Python 3.11.
"""
import base64
import gzip
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import unicodedata
import zlib

import transformers
from transformers import CLIPTokenizer, GPT2Tokenizer, PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()
here = os.path.dirname(os.path.abspath(__file__))
shared = os.path.join(sys.argv[1], "data", "tokenizers")
CLASSES = {"clip": CLIPTokenizer, "gpt2": GPT2Tokenizer}
ROLES = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]


def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def store(name, value):
    with open(os.path.join(here, name), "w", encoding="utf-8") as f:
        f.write(dump(value))


def packed(ids):
    return base64.b64encode(struct.pack(f"<{len(ids)}H", *ids)).decode()


# Base folders --------------------------------------------------------------------------------------------------------
def alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(0x100 + i) for i in range(len(rest))]


def base_folders():
    merges = ["t h", "th e", "Ġ the", "Ġ a", "d o", "do g", "Ġ dog", "Ġ d", "i n", "b a", "ba r", "f o", "fo o", "Ġ foo", "Ã ©", "< x", "i m", "im g"]
    vocab = alphabet() + [m.replace(" ", "") for m in merges] + ["<|endoftext|>"]
    folder = os.path.join(here, "gpt2-tiny")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
        f.write(dump({t: i for i, t in enumerate(vocab)}))
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    with tempfile.TemporaryDirectory() as scratch:
        GPT2Tokenizer.from_pretrained(folder).save_pretrained(scratch)
        with open(os.path.join(scratch, "tokenizer.json"), encoding="utf-8") as f:
            whole = json.load(f)
    os.makedirs(os.path.join(here, "gpt2-tiny-json"), exist_ok=True)
    store(os.path.join("gpt2-tiny-json", "tokenizer.json"), whole)


def folder(case, scratch):
    """The folder that a case stands for."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    if "added" in case:
        with open(os.path.join(here, case["model"] + "-tiny-json", "tokenizer.json"), encoding="utf-8") as f:
            whole = json.load(f)
        whole["added_tokens"] = case["added"]
        with open(os.path.join(scratch, "tokenizer.json"), "w", encoding="utf-8") as f:
            f.write(dump(whole))
    else:
        for name in ["vocab.json", "merges.txt"]:
            shutil.copy(os.path.join(here, case["model"] + "-tiny", name), scratch)
    for name, value in case["files"].items():
        with open(os.path.join(scratch, name), "w", encoding="utf-8") as f:
            f.write(dump(value))
    return scratch


def is_ambiguous(tokenizer):
    """Two tokens that are one text once normalised: which of them is found changes from run to run."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    seen = [
        normalizer.normalize_str(t.content) if normalizer else t.content
        for t in tokenizer.added_tokens_decoder.values() if t.normalized
    ]
    return len(set(seen)) < len(seen)


def run(case, texts, scratch):
    """Adds what the reference makes of the case; False when it cannot open the folder."""
    kind = PreTrainedTokenizerFast if case.get("generic") else CLASSES[case["model"]]
    try:
        tokenizer = kind.from_pretrained(folder(case, scratch))
    except (TypeError, ValueError):
        return False
    if is_ambiguous(tokenizer):
        return False
    rows = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        rows.append([text, packed(ids), tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=True)])
    case["rows"] = rows
    case["size"] = len(tokenizer)
    case["special"] = {
        key: getattr(tokenizer, f"{name}_token_id")
        for key, name in [("start", "bos"), ("end", "eos"), ("pad", "pad")]
        if getattr(tokenizer, f"{name}_token_id") is not None
    }
    return True


# Drawn folders -------------------------------------------------------------------------------------------------------
TOKENS = [
    "<x>", "<X>", "<xy>", "<x>y", "[img]", "foo", "Foo bar", " q", "<é x>", "Ġa", "dog", "hotdog", "über", "<|pad|>", "<|endoftext|>",
    "<|startoftext|>", "!", "the", "ab", "abc", "bcd", "b>", "ƒ", "e\u0301", "\u00e9", "two  words", ".", "##", "\u4e2d\u6587", "<\U0001f600>", "a\u2028b",
    "ſ", "İ", "<s>", "</w>",
]
FILLERS = [
    " ", " ", "  ", "\n", "\u3000", "\u0085", "a", "dog", "dogs", "Hotdog", "\u00dcber", ".", "_", "x", "y", "é", "e\u0301", "\u200d", "²", "٣", "ⓐ", "the ", "<", ">",
    "|", "bar", "foo  bar", "FOO", "abcd", "!", "!!", "\u0301", "\u001c", "'s", "1", "\U0001f600", "<x", "x>", "q", "endoftext", "\u2028",
]


def drawn_text(r, used):
    return "".join(r.choice(used if r.random() < 0.5 else FILLERS) for _ in range(r.randrange(1, 10)))


def flags(r, token, explicit=False):
    result = {"content": token}
    for key in ["lstrip", "rstrip", "single_word", "normalized", "special"]:
        if explicit or r.random() < 0.5:
            result[key] = r.random() < 0.35
    return result


def marked(r, token):
    return {"__type": "AddedToken", **flags(r, token)}


def drawn_case(r, index):
    model = r.choice(["clip", "gpt2"])
    used = r.sample(TOKENS, r.randrange(1, 7))
    case = {"name": f"drawn {index}", "model": model, "files": {}}
    files = case["files"]
    configuration, mapping = {}, {}

    def token():
        return r.choice(used)

    if r.random() < 0.4:
        case["added"] = [{"id": r.choice([3, 600, 920]) + 7 * i, **flags(r, t, True)} for i, t in enumerate(r.sample(used, r.randrange(len(used) + 1)))]
    if r.random() < 0.4:
        files["added_tokens.json"] = {t: 1000 - 3 * i if r.random() < 0.3 else 1000 + i for i, t in enumerate(r.sample(used, r.randrange(1, len(used) + 1)))}
    if r.random() < 0.4:
        configuration["added_tokens_decoder"] = {
            str(1000 + r.randrange(50) * 8 + i): flags(r, t) for i, t in enumerate(r.sample(used, r.randrange(len(used) + 1)))
        }
    for role in r.sample(ROLES, r.randrange(3)):
        configuration[role] = r.choice([token(), token(), marked(r, token())])
    for role in r.sample(ROLES, r.randrange(4)):
        mapping[role] = r.choice([token(), flags(r, token(), True)])
    for keys in [configuration, mapping]:
        if r.random() < 0.3:
            keys["additional_special_tokens"] = [token() for _ in range(r.randrange(3))]
        if r.random() < 0.3:
            keys["extra_special_tokens"] = r.choice([[], [token()], [token(), token()], {"a_token": token()}, {"q": token(), "z_token": token()}])
        if r.random() < 0.15:
            keys["z_token"] = token()
    if r.random() < 0.1:
        configuration["extra_special_tokens"] = [marked(r, token()), token()]
    if r.random() < 0.1:
        configuration["y_token"] = marked(r, token())
    if r.random() < 0.1:
        mapping["y_token"] = flags(r, token(), True)
    if "added" in case and r.random() < 0.4:
        case["generic"] = True
        configuration["tokenizer_class"] = "PreTrainedTokenizerFast"
    elif r.random() < 0.5:
        configuration["tokenizer_class"] = CLASSES[model].__name__ + r.choice(["", "Fast"])
    if configuration or r.random() < 0.5:
        files["tokenizer_config.json"] = configuration
    if mapping:
        files["special_tokens_map.json"] = mapping
    return case, used


# The full vocabularies -----------------------------------------------------------------------------------------------
FULL_TOKENS = ["<cat-toy>", "<cat-toy>_1", "[IMG]", "photo", "New York", "ﬁn", "<pad>", "⟨é⟩"]
FULL_PIECES = FULL_TOKENS + [
    " ", " ", " ", "  ", "\n", "A", "a", "photo of", "photos", "the", "dog's", "naïve", "3", "12", ".", ",", "!", "<", "<|endoftext|>", "<CAT-TOY>", "new york", "\u3000", "_",
    "Zürich", "e\u0301", "日本", "😀", "[img]", "-",
]
FULL_LAYOUTS = {
    "added_tokens.json": {
        "added_tokens.json": {t: 60000 + i for i, t in enumerate(FULL_TOKENS[:4])},
        "special_tokens_map.json": {"pad_token": "<pad>", "additional_special_tokens": ["⟨é⟩", "ﬁn"]},
    },
    "added_tokens_decoder": {
        "tokenizer_config.json": {
            "added_tokens_decoder": {
                "60000": {"content": "<cat-toy>", "lstrip": True},
                "60001": {"content": "<cat-toy>_1", "rstrip": True, "normalized": False},
                "60002": {"content": "photo", "single_word": True},
                "60003": {"content": "New York", "lstrip": True, "rstrip": True, "single_word": True, "normalized": True},
                "60004": {"content": "<pad>", "special": True},
            },
            "pad_token": "<pad>",
            "extra_special_tokens": ["⟨é⟩"],
        }
    },
    "special_tokens_map.json": {
        "special_tokens_map.json": {
            "pad_token": {"content": "<pad>", "lstrip": True, "rstrip": True, "single_word": False, "normalized": True},
            "eos_token": {"content": "<|endoftext|>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False},
            "additional_special_tokens": ["[IMG]", "<cat-toy>", "photo"],
        }
    },
}


def full_texts(count):
    """The tests put the same texts together."""
    state = 4321
    for _ in range(count):
        text = []
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        for _ in range(1 + (state >> 33) % 12):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            text.append(FULL_PIECES[(state >> 33) % len(FULL_PIECES)])
        yield "".join(text)


def full_folder(model, scratch):
    if model == "gpt2":
        shutil.copy(os.path.join(shared, "gpt2_encoder.json"), os.path.join(scratch, "vocab.json"))
        shutil.copy(os.path.join(shared, "gpt2_vocab.bpe"), os.path.join(scratch, "merges.txt"))
        return
    merges = gzip.open(os.path.join(shared, "clip_bpe_simple_vocab_16e6.txt.gz")).read().decode().split("\n")[1:49152 - 256 - 2 + 1]
    vocab = alphabet() + [c + "</w>" for c in alphabet()] + [m.replace(" ", "") for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    with open(os.path.join(scratch, "vocab.json"), "w", encoding="utf-8") as f:
        f.write(dump({t: i for i, t in enumerate(vocab)}))
    with open(os.path.join(scratch, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")


# -----------------------------------------------------------------------------------------------------------------------
base_folders()
with tempfile.TemporaryDirectory() as scratch:
    r = random.Random(20)
    cases = []
    while len(cases) < 220:
        case, used = drawn_case(r, len(cases))
        if run(case, [drawn_text(r, used) for _ in range(10)], os.path.join(scratch, "f")):
            cases.append(case)
    for case in cases:
        case["files"] = {name: dump(value) for name, value in case["files"].items()}
        if "added" in case:
            case["added"] = dump(case["added"])
    store("added-tokens.json", cases)

    full = {"pieces": FULL_PIECES, "layouts": {k: {n: dump(v) for n, v in files.items()} for k, files in FULL_LAYOUTS.items()}, "sums": {}}
    for model, kind in CLASSES.items():
        for name, files in FULL_LAYOUTS.items():
            target = os.path.join(scratch, model + name)
            os.makedirs(target)
            full_folder(model, target)
            for file, value in files.items():
                with open(os.path.join(target, file), "w", encoding="utf-8") as f:
                    f.write(dump(value))
            tokenizer = kind.from_pretrained(target)
            sums = []
            for text in full_texts(1000):
                ids = tokenizer(text, add_special_tokens=False)["input_ids"]
                sums.append(f"{zlib.crc32(struct.pack(f'<{len(ids)}i', *ids)):08x}")
            full["sums"][f"{model} {name}"] = "".join(sums)
    store("added-tokens-full.json", full)
print(len(cases), sum(len(c["rows"]) for c in cases), sum("generic" in c for c in cases), sum("added" in c for c in cases))
