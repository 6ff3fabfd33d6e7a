"""Writes a benchmark set: N images of COCO val2014 with five references each, and a candidate per image.

usage: python make_data.py OUT_FOLDER [--images 5000]      (needs the pip package pycocoevalcap 1.2, not java)
The captions come from the annotation file inside its spice-1.0.jar: the first N images (by id) with at least five
captions. The candidate is the fifth caption of the image; the references are the other four and,
so that there are five, the first caption of the next image. No candidate
is a reference by construction. Deterministic. Writes references.json (COCO captions), candidates.json (COCO results),
and gts.json / res.json, the same by image.
"""
import argparse
import collections
import json
import os
import zipfile

import pycocoevalcap.spice

parser = argparse.ArgumentParser()
parser.add_argument('out')
parser.add_argument('--images', type=int, default=5000)
args = parser.parse_args()

jar = os.path.join(os.path.dirname(pycocoevalcap.spice.__file__), 'spice-1.0.jar')
with zipfile.ZipFile(jar) as archive:
    data = json.loads(archive.read('coco/annotations/captions_val2014.json'))
by_image = collections.defaultdict(list)
for annotation in sorted(data['annotations'], key=lambda a: a['id']):
    by_image[annotation['image_id']].append(annotation['caption'])
ids = sorted(i for i, captions in by_image.items() if len(captions) >= 5)[:args.images]
references, candidates = {}, {}
for k, image in enumerate(ids):
    own, neighbour = by_image[image], by_image[ids[(k + 1) % len(ids)]]
    references[image] = own[:4] + [neighbour[0]]
    candidates[image] = own[4]

os.makedirs(args.out, exist_ok=True)


def write(name, value):
    with open(os.path.join(args.out, name), 'w') as f:
        json.dump(value, f)


write('references.json', {'images': [{'id': i} for i in ids], 'annotations': [
    {'image_id': i, 'id': 10 * k + n, 'caption': c} for k, i in enumerate(ids) for n, c in enumerate(references[i])]})
write('candidates.json', [{'image_id': i, 'caption': candidates[i]} for i in ids])
write('gts.json', {str(i): references[i] for i in ids})
write('res.json', {str(i): [candidates[i]] for i in ids})
print('%d images, %d references' % (len(ids), sum(map(len, references.values()))))
