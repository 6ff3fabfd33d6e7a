"""The diagnosis of a gap on random features, from plain definitions in NumPy.

Forty-five pairs show thirty-six different real images (some several times); images have seven dimensions, captions five.
Every number is computed in float64 from float32 features, by the definition and not by the formulas of the program:

* floor: the mean over all pairs of a generated image and a real image of another pair, by a double loop.
* ceiling: ridge regression (numpy.linalg.solve) of the normalised real embedding on the normalised caption, predicted
  part by part, five parts of real images; the penalty is the one of 1e-3 ... 10, times the inputs' mean variance times
  the rows, whose predictions for the last fifth of the rows from the first four have the highest mean cosine.
* closure: (cosine - floor) / (ceiling - floor); its interval is the 2.5th and 97.5th percentile over 1000 draws of real
  images, each with all of its pairs, drawn by the SplitMix64 written out below.
* AUC: Fisher's direction, within-class covariance (divided by the rows) drawn a tenth to a multiple of the identity;
  all pairs of held-out generated and held-out real images are compared; the mean of the parts.
* temperature: the minimum of the loss over 1/tau, by golden section, in batches of sixteen of the shuffled pairs.
* mean shift, CORAL (numpy.linalg.eigh, variances raised by 0.01 of their mean), ridge: fitted on the other parts.

    python make_gap_fixture.py

Made with Python 3.11.7, NumPy 2.4.6.
"""

import json
import pathlib
import sys

import numpy as np

MASK = (1 << 64) - 1


class SplitMix64:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound):
        product = self.next() * bound
        if product & MASK < bound:
            threshold = (-bound & MASK) % bound
            while product & MASK < threshold:
                product = self.next() * bound
        return product >> 64


def shuffled(count):
    order = list(range(count))
    random = SplitMix64(0)
    for i in range(count - 1):
        j = i + random.below(count - i)
        order[i], order[j] = order[j], order[i]
    return order


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def fit_ridge(x, y, strength):
    mx, my = x.mean(0), y.mean(0)
    gram = (x - mx).T @ (x - mx)
    gram = gram + np.eye(len(gram)) * strength * np.trace(gram) / len(gram)
    weight = np.linalg.solve(gram, (x - mx).T @ (y - my))
    return lambda z: (z - mx) @ weight + my


def ridge(x, y):
    inner = len(x) * 4 // 5
    cosines = []
    for strength in STRENGTHS:
        out = fit_ridge(x[:inner], y[:inner], strength)(x[inner:])
        cosines.append((unit(out) * unit(y[inner:])).sum(1).mean())
    return fit_ridge(x, y, STRENGTHS[int(np.argmax(cosines))])


STRENGTHS = [1e-3, 1e-2, 1e-1, 1, 10]


def mean_shift(x, y):
    shift = y.mean(0) - x.mean(0)
    return lambda z: z + shift


def coral(x, y):
    def power(rows, exponent):
        c = np.cov(rows.T, bias=True)
        c = c + np.eye(len(c)) * 0.01 * np.trace(c) / len(c)
        values, vectors = np.linalg.eigh(c)
        return vectors @ np.diag(values**exponent) @ vectors.T

    matrix = power(x, -0.5) @ power(y, 0.5)
    mx, my = x.mean(0), y.mean(0)
    return lambda z: (z - mx) @ matrix + my


def predict(fit, x, y, part):
    out = np.zeros((len(x), y.shape[1]))
    for k in range(5):
        held = part == k
        out[held] = fit(x[~held], y[~held])(x[held])
    return out


def floors(generated, real, row):
    g, r = unit(generated), unit(real)
    return np.array(
        [np.mean([g[i] @ r[j] for j in range(len(r)) if j != row[i]]) for i in range(len(g))]
    )


def ranks(generated, real, row):
    g, r = unit(generated), unit(real)
    return np.array([1 + sum(g[i] @ r[j] > g[i] @ r[row[i]] for j in range(len(r))) for i in range(len(g))])


def auc(generated, real, row, fold):
    g, r, part = unit(generated), unit(real), fold[row]
    areas = []
    for k in range(5):
        gt, rt = g[part != k], r[fold != k]
        centred = np.concatenate([gt - gt.mean(0), rt - rt.mean(0)])
        c = centred.T @ centred / len(centred)
        c = 0.9 * c + 0.1 * np.trace(c) / len(c) * np.eye(len(c))
        w = np.linalg.solve(c, gt.mean(0) - rt.mean(0))
        wins = [(a > b) + 0.5 * (a == b) for a in g[part == k] @ w for b in r[fold == k] @ w]
        areas.append(np.mean(wins))
    return np.mean(areas)


