"""Writes sentencepiece/ and sentencepiece.json: small tokenizers of SentencePiece's kind, and the ids that the references give.

    python make_sentencepiece_fixtures.py SHARED     # SHARED/data/tokenizers/t5_spiece.model: a full Unigram model

Made with sentencepiece 0.2.3, tokenizers 0.23, transformers 5.24, Python 3.11. Deterministic: one thread trains. The texts are
put together by the same little generator in the test, so that only check sums are stored.
"""
import base64
import io
import json
import os
import shutil
import string
import struct
import sys
import tempfile
import zlib

import sentencepiece
import sentencepiece.sentencepiece_model_pb2 as protobuf
import tokenizers
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.join(here, "sentencepiece")
with open(os.path.join(here, "gpt2-full.json"), encoding="utf-8") as file:
    PIECES = json.load(file)["pieces"]
PIECES += ["</s>", " </s> ", "<unk>", "▁", "▁the ", "<eos>", "<bos>", "<pad>", "<0x41>", "moped", "a photo of a ", "A Photo, of the ", "don't", "＜unk＞"]


def generated(count, seed):
    state = seed
    for _ in range(count):
        text = []
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        for _ in range(1 + (state >> 33) % 12):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            text.append(PIECES[(state >> 33) % len(PIECES)])
        yield "".join(text)


TEXTS = list(generated(2000, 4711))
CORPUS = [t for t in generated(3000, 99)]
WORDS = [" ".join(t.lower().translate(str.maketrans("", "", string.punctuation)).split()) for t in CORPUS]
shutil.rmtree(root, ignore_errors=True)


def store(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def train(name, **options):
    """A Unigram model; its normaliser's rules are few, so that the file is small."""
    folder = os.path.join(root, name)
    os.makedirs(folder)
    with tempfile.TemporaryDirectory() as scratch:
        rules = os.path.join(scratch, "rules.tsv")
        with open(rules, "w", encoding="utf-8") as file:
            pairs = [(chr(0xFF01 + i), chr(0x21 + i)) for i in range(94)] + [("ﬁ", "fi"), ("ﬂ", "fl"), ("½", "1⁄2"), ("²", "2")]
            pairs += [("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "), ("\r", " "), ("\u200b", " "), ("\u0007", "")]
            pairs += [("e\u0301", "é"), ("a\u0323\u0302", "ậ"), ("a\u0323", "ạ"), ("…", "..."), ("™", "TM"), ("ß", "ss")]
            for source, target in sorted(pairs):
                file.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
        if "normalization_rule_name" not in options:
            options["normalization_rule_tsv"] = rules
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(WORDS), model_writer=model, model_type="unigram", num_threads=1, pad_id=0, eos_id=1, unk_id=2,
            bos_id=-1, minloglevel=2, **options)
    with open(os.path.join(folder, "spiece.model"), "wb") as file:
        file.write(model.getvalue())
    return folder, protobuf.ModelProto.FromString(model.getvalue())


def sums(tokenizer, **options):
    out = []
    for text in TEXTS:
        ids = tokenizer(text, add_special_tokens=False, **options)["input_ids"]
        out.append(f"{zlib.crc32(struct.pack(f'<{len(ids)}i', *ids)):08x}")
    return "".join(out)


def answers(tokenizer, length):
    texts = TEXTS[:40] + ["", " ", "A photo of a cat </s>", "a photo of a dog.", "x " * 200]
    batch = tokenizer(texts, padding="max_length", truncation=True, max_length=length)["input_ids"]
    plain = tokenizer(texts)["input_ids"]
    return {
        "sums": sums(tokenizer), "texts": texts, "length": length, "batch": [i for row in batch for i in row],
        "decoded": [tokenizer.decode(ids) for ids in plain],
        "decodedWithoutSpecial": [tokenizer.decode(ids, skip_special_tokens=True) for ids in plain],
        "vocabulary": len(tokenizer),
    }


found = {}


def siglip(name, folder, configuration, length):
    store(os.path.join(folder, "tokenizer_config.json"), {"tokenizer_class": "SiglipTokenizer"} | configuration)
    found[name] = answers(transformers.SiglipTokenizer.from_pretrained(folder), length)


