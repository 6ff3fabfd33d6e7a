"""Times pycocoevalcap (Python and Java) on a set of captions, each stage by itself, and prints scores and seconds as JSON.

usage: python pycoco_peer.py DATA_FOLDER [--metrics bleu,rouge,cider,meteor]      (java must be on the path)
DATA_FOLDER holds gts.json and res.json of make_data.py.
"""
import argparse
import contextlib
import io
import json
import os
import resource
import time

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

parser = argparse.ArgumentParser()
parser.add_argument('data')
parser.add_argument('--metrics', default='bleu,rouge,cider')
args = parser.parse_args()

seconds, scores = {}, {}


def timed(name, work):
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = work()
    seconds[name] = time.perf_counter() - start
    return result


def load(name):
    with open(os.path.join(args.data, name)) as f:
        return {k: [{'caption': c} for c in v] for k, v in json.load(f).items()}


gts, res = timed('load', lambda: (load('gts.json'), load('res.json')))
tokenizer = PTBTokenizer()
gts, res = timed('tokenize', lambda: (tokenizer.tokenize(gts), tokenizer.tokenize(res)))
for metric in args.metrics.split(','):
    if metric == 'bleu':
        value, _ = timed(metric, lambda: Bleu(4).compute_score(gts, res))
        scores.update(('Bleu_%d' % (n + 1), v) for n, v in enumerate(value))
    else:
        scorer, name = {'rouge': (Rouge, 'ROUGE_L'), 'cider': (Cider, 'CIDEr'), 'meteor': (Meteor, 'METEOR')}[metric]
        value, _ = timed(metric, lambda: scorer().compute_score(gts, res))
        scores[name] = float(value)
usage = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(json.dumps({'seconds': seconds, 'total': sum(seconds.values()), 'scores': scores, 'peak_mb': usage / 1024}))
