#!/usr/bin/env bash
# Builds and runs the tests, and says where the larger parity data comes from.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
shared="${GMAIL_SHARED:-../shared}"
if [ -d "$shared" ]; then
    export GMAIL_SHARED=$(cd "$shared" && pwd)
    echo "parity data: $GMAIL_SHARED" >&2
else
    echo "parity data: none at '$shared' (GMAIL_SHARED); the larger parity tests say so and do not run" >&2
fi
wheel=.deps/meteor/pycocoevalcap-1.2-py3-none-any.whl
[ ! -f "$wheel" ] || export GMAIL_METEOR_WHEEL=$PWD/$wheel
output=$(mktemp)
trap 'rm -f "$output"' EXIT
${SWIFT:-swift} test "$@" 2>&1 | tee "$output"
# A test that does not run shows nothing: with the data there, none may be missing unnoticed.
[ ! -d "${GMAIL_SHARED:-/nowhere}" ] || scripts/check-skips.sh < "$output"
