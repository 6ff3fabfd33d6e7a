#!/usr/bin/env bash
# ClipCap's training step against the Python peer, in turn, one JSON line each.
#
#   PYTHON=venv/bin/python Benchmarks/captioning/run.sh [mlp|transformer] [tuned|frozen] [float32|bfloat16] [BATCH] [LENGTH] [REPEATS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
settings=("${1:-mlp}" "${2:-tuned}" "${3:-float32}" "${4:-40}" "${5:-20}" "${6:-5}")
swift build -c release --product CaptionBench
export GMAIL_TORCH_SHIM=$PWD/../.build/torch-shim/libgmail-torch.so
for round in 1 2; do
    echo "ours: $(.build/release/CaptionBench train "${settings[@]}")"
    echo "peer: $("${PYTHON:-python3}" captioning/peer.py "${settings[@]}")"
done
