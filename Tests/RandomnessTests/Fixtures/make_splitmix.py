"""Numbers of SplitMix64 in whole numbers of Python: splitmix.json. Run with Python 3.11: python make_splitmix.py

The sequence of Steele, Lea and Flood (2014); numbers below a bound by Lemire (2019), whose rejected values are those whose
product with the bound, modulo 2^64, is below 2^64 modulo the bound.
"""

import json
import os

MASK = 2**64 - 1


def splitmix(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def below(stream, bound):
    while True:
        value = next(stream)
        if value * bound % 2**64 >= 2**64 % bound:
            return value * bound >> 64


def of_stream(seed, number):
    base = next(splitmix(seed))
    return next(splitmix(base ^ (number * 0xD1B54A32D192ED03 & MASK)))


cases = []
for seed in [0, 1, 1234567, MASK]:
    bits = splitmix(seed)
    bounds = [1, 2, 3, 10, 1000, 2**32, 2**63 + 1, 2**63 + 2**62, MASK]
    streams = {}
    for bound in bounds:
        stream = splitmix(seed)
        streams[str(bound)] = [str(below(stream, bound)) for _ in range(6)]
    uniform = splitmix(seed)
    cases.append(
        {
            "seed": str(seed),
            "bits": [str(next(bits)) for _ in range(6)],
            "below": streams,
            "uniform": [(next(uniform) >> 11) / 2**53 for _ in range(6)],
            "streams": [[str(n) for n in [next(g) for g in [splitmix(of_stream(seed, k))] * 3]] for k in [0, 1, 77]],
        }
    )
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "splitmix.json"), "w") as file:
    json.dump(cases, file, indent=1)
    file.write("\n")
