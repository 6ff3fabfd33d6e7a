"""Import this before transformers or open_clip: a torchvision built for another torch (CUDA beside CPU) does not load, and they
look for it. The names of the two operators its import asks for are enough; where it loads as it is, nothing happens.
"""

import importlib.util
import subprocess
import sys

import torch

_names = None
if importlib.util.find_spec("torchvision") is None or subprocess.run(
        [sys.executable, "-c", "import torchvision"], capture_output=True).returncode != 0:
    _names = torch.library.Library("torchvision", "DEF")
    _names.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _names.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
