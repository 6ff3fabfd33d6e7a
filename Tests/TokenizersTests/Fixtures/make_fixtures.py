"""Writes the fixtures of TokenizersTests: texts and what the reference tokenizers make of them. Deterministic.

Run: python make_fixtures.py SHARED   (SHARED/data/tokenizers holds CLIP's and GPT-2's vocabularies)

Made with transformers 5.23.0, tokenizers 0.23.3, open_clip_torch 3.3.0 (its tokenizer.py alone), ftfy 6.3.1,
regex, Python 3.11 (Unicode 14).
"""
import base64
import gzip
import html
import importlib.util
import json
import os
import random
import struct
import sys
import tempfile
import unicodedata
import zlib
from collections import Counter

import ftfy
import transformers

here = os.path.dirname(os.path.abspath(__file__))
shared = os.path.join(sys.argv[1], "data", "tokenizers")
site = os.path.dirname(os.path.dirname(transformers.__file__))
spec = importlib.util.spec_from_file_location("oc", os.path.join(site, "open_clip", "tokenizer.py"))
oc = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oc)


def store(name, value):
    with open(os.path.join(here, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


# Texts ---------------------------------------------------------------------------------------------------------------
SUBJECTS = "dog,black cat,Woman,two men,old farmer,RED bus,tree,surfer,child's toy,zebra,train no. 7,café owner".split(",")
VERBS = "runs,is sitting,they're eating,jumps over,I'm holding,rides,couldn't see,has painted,flies past,'s near".split(",")
PLACES = "on a beach,in Zürich,at 10:30,under the bridge,near São Paulo,by the lake.,in the kitchen!!,on Main St.".split(",")
ODD = [
    "😀", "👩‍👩‍👧‍👦", "🇨🇭", "👍🏽", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "❤️", "naïve café", "Ångström", "Dvořák",
    "e\u0301te\u0301", "a\u0323\u0302", "q\u0307\u0323", "ﬁne ﬂow", "Ĳssel", "ŉ", "Ǆ ǅ ǆ", "ＦＵＬＬ　ｗｉｄｔｈ", "ﾊﾟﾋﾟ ﾃﾞｰﾀ", "日本語の写真", "中文描述", "한국어 사진", "\u1112\u1161\u11ab", "สวัสดี", "हिन्दी चित्र", "தமிழ்", "مرحبا بالعالم",
    "שלום", "שָׁלוֹם", "Привет мир", "Ελλάδα ΟΔΟΣ", "ΣΑΣ Σ ΑΣ.", "İstanbul Iğdır ıI", "STRAẞE straße", "ﬀ ﬃ ﬆ", "x²+y³=½", "Ⅷ ⅷ ①", "٣٤٥", "१२३", "５５", "𝒥𝓸𝒽𝓃", "𝟘𝟙", "Ⓐⓑ",
    "&amp;", "&lt;b&gt;", "&quot;hi&quot;", "&eacute;", "&EACUTE;", "&nbsp;", "&hellip;", "&#39;", "&#x27;", "&#8217;", "&#xD800;", "&#0;", "&#128;", "&#x110000;", "&#1;", "&notit;", "&not", "&amp;amp;lt;", "&amp;#39;", "&copy 2020", "&unknown;", "&;", "&#;", "&#x;", "AT&T", "<b>bold &amp; x</b>", "&NTILDE;", "&szlig;&SZLIG;", "&CounterClockwiseContourIntegral;", "&fjlig;", "&ampx",
    "\u200b", "\u200d", "\u200e", "\u202e", "\u2060", "\ufeff", "\u00ad", "\u0000", "\u0007", "\u001b[31mred\u001b[0m", "\u001b[K", "\u007f", "\u0085", "\u0091x\u0092", "\u009f", "\u001c", "\u001f", "\u000b", "\u000c", "\t", "\n", "\r\n", "\r", "\u2028", "\u2029", "\u00a0", "\u3000", "\u2003", "\u1680", "\u180e", "\ufffc", "\ufff9", "\u206a", "\ufffd", "\uffff",
    "“curly” ‘quotes’", "it’s", "don’t", "‚low‘", "„low“", "—dash–", "…", "®™©", "°C", "§5 ¶", "€5 £6 ¥7 ¢8", "«guillemets»", "¿Qué?", "¡Hola!", "'ſ", "ſ K Å", "'S 'RE 'll 'VE", "''s", "!'s", "can''t", "____", "a_b", "#tag @user", "http://x.y/z?a=b&c=d", "100,000.50", "C++", "3/4", "<|endoftext|>", "<|startoftext|>!", "<|ENDOFTEXT|>!!", "<start_of_text>", "<END_OF_TEXT>x", "̈", "x̂̃̄", "ÀÉÎÕÜ", "àéîõü", "Ø Æ Œ œ œuf", "╔═╗ │", "▀▄█", "•°o°•", "¯\\_(ツ)_/¯", "(ಠ_ಠ)", "\U00020000", "\U000e0001", "\U0001f9d1\u200d\U0001f680",
]
WORDS = ["é", "ü", "ñ", "’", "“", "”", "…", "–", "—", "à", "ß", "™", "€", "Ö", "😀", "привет", "ελλ", "日本", "Š", "ő", "ł", "\u00a0", "°", "مر", "है", "şğ", "ė", "👍", "®", "Î", "í", "á la", "ã o"]
CODECS = ["latin-1", "sloppy-windows-1252", "sloppy-windows-1252", "sloppy-windows-1251", "sloppy-windows-1250", "sloppy-windows-1253", "sloppy-windows-1254", "sloppy-windows-1257", "iso-8859-2", "macroman", "cp437"]


def mojibake(r, text):
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        try:
            text = text.encode("utf-8").decode(r.choice(CODECS))
        except UnicodeError:
            return text
    change = r.random()
    if change < 0.12:
        text = text.replace("\u00a0", " ")
    elif change < 0.2:
        text = "".join("\ufffd" if 0x80 <= ord(c) < 0xA0 or (ord(c) > 0x7F and r.random() < 0.1) else c for c in text)
    elif change < 0.24:
        text = "".join("?" if ord(c) > 0x7F and r.random() < 0.15 else c for c in text)
    return text


def caption(r):
    parts = [r.choice(["A", "a photo of a", "the", "An", "some"]), r.choice(SUBJECTS), r.choice(VERBS), r.choice(PLACES)]
    kind = r.random()
    for _ in range(r.choice([0, 1, 1, 2, 3])):
        at = r.randrange(len(parts) + 1)
        if kind < 0.45:
            parts.insert(at, r.choice(ODD))
        elif kind < 0.8:
            words = " ".join(r.choice(WORDS) for _ in range(r.choice([1, 1, 2, 4])))
            if r.random() < 0.5:
                words = r.choice(SUBJECTS) + words + r.choice(VERBS)
            parts.insert(at, mojibake(r, words))
        elif kind < 0.9:
            points = [r.choice([r.randrange(0x80, 0x250), r.randrange(0x20, 0x3000), r.randrange(0xA0, 0xD800), r.randrange(0x1F300, 0x1F700)]) for _ in range(r.choice([1, 3, 6]))]
            parts.insert(at, "".join(map(chr, points)))
        else:
            parts.insert(at, r.choice(ODD) + r.choice(ODD))
    text = r.choice([" ", " ", " ", "  ", ""]).join(parts)
    if r.random() < 0.04:
        text = mojibake(r, text)
    if r.random() < 0.03:
        text = " ".join([text] * r.choice([3, 5]))
    if r.random() < 0.03:
        text = html.escape(html.escape(text))
    return text


def captions(seed, count):
    r = random.Random(seed)
    return list(ODD) + [""] + [caption(r) for _ in range(count - len(ODD) - 1)]


# CLIP references -----------------------------------------------------------------------------------------------------
def tiny_merges(count):
    """Merges learned from captions: the most frequent pair first, ties by order of the pair."""
    alphabet = oc.bytes_to_unicode()
    r = random.Random(5)
    words = Counter()
    for _ in range(3000):
        for word in (caption(r) if r.random() < 0.3 else " ".join(r.choice(x) for x in (SUBJECTS, VERBS, PLACES))).lower().split():
            symbols = [alphabet[b] for b in word.encode()]
            words[tuple(symbols[:-1] + [symbols[-1] + "</w>"])] += 1
    merges = []
    while len(merges) < count:
        pairs = Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = min(pairs, key=lambda p: (-pairs[p], p))
        merges.append(best)
        merged = Counter()
        for word, n in words.items():
            out, i = [], 0
            while i < len(word):
                if word[i:i + 2] == best:
                    out.append("".join(best))
                    i += 2
                else:
                    out.append(word[i])
                    i += 1
            merged[tuple(out)] += n
        words = merged
    return [" ".join(m) for m in merges]


def references(folder, merges):
    """transformers' and open_clip's tokenizer over the same merges."""
    alphabet = list(oc.bytes_to_unicode().values())
    vocab = alphabet + [x + "</w>" for x in alphabet] + [m.replace(" ", "") for m in merges]
    vocab += ["<|startoftext|>", "<|endoftext|>"]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "vocab.json"), "w", encoding="utf-8") as f:
        json.dump({t: i for i, t in enumerate(vocab)}, f, ensure_ascii=False)
    with open(os.path.join(folder, "merges.txt"), "w", encoding="utf-8") as f:
        f.write("#version: 0.2\n" + "\n".join(merges) + "\n")
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "bpe.txt.gz")
        with gzip.open(path, "wb") as f:
            f.write(("#version\n" + "\n".join(merges)).encode())
        return transformers.CLIPTokenizer.from_pretrained(folder), oc.SimpleTokenizer(path)


