"""Writes python-patterns.json beside this file: what Python's `re` says of many patterns and texts.

    python make_python_patterns.py          # the standard library alone

An entry is {"pattern", "whole", "start"}: for every text, whether `re.fullmatch` and `re.match` find something, as a string of
0 and 1; or {"pattern", "error"} for what `re` does not compile.
"""

import json
import os
import platform
import random
import re
import warnings

TEXTS = [
    "", "vision_model.encoder.layers.1.self_attn.q_proj", "vision_model.encoder.layers.11.mlp.fc1",
    "text_model.encoder.layers.0.self_attn.v_proj", "transformer.h.10.attn.c_attn", "visual_projection", "a", "ab", "aab",
    "ba.b", "a.b.a", "A.b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "a-b", "a]b", "a[b", "{2}", "a{x}", "a|b", "b_1.0",
]
PATTERNS = [
    "", "a", "^a$", r".*\.(q|v)_proj", r".*(q_proj|fc1)", r"vision_model\..*", r"(?!text).*proj", r"(?!.*text_model).*",
    r".*(?<!layers\.0\.self_attn)\.v_proj", r".*(?<=layers\.1)\..*", r".*layers\.(1|2)\..*", r".*layers\.1[0-9]*\.mlp.*",
    r".*\.h\.(?:[02468]|1\d)\.attn\.c_attn", r"(?P<tower>vision|text)_model.*", r"(?i)a\.B", r"(?i:A)b", r"(?s).*b", r"(?m)^a",
    r"[ab.]+", r"[^ab]+", r"[]ab]+", r"[^]]+", r"[a\]]+b", r"[a-]+b", r"[\w.]+", r"[\W_]+", r"\w+", r"\D+", r"\S*", r"\bab\b",
    r"a\Bb", r"\Aa\Z", "a{2}b", "a{1,}b", "a{,2}b", "a{,}b", "a{0,1}b", "a{x}", "{2}", r"\{2\}", "a{2,3}?b", "a+?b", "a*?", "a??b",
    "(a|ab)(b|)", "(a*)*", "(a*)*b", "((a+)+)+b", "(|a)+b", "a||b", "|", "()", "(?:)*a", "(?#words)a", "a(?#words)*", "[a&&b]+",
    "[a--b]+", "[a||b]+", r"\x61", r"\u0061b", r"\.", r"a\-b", r"\_", "a.b", r".+\..+", "a(?=b).", "a(?!b).*", "(?=.*b)a.*",
    "(?<=a)b", "(?:(?<=a)b|a)+", "(?<!a)b.*", "^", "$", "a$b", "^^a", "(^a)|b", "a]b", "a}", "a{", "a{1", r"[\d_]+", r"[b-a]", "[a",
    "(a", "a)", "*a", "a**", "a+*", "^*", r"\q", r"[\q]", r"\x6", "a{3,2}", "(?<a>b)", "(?z)a", "a(?i)b", "(?P<>a)", "(?P<a", "(?",
    "[", "[]", "\\", r"\Z*", r"(?=a)*ab", "a{1000000}", "(a{9}){9}",
]


def random_pattern(rng, depth=0):
    kind = rng.randrange(9 if depth < 3 else 3)
    if kind < 3:
        return rng.choice(["a", "b", ".", r"\.", "[ab]", "[^a]", r"\w", "_", "A", r"\d", "^", "$", r"\b"])
    inner = random_pattern(rng, depth + 1)
    if kind < 5:
        return inner + random_pattern(rng, depth + 1)
    if kind == 5:
        return f"(?:{inner})" + rng.choice(["*", "+", "?", "*?", "{2}", "{1,3}", "{,2}", "{2,}"])
    if kind == 6:
        return f"({inner}|{random_pattern(rng, depth + 1)})"
    if kind == 7:
        return rng.choice(["(?=", "(?!"]) + inner + ")"
    return inner + random_pattern(rng, depth + 1) + random_pattern(rng, depth + 1)


def entry(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compiled = re.compile(pattern)
        except (re.error, OverflowError):
            return {"pattern": pattern, "error": True}
    # Python would take for ever on the long text with some of these.
    texts = TEXTS if "+)+" not in pattern and "*)*" not in pattern else [t[:12] for t in TEXTS]
    return {"pattern": pattern, "texts": [] if texts is TEXTS else texts,
            "whole": "".join(str(int(bool(compiled.fullmatch(t)))) for t in texts),
            "start": "".join(str(int(bool(compiled.match(t)))) for t in texts)}


rng = random.Random(7)
patterns = PATTERNS + [random_pattern(rng) for _ in range(200)]
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "python-patterns.json"), "w") as file:
    lines = ",\n".join("    " + json.dumps(entry(p), ensure_ascii=False) for p in dict.fromkeys(patterns))
    file.write(f'{{\n  "python": "{platform.python_version()}",\n  "texts": {json.dumps(TEXTS)},\n  "patterns": [\n{lines}\n  ]\n}}\n')