def temperature(generated, real, row, size):
    g, r = unit(generated), unit(real)[row]
    order = shuffled(len(g))

    def loss(log_inverse):
        total, count = 0.0, 0
        for start in range(0, len(g) - size + 1, size):
            batch = order[start : start + size]
            for i in batch:
                others = [j for j in batch if j == i or row[j] != row[i]]
                logits = np.array([g[i] @ r[j] for j in others]) * np.exp(log_inverse)
                total += np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[others.index(i)]
                count += 1
        return total / count

    low, high = np.log(0.1), np.log(1000.0)
    golden = (5**0.5 - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        if loss(a) < loss(b):
            high = b
        else:
            low = a
    return float(np.exp(-(low + high) / 2))


def interval(columns, row, images, statistic):
    random = SplitMix64(0)
    pairs = [[i for i in range(len(row)) if row[i] == k] for k in range(images)]
    values = []
    for _ in range(1000):
        drawn = [i for _ in range(images) for i in pairs[random.below(images)]]
        values.append(statistic([column[drawn].mean() for column in columns]))
    return np.percentile(values, [2.5, 97.5]).tolist()


def closure(means):
    return (means[0] - means[1]) / (means[2] - means[1])


def main():
    random = np.random.default_rng(5)
    images, pairs, width, text_width = 36, 45, 7, 5
    row = np.concatenate([np.arange(images), random.integers(0, images, pairs - images)])
    content = random.normal(size=(images, text_width))
    into = random.normal(size=(text_width, width))
    real = content @ into + 1.5 + 0.6 * random.normal(size=(images, width))
    turn = np.linalg.qr(random.normal(size=(width, width)))[0]
    generated = (real[row] @ (0.8 * np.eye(width) + 0.2 * turn)) * 1.3 + random.normal(size=width)
    generated = generated + 0.9 * random.normal(size=(pairs, width))
    text = content[row] + 0.3 * random.normal(size=(pairs, text_width))
    real, generated, text = (x.astype(np.float32).astype(np.float64) for x in (real, generated, text))

    order = shuffled(images)
    fold = np.zeros(images, dtype=int)
    for place, image in enumerate(order):
        fold[image] = place % 5
    part = fold[row]
    target = real[row]
    own = (unit(generated) * unit(target)).sum(1)
    low = floors(generated, real, row)
    top = (unit(predict(ridge, unit(text), unit(target), part)) * unit(target)).sum(1)
    difference = unit(generated) - unit(target)
    place = ranks(generated, real, row)
    expected = {
        "cosine": own.mean(),
        "floor": low.mean(),
        "ceiling": top.mean(),
        "closure": closure([own.mean(), low.mean(), top.mean()]),
        "closure_interval": interval([own, low, top], row, images, closure),
        "mean_shift_share": (difference.mean(0) ** 2).sum() / (difference**2).sum(1).mean(),
        "auc": auc(generated, real, row, fold),
        "recall_at_1": np.mean(place == 1),
        "median_rank": np.median(place),
        "gallery": images,
        "temperature": temperature(generated, real, row, 16),
        "temperature_batch": 16,
        "repairs": {},
    }
    for name, fit in [("meanShift", mean_shift), ("coral", coral), ("ridge", ridge)]:
        mended = predict(fit, generated, target, part)
        new, base = (unit(mended) * unit(target)).sum(1), floors(mended, real, row)
        place = ranks(mended, real, row)
        expected["repairs"][name] = {
            "cosine": new.mean(),
            "closure": closure([new.mean(), base.mean(), top.mean()]),
            "recall_at_1": np.mean(place == 1),
            "median_rank": np.median(place),
            "gain_interval": interval(
                [new, base, own, low, top],
                row,
                images,
                lambda m: closure([m[0], m[1], m[4]]) - closure([m[2], m[3], m[4]]),
            ),
        }
    fixture = {
        "real": real.ravel().tolist(),
        "generated": generated.ravel().tolist(),
        "text": text.ravel().tolist(),
        "real_row": row.tolist(),
        "expected": expected,
    }
    path = pathlib.Path(__file__).parent / "gap.json"
    path.write_text(json.dumps(fixture, default=float) + "\n")
    print(sys.version.split()[0], np.__version__)
    print(json.dumps(expected, default=float, indent=1))


main()
