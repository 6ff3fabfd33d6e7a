"""Recall values of image-text retrieval on random features, from a definition written down here.

The definition is the one of the CLIP_benchmark project (zeroshot_retrieval), in our words:

* Scores are cosines of float32 features: every text against every image.
* Image to text: an image asks, all texts are candidates. Its positives are all texts that belong to it.
* Text to image: a text asks, all images are candidates. Its positive is the image it belongs to.
* A query is answered at k when at least one of its positives is among the k candidates of highest score ("any positive":
  a share of positives found above zero counts as one).
* Recall at k is the answered queries' share of all queries.

That project takes the k best from torch.topk, which leaves open which of several equal scores it takes. Our rule for them:
of equal scores the candidate of lower index comes first.

Two cases. "random": features of 24 dimensions, one to five texts per image, texts in no order; scores have no ties, so
torch.topk decides alone and the numbers are those of the definition. "ties": rows of four entries of 1/2 or -1/2 (unit
length, every product exact), images and texts repeated; numbers come from a full sort with our rule, and for each the lowest
and the highest value that any other choice among equals could give.

    python make_retrieval_fixture.py

Made with Python 3.11.7, torch 2.13.0+cpu.
"""

import json
import pathlib

import torch

KS = [1, 5, 10]


def scores(images, texts):
    normal = torch.nn.functional.normalize
    return normal(images, dim=1) @ normal(texts, dim=1).T


def answered_by_topk(scores, positive, k):
    """[queries, candidates] scores and positives: the share of queries with a positive among the k best."""
    best = scores.topk(k, dim=1).indices
    found = positive.gather(1, best).sum(dim=1)
    return (found > 0).double().mean().item()


def answered_by_sorting(scores, positive, k, ties):
    """The same from a full sort; `ties` says who comes first among equal scores."""
    count = 0
    for row, is_positive in zip(scores.tolist(), positive.tolist()):
        def key(candidate):
            order = {"index": candidate, "best": not is_positive[candidate], "worst": is_positive[candidate]}[ties]
            return (-row[candidate], order)

        ranked = sorted(range(len(row)), key=key)
        count += any(is_positive[candidate] for candidate in ranked[:k])
    return count / len(scores)


def positives(owner, image_count):
    table = torch.zeros(image_count, len(owner), dtype=torch.bool)
    table[torch.tensor(owner), torch.arange(len(owner))] = True
    return table


def random_case(generator):
    while True:
        images = torch.randint(-40, 41, (37, 24), generator=generator).float()
        owner = [i for i in range(37) for _ in range(int(torch.randint(1, 6, (1,), generator=generator)))]
        owner = [owner[i] for i in torch.randperm(len(owner), generator=generator).tolist()]
        noise = torch.randint(-60, 61, (len(owner), 24), generator=generator).float()
        texts = images[owner] + noise
        table, positive = scores(images, texts), positives(owner, len(images))
        # Without ties, and with a margin that no order of summation crosses; else another draw.
        gaps = [matrix.sort(dim=1).values.diff(dim=1).min() for matrix in (table, table.T)]
        if min(gaps) > 1e-6:
            break
    recalls = {
        "image_to_text": [answered_by_topk(table, positive, k) for k in KS],
        "text_to_image": [answered_by_topk(table.T, positive.T, k) for k in KS],
    }
    for name, (matrix, mask) in {"image_to_text": (table, positive), "text_to_image": (table.T, positive.T)}.items():
        assert recalls[name] == [answered_by_sorting(matrix, mask, k, "index") for k in KS]
    return {"images": images.int().tolist(), "texts": texts.int().tolist(), "owner": owner, **recalls}


def tied_case(generator):
    def rows(count):
        result = torch.zeros(count, 9)
        for row in result:
            at = torch.randperm(9, generator=generator)[:4]
            row[at] = torch.randint(0, 2, (4,), generator=generator).float() - 0.5
        return result

    images = rows(41)
    images[[5, 17, 40]] = images[[2, 2, 0]]
    owner = [(i * 17) % 41 for i in range(41)] + [(i * 5) % 41 for i in range(70)]
    texts = rows(len(owner))
    texts[::3] = images[owner[::3]]
    texts[[50, 51, 110]] = texts[[1, 1, 4]]
    table, positive = images @ texts.T, positives(owner, len(images))
    result = {
        # Twice the entries: whole numbers; their direction is the same.
        "images": (images * 2).int().tolist(), "texts": (texts * 2).int().tolist(), "owner": owner}
    for name, (matrix, mask) in {"image_to_text": (table, positive), "text_to_image": (table.T, positive.T)}.items():
        values = {ties: [answered_by_sorting(matrix, mask, k, ties) for k in KS] for ties in ("index", "best", "worst")}
        assert values["worst"] < values["index"] < values["best"], "the case must have ties that matter"
        result[name] = values["index"]
        result[f"{name}_bounds"] = [values["worst"], values["best"]]
    return result


def main():
    generator = torch.Generator().manual_seed(20_250_711)
    cases = {"random": random_case(generator), "ties": tied_case(generator)}
    path = pathlib.Path(__file__).with_name("retrieval.json")
    path.write_text(json.dumps({"torch": torch.__version__, "k": KS, "cases": cases}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