def packed(ids):
    return base64.b64encode(struct.pack(f"<{len(ids)}H", *ids)).decode()


def compared(hf, simple, texts):
    rows = []
    for text in texts:
        a = hf(text)["input_ids"][1:-1]
        b = simple.encode(text)
        rows.append([text, packed(a)] if a == b else [text, packed(a), packed(b)])
    return rows


tiny = os.path.join(here, "clip-tiny")
hf, simple = references(tiny, tiny_merges(400))
texts = captions(1, 400)
batch = hf(texts, padding="max_length", truncation=True, max_length=16)
store("clip-tiny.json", {
    "rows": compared(hf, simple, texts),
    "batch": packed([i for row in batch["input_ids"] for i in row]),
    "mask": sum(sum(row) for row in batch["attention_mask"]),
    "openAIBatch": packed(simple(texts, 16).flatten().tolist()),
    "decoded": [hf.decode(hf(t)["input_ids"], skip_special_tokens=True) for t in texts],
})
with tempfile.TemporaryDirectory() as scratch:
    hf.save_pretrained(scratch)
    os.makedirs(os.path.join(here, "clip-tiny-json"), exist_ok=True)
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        with open(os.path.join(scratch, name), encoding="utf-8") as f:
            value = json.load(f)
        store(os.path.join("clip-tiny-json", name), value)