PUBLISHED = {
    "additional_special_tokens": [], "clean_up_tokenization_spaces": True, "do_lower_case": True, "eos_token": "</s>",
    "model_input_names": ["input_ids"], "model_max_length": 64, "pad_token": "</s>", "processor_class": "SiglipProcessor",
    "sp_model_kwargs": {}, "unk_token": "<unk>",
    "added_tokens_decoder": {
        str(i): {"content": t, "lstrip": True, "normalized": False, "rstrip": True, "single_word": False, "special": True}
        for i, t in [(1, "</s>"), (2, "<unk>")]
    },
}
folder, proto = train("siglip", vocab_size=420, character_coverage=0.985)
siglip("siglip", folder, PUBLISHED, 64)
folder, _ = train(
    "siglip-bytes", vocab_size=700, character_coverage=0.98, byte_fallback=True, user_defined_symbols=["moped", "日", "in the"],
    remove_extra_whitespaces=False, normalization_rule_name="identity")
siglip("siglip-bytes", folder, {"do_lower_case": False, "model_max_length": 21, "pad_token": "<pad>"}, 13)
with tempfile.TemporaryDirectory() as scratch:
    shutil.copy(os.path.join(sys.argv[1], "data", "tokenizers", "t5_spiece.model"), os.path.join(scratch, "spiece.model"))
    siglip("siglip-t5", scratch, PUBLISHED, 64)

# Unigram in tokenizer.json, with the steps that converted SigLIP tokenizers have -------------------------------------------
unigram = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], unk_id=2, byte_fallback=False))
unigram.normalizer = normalizers.Sequence([
    normalizers.Lowercase(), normalizers.Replace(Regex("[" + "".join("\\" + c for c in string.punctuation) + "]"), ""),
    normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(left=True, right=True),
    normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " "),
])
unigram.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
unigram.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
unigram.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
unigram.add_special_tokens([tokenizers.AddedToken(t, lstrip=True, rstrip=True, normalized=False) for t in ["</s>", "<unk>"]])
split = Tokenizer.from_str(unigram.to_str())
split.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first", split=False)])
split.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Prepend("q")])
for name, own, length in [("unigram", unigram, 64), ("unigram-first", split, 17)]:
    folder = os.path.join(root, name)
    store(os.path.join(folder, "tokenizer.json"), json.loads(own.to_str()))
    store(os.path.join(folder, "tokenizer_config.json"), {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "</s>",
        "model_max_length": length})
    found[name] = answers(transformers.AutoTokenizer.from_pretrained(folder), length)

# Gemma's byte-pair encoding --------------------------------------------------------------------------------------------------
special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
trainer = trainers.BpeTrainer(
    vocab_size=900, special_tokens=special + [f"<0x{i:02X}>" for i in range(256)], limit_alphabet=150, show_progress=False)
pairs = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
pairs.normalizer = normalizers.Replace(" ", "▁")
pairs.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
pairs.train_from_iterator(CORPUS, trainer)
value = json.loads(pairs.to_str())
value["added_tokens"] = [t for t in value["added_tokens"] if not t["content"].startswith("<0x")]
value["pre_tokenizer"] = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
value["decoder"] = {"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]}
value["post_processor"] = json.loads(Tokenizer(models.BPE()).to_str())["post_processor"]
ending = Tokenizer.from_str(json.dumps(value))
ending.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
value = json.loads(ending.to_str())
for name, configuration, length in [
    ("gemma", {"tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True, "padding_side": "right",
               "do_lower_case": True, "model_input_names": ["input_ids"]}, 64),
    ("gemma-left", {"tokenizer_class": "GemmaTokenizerFast", "add_bos_token": True}, 15),
    ("siglip2", {"tokenizer_class": "Siglip2Tokenizer", "padding_side": "right"}, 64),
    ("gemma-generic", {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<eos>", "pad_token": "<pad>"}, 19),
]:
    own = json.loads(json.dumps(value))
    if name == "gemma-generic":
        own["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, own["normalizer"]]}
    folder = os.path.join(root, name)
    store(os.path.join(folder, "tokenizer.json"), own)
    store(os.path.join(folder, "tokenizer_config.json"), configuration)
    found[name] = answers(transformers.AutoTokenizer.from_pretrained(folder), length)

store(os.path.join(here, "sentencepiece.json"), {"pieces": PIECES, "answers": found})
print({m.__name__: m.__version__ for m in (sentencepiece, tokenizers, transformers)})
