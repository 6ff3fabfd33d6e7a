#!/usr/bin/env bash
# Embedding against the Python peer: makes the data once, builds what it times, prints medians and ratios.
#
#   PYTHON=venv/bin/python Benchmarks/run.sh      # a Python with torch, transformers, open_clip_torch, pillow, numpy
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
python=${PYTHON:-python3}
"$python" -c 'import torch, transformers, PIL, numpy' 2>/dev/null || {
    echo "bench: $python lacks the peers; make a venv and run: pip install torch transformers open_clip_torch pillow numpy, then PYTHON=venv/bin/python make bench" >&2
    exit 1
}
data=../.build/bench
"$python" embed/make_data.py --out "$data" --images 192
swift build -c release --product ModelBench
export GMAIL_TORCH_SHIM=$PWD/../.build/torch-shim/libgmail-torch.so
"$python" embed/run.py --data "$data" --gmail ../.build/release/gmail --bench .build/release/ModelBench "$@"