with tempfile.TemporaryDirectory() as scratch:
    raw = gzip.open(os.path.join(shared, "clip_bpe_simple_vocab_16e6.txt.gz")).read().decode().split("\n")
    hf, simple = references(scratch, raw[1:49152 - 256 - 2 + 1])
    store("clip-full.json", {"rows": compared(hf, simple, captions(2, 2000))})

    # Every scalar of planes 0 and 1 that Unicode 14 assigns, in blocks of 64.
    def blocks(encode):
        sums = []
        for start in range(0, 0x20000, 64):
            crc = 0
            for point in range(start, start + 64):
                if unicodedata.category(chr(point)) not in ("Cn", "Cs"):
                    c = chr(point)
                    ids = encode(f"x{c}y {c}1 '{c}")
                    crc = zlib.crc32(struct.pack(f"<{len(ids)}i", *ids), crc)
            sums.append(f"{crc:08x}")
        return "".join(sums)

    store("clip-scalars.json", {"huggingFace": blocks(lambda t: hf(t)["input_ids"][1:-1]), "openAI": blocks(simple.encode)})

# ftfy and html on their own ------------------------------------------------------------------------------------------
r = random.Random(9)
repairs = []
while len(repairs) < 700:
    text = caption(r)
    if r.random() < 0.6:
        text = mojibake(r, text)
    if ftfy.fix_text(text) != text:
        repairs.append([text, ftfy.fix_text(text)])
store("ftfy.json", repairs)
entities = "".join(f"&{name}" for name in sorted(html.entities.html5))
texts = [entities] + [f"&{n[:-1]}x &{n[:r.randrange(1, len(n))]}; &{n}{n};" for n in r.sample(sorted(html.entities.html5), 150)]
texts += [f"&#{n};&#x{n:x}&#{n}" for n in list(range(0, 0xA1)) + [0xFDCF, 0xFDD0, 0xFFFE, 0xFFFF, 0x10FFFF, 0x110000, 0xD7FF, 0xDFFF, 0xE000]]
store("html.json", [[t, html.unescape(t)] for t in texts if t != entities] + [["", ""]])
store("html-all.json", {"crc": zlib.crc32(html.unescape(entities).encode()), "length": len(html.unescape(entities))})

# GPT-2 ---------------------------------------------------------------------------------------------------------------
# The texts are put together by the same little generator in the test, so that only check sums are stored.
PIECES = ODD + WORDS + SUBJECTS + VERBS + PLACES + [" ", " ", " ", " ", " ", "  ", "   ", "\n", "\n\n", " \n ", "\t", "\u00a0 ", "12345", "7", ".", ",", "!?", "(", ")"]


def generated(count, pieces):
    state = 12345
    for _ in range(count):
        text = []
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        for _ in range(1 + (state >> 33) % 12):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            text.append(pieces[(state >> 33) % len(pieces)])
        yield "".join(text)


with tempfile.TemporaryDirectory() as scratch:
    for source, name in [("gpt2_encoder.json", "vocab.json"), ("gpt2_vocab.bpe", "merges.txt")]:
        with open(os.path.join(shared, source), "rb") as a, open(os.path.join(scratch, name), "wb") as b:
            b.write(a.read())
    gpt2 = transformers.GPT2Tokenizer.from_pretrained(scratch)
    sums = []
    for text in generated(10000, PIECES):
        ids = gpt2(text)["input_ids"]
        sums.append(f"{zlib.crc32(struct.pack(f'<{len(ids)}i', *ids)):08x}")
    store("gpt2-full.json", {"pieces": PIECES, "sums": "".join(sums)})
