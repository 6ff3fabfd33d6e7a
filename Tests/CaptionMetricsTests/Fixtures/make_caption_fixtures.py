"""Writes captions.json beside this file: captions, their tokens and their scores as pip's pycocoevalcap gives them.

usage: python make_caption_fixtures.py      (needs java and the pip package pycocoevalcap 1.2; a few seconds)
Made with Java 17.0.15, Python 3.11, pycocoevalcap 1.2. Deterministic. COCO captions: CC BY 4.0, cocodataset.org; the
other captions are hand-written.
"""
import collections
import contextlib
import io
import json
import os
import zipfile

import pycocoevalcap.spice
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

HARD = [
    "Mr. Smith of Acme Inc. The dog isn't John's, they'll say.", 'A "stop" sign at 5 p.m. The car waits...', "rock 'n' roll in the '70s",
    'a 5-year-old girl\u2019s x-ray, 1 1/2 in. wide (approx.)', 'wait...what?! :) <b>bold</b> &amp; caf&eacute;', '$5.00 or \u20ac5, 50% off', "I cannot, I'm gonna go",
    'http://www.example.com/a,b foo@bar.com @you #tag', '(555) 123-4567 or U.S. The end', 'caf\u00e9 \u6771\u4eac \U0001f600 na\u00efve', 'and/or his/her T-shirt, B. The',
    '', '.', '   two  blanks ', 'Plan B.', 'The end of line etc.', 'They are here', "couldn't've y'all o'clock", 'a' * 60, 'C++ and AT&T, S&P 500',
]

jar = os.path.join(os.path.dirname(pycocoevalcap.spice.__file__), 'spice-1.0.jar')
with zipfile.ZipFile(jar) as archive:
    data = json.loads(archive.read('coco/annotations/captions_val2014.json'))
by_image = collections.defaultdict(list)
for annotation in sorted(data['annotations'], key=lambda a: a['id']):
    by_image[annotation['image_id']].append(annotation['caption'])
ids = sorted(by_image)[::3000][:12]
gts = {i: by_image[i][:5 if n % 3 else 2] for n, i in enumerate(ids)}
res = {i: [by_image[ids[(n + 1) % len(ids)]][-1] if n % 4 == 0 else by_image[i][-1]] for n, i in enumerate(ids)}
for n, caption in enumerate(HARD):
    gts[n + 1] = [caption, HARD[(n + 7) % len(HARD)]][:1 + n % 2]
    res[n + 1] = [caption if n % 5 == 0 else HARD[(n + 3) % len(HARD)]]

wrap = lambda d: {k: [{'caption': c} for c in v] for k, v in d.items()}
with contextlib.redirect_stdout(io.StringIO()):
    gts_tokens, res_tokens = PTBTokenizer().tokenize(wrap(gts)), PTBTokenizer().tokenize(wrap(res))
    bleu = Bleu(4).compute_score(gts_tokens, res_tokens)
    rouge = Rouge().compute_score(gts_tokens, res_tokens)
    cider = Cider().compute_score(gts_tokens, res_tokens)
order = list(gts)
columns = {'Bleu_%d' % (n + 1): (bleu[0][n], bleu[1][n]) for n in range(4)}
columns['ROUGE_L'] = (float(rouge[0]), [float(x) for x in rouge[1]])
columns['CIDEr'] = (float(cider[0]), [float(x) for x in cider[1]])
out = {
    'made_with': 'Java 17.0.15, Python 3.11, pycocoevalcap 1.2',
    'images': [{'image_id': i, 'references': gts[i], 'candidate': res[i][0], 'reference_tokens': gts_tokens[i],
                'candidate_tokens': res_tokens[i][0]} for i in order],
    'scores': {name: {'corpus': corpus, 'images': images} for name, (corpus, images) in columns.items()},
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'captions.json'), 'w') as f:
    json.dump(out, f, indent=1)
    f.write('\n')
