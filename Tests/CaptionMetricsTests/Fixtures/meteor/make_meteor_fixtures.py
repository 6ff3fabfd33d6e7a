"""Makes the METEOR fixtures: COCO captions with the numbers of pip's METEOR jar, and the few table entries they need.

usage: python make_meteor_fixtures.py     (needs pycocoevalcap 1.2, Java, unzip; writes beside itself)

Captions are COCO val2014's (CC BY 4.0), read from inside pycocoevalcap's spice-1.0.jar. Deterministic.
`meteor.json`: candidate, references, the 23 statistics and the score per image, and the corpus score, in two sets: captions
as the PTB tokenizer leaves them, and captions as people typed them (these exercise the normaliser).
`tables/`: entries of METEOR's tables that can matter for these captions. METEOR's tables are LGPL 2.1, the synsets and
exceptions Princeton WordNet 3.0 (tables/COPYING.WORDNET). The script runs the jar once more on the cut paraphrase table
and stops unless every statistic is the same.
"""
import gzip, json, os, random, re, subprocess, sys, tempfile, zipfile
import importlib.metadata
import pycocoevalcap
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.path.dirname(pycocoevalcap.__file__) if getattr(pycocoevalcap, '__file__', None) else list(pycocoevalcap.__path__)[0]
JAR = os.path.join(PACKAGE, 'meteor', 'meteor-1.5.jar')
PARAPHRASES = os.path.join(PACKAGE, 'meteor', 'data', 'paraphrase-en.gz')
IMAGES = 48
# WordNet's rules of detachment, which lead from a word to the base forms whose synsets it may have
SUFFIXES = [
    ('s', ''), ('ses', 's'), ('xes', 'x'), ('zes', 'z'), ('ches', 'ch'), ('shes', 'sh'), ('men', 'man'), ('ies', 'y'),
    ('es', 'e'), ('es', ''), ('ed', 'e'), ('ed', ''), ('ing', 'e'), ('ing', ''), ('er', ''), ('est', ''), ('er', 'e'),
    ('est', 'e')]


def captions():
    with zipfile.ZipFile(os.path.join(PACKAGE, 'spice', 'spice-1.0.jar')) as jar:
        rows = json.loads(jar.read('coco/annotations/captions_val2014.json'))['annotations']
    by_image = {}
    for row in sorted(rows, key=lambda r: r['id']):
        by_image.setdefault(row['image_id'], []).append(' '.join(row['caption'].split()))
    return by_image


def choose(by_image, seed):
    """Candidates of four kinds: a held-out caption, one of another image, a reference itself, a shuffled reference."""
    rnd = random.Random(seed)
    ids = sorted(i for i in by_image if len(by_image[i]) >= 5)
    out = []
    for k, image in enumerate(rnd.sample(ids, IMAGES)):
        own = by_image[image][:5]
        candidate, references = own[4], own[:4]
        if k % 8 == 5: candidate = by_image[rnd.choice(ids)][0]
        if k % 8 == 6: candidate = references[rnd.randrange(4)]
        if k % 8 == 7:
            words = references[0].split(); rnd.shuffle(words); candidate = ' '.join(words)
        out.append({'image_id': image, 'candidate': candidate, 'references': references})
    return out


def tokenised(images):
    tokenizer = PTBTokenizer()
    one = tokenizer.tokenize({r['image_id']: [{'caption': r['candidate']}] for r in images})
    many = tokenizer.tokenize({r['image_id']: [{'caption': c} for c in r['references']] for r in images})
    return [dict(r, candidate=one[r['image_id']][0], references=many[r['image_id']]) for r in images]


def numbers(images):
    meteor = Meteor()
    lines = [meteor._stat(r['candidate'], r['references']) for r in images]
    corpus, scores = Meteor().compute_score(
        {i: r['references'] for i, r in enumerate(images)}, {i: [r['candidate']] for i, r in enumerate(images)})
    for r, line, score in zip(images, lines, scores):
        r['statistics'] = [float(x) for x in line.split()]; r['score'] = score
        assert len(r['statistics']) == 23
    return {'corpus': corpus, 'images': images}


