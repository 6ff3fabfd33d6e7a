#!/usr/bin/env bash
# Runs the demo with the program that `make build` made; options go to `gmail demo`.
#
#   make demo
#   scripts/demo.sh --quick --out /tmp/demo
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .build/release/gmail ] || { echo "demo: .build/release/gmail is missing; run: make build" >&2; exit 1; }
exec .build/release/gmail demo "$@"
