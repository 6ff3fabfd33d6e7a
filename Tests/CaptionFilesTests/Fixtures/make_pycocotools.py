"""What pycocotools 2.0 reads of odd files: pycocotools.json, a list of {name, text, entries: [[image id, caption], …]}.

Run with pycocotools 2.0.11 and Python 3.11: python make_pycocotools.py
"""

import contextlib
import io
import json
import os
import tempfile

from pycocotools.coco import COCO

IMAGES = '"images": [{"id": 7, "file_name": "7.jpg"}, {"id": 8, "file_name": "8.jpg"}]'
ANNOTATIONS = '"annotations": [{"image_id": 7, "id": 0, "category_id": 1, "caption": "a dog"}, {"image_id": 8, "id": 1, "category_id": 1, "caption": "a cat "}]'

ANNOTATION_FILES = {
    "plain": "{%s, %s}" % (IMAGES, ANNOTATIONS),
    "categories first": '{"categories": [{"id": 1, "name": "x"}], "info": {"year": 2014}, %s, %s}' % (IMAGES, ANNOTATIONS),
    "annotations first": '{%s, %s, "licenses": [], "extra": {"a": [1, 2]}}' % (ANNOTATIONS, IMAGES),
    "no images": "{%s}" % ANNOTATIONS,
    "NaN": '{"annotations": [{"image_id": 7, "id": 0, "score": NaN, "area": -Infinity, "caption": "a dog"}]}',
    "float ids": '{"annotations": [{"image_id": 391895.0, "id": 0, "caption": "a"}, {"image_id": 391895, "id": 1, "caption": "b"}, {"image_id": 4e2, "id": 2, "caption": "c"}]}',
    "uint64 ids": '{"annotations": [{"image_id": 18446744073709551615, "id": 0, "caption": "a"}, {"image_id": 9223372036854775807, "id": 1, "caption": "b"}]}',
    "string ids": '{"annotations": [{"image_id": "a/é.jpg", "id": 0, "caption": "a"}]}',
    "negative ids": '{"annotations": [{"image_id": -3, "id": 0, "caption": "a"}]}',
    "lone surrogate": r'{"annotations": [{"image_id": 7, "id": 0, "caption": "a \ud83d dog \udc00"}, {"image_id": 8, "id": 1, "caption": "\ud83d\ude00"}]}',
    "equal keys": '{"annotations": [], "annotations": [{"image_id": 6, "image_id": 7, "id": 0, "caption": "a", "caption": "b"}]}',
    "escapes": r'{"annotations": [{"image_id": 7, "id": 0, "caption": "\"a\"\\\/\b\f\n\r\té"}]}',
    "empty captions": '{"annotations": [{"image_id": 7, "id": 0, "caption": ""}]}',
}
RESULTS = {
    "results": '[{"image_id": 8, "caption": "x"}, {"image_id": 7, "caption": "y", "score": NaN, "beams": [["z", -1.5]]}]',
    "float results": '[{"image_id": 8.0, "caption": "x"}]',
}


def entries(coco):
    found = [(id, ann["caption"]) for id, anns in coco.imgToAnns.items() for ann in anns]
    # A lone surrogate is no text that could be written down.
    return [
        [int(id) if isinstance(id, float) else id, caption.encode("utf-16", "surrogatepass").decode("utf-16", "replace")]
        for id, caption in found
    ]


cases = []
with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
    path = os.path.join(folder, "f.json")
    for name, text in ANNOTATION_FILES.items():
        open(path, "w", encoding="utf-8").write(text)
        cases.append({"name": name, "text": text, "entries": entries(COCO(path))})
    truth = os.path.join(folder, "truth.json")
    open(truth, "w").write(ANNOTATION_FILES["plain"])
    for name, text in RESULTS.items():
        open(path, "w", encoding="utf-8").write(text)
        cases.append({"name": name, "text": text, "entries": entries(COCO(truth).loadRes(path))})

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pycocotools.json"), "w") as file:
    json.dump(cases, file, indent=1)
    file.write("\n")
