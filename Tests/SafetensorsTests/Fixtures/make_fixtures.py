"""Writes reference.safetensors with Python's safetensors, for SafetensorsTests. Run: python make_fixtures.py

Made with safetensors 0.8.0, torch 2.13.0+cpu, Python 3.11. Deterministic.
"""
import os

import torch
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
dtypes = {
    "bool": torch.bool, "u8": torch.uint8, "i8": torch.int8, "e5m2": torch.float8_e5m2, "e4m3": torch.float8_e4m3fn,
    "i16": torch.int16, "u16": torch.uint16, "f16": torch.float16, "bf16": torch.bfloat16, "i32": torch.int32,
    "u32": torch.uint32, "f32": torch.float32, "f64": torch.float64, "i64": torch.int64, "u64": torch.uint64,
}
tensors = {}
for i, (name, dtype) in enumerate(dtypes.items()):
    values = (torch.arange(2 * 3 * 5) + i) % 2 if dtype == torch.bool else (torch.arange(2 * 3 * 5) + i) % 100
    tensors[f"layer.{name}"] = values.reshape(2, 3, 5).to(dtype)
tensors["é \"quoted\" \\ \n\x01\x7f 名"] = torch.tensor([1.5, -2.5])
tensors["zero"] = torch.zeros(0, 7)
tensors["scalar"] = torch.tensor(3.25)
tensors["a"] = torch.tensor([7], dtype=torch.uint8)
save_file(tensors, os.path.join(here, "reference.safetensors"), metadata={"format": "pt"})
save_file({}, os.path.join(here, "empty.safetensors"))