def from_jar(path):
    return subprocess.check_output(['unzip', '-p', JAR, path]).decode('utf-8')


def words_of(text):
    """More tokens than the normaliser makes, never fewer: enough to choose table entries by."""
    text = text.lower()
    return re.findall(r"[a-z0-9]+|[^\sa-z0-9]", text), re.findall(r"[a-z0-9]+", text.replace('.', ''))


def ngrams(texts):
    grams = set()
    for text in texts:
        for words in words_of(text):
            grams.update(' '.join(words[i:i + n]) for n in range(1, 8) for i in range(len(words) - n + 1))
    return grams


def cut(images):
    per_image = [ngrams([r['candidate'], *r['references']]) for r in images]
    everything = set().union(*per_image)
    entries = []
    with gzip.open(PARAPHRASES, 'rt', encoding='utf-8', newline='\n') as table:
        while probability := table.readline():
            left, right = table.readline().rstrip('\n'), table.readline().rstrip('\n')
            if left in everything and right in everything and any(left in g and right in g for g in per_image):
                entries.append(probability + left + '\n' + right + '\n')
    words = {w for g in everything for w in g.split()}
    lines = from_jar('synonym/english.exceptions').split('\n')
    exceptions = []
    for base, forms in zip(lines[::2], lines[1::2]):
        kept = [f for f in forms.split() if f in words]
        if kept: exceptions.append(base + '\n' + ' '.join(kept) + '\n')
    bases = {e.split('\n')[0] for e in exceptions} | words
    for suffix, ending in SUFFIXES:
        bases.update(w[:-len(suffix)] + ending for w in words if w.endswith(suffix))
    lines = from_jar('synonym/english.synsets').split('\n')
    synsets = [k + '\n' + v + '\n' for k, v in zip(lines[::2], lines[1::2]) if k in bases]
    return entries, exceptions, synsets


def write(name, text):
    with open(os.path.join(HERE, 'tables', name), 'w', encoding='utf-8', newline='\n') as f: f.write(text)


def check(images):
    """The jar's statistics with the cut paraphrase table."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'cut.gz')
        with open(os.path.join(HERE, 'tables', 'english.paraphrase'), 'rb') as f, gzip.open(path, 'wb') as g: g.write(f.read())
        lines = [' ||| '.join(['SCORE', *r['references'], r['candidate']]) for r in images]
        out = subprocess.run(
            ['java', '-Xmx2G', '-jar', JAR, '-', '-', '-stdio', '-l', 'en', '-norm', '-a', path],
            input='\n'.join(lines) + '\n', capture_output=True, text=True, check=True).stdout.split('\n')
    for r, line in zip(images, out):
        assert [float(x) for x in line.split()] == r['statistics'], r
    print('cut table: %d of %d images the same' % (len(images), len(images)))


by_image = captions()
sets = {'tokenised': numbers(tokenised(choose(by_image, 1))), 'typed': numbers(choose(by_image, 2))}
images = [r for s in sets.values() for r in s['images']]
entries, exceptions, synsets = cut(images)
write('english.paraphrase', ''.join(entries))
write('english.exceptions', ''.join(exceptions))
write('english.synsets', ''.join(synsets))
write('english.words', from_jar('function/english.words'))
write('english.prefixes', from_jar('nonbreaking/english.prefixes'))
write('COPYING.WORDNET', from_jar('synonym/COPYING.WORDNET'))
check(images)
java = subprocess.run(['java', '-version'], capture_output=True, text=True).stderr.split('\n')[0]
made = {'pycocoevalcap': importlib.metadata.version('pycocoevalcap'), 'java': java, 'python': sys.version.split()[0]}
for group in sets.values():  # one image a line
    for r in group['images']: r['statistics'] = [int(x) for x in r['statistics']]
text = json.dumps({'made_with': made, **sets}, sort_keys=True).replace('{"candidate"', '\n{"candidate"')
with open(os.path.join(HERE, 'meteor.json'), 'w') as f: f.write(text + '\n')
print(len(entries), 'paraphrases,', len(exceptions), 'exceptions,', len(synsets), 'synset keys')
