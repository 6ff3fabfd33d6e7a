#!/usr/bin/env bash
# Reads the output of `swift test` and fails when a test was skipped that should have run: where the larger parity data
# is there, only the tests named below may be missing, each with what it waits for.
#
#   scripts/check-skips.sh < output
set -euo pipefail
allowed=(
    'filesForPEFTItself()'             # GMAIL_PEFT_CHECK: files that PEFT itself then reads
    'smallSizeEqualsTransformers()'    # GMAIL_GPT2_REFERENCE: GPT-2 small, some hundred MB
    'equalsTheReference(_:isPrepared:)' # GMAIL_SD2_UNET: the UNet of Stable Diffusion 2, gigabytes
    'aDependantBuildsAndRuns()'        # GMAIL_TEST_FULL: a package of its own is built, a minute or two
    'scoresWithFullTables(file:count:published:)' # METEOR's full tables, compiled by `gmail data meteor`
)
unexpected=()
while IFS= read -r line; do
    [[ $line =~ ^➜' '+(Test|Suite)' '(.*)' skipped'(\.|:) ]] || continue
    name=${BASH_REMATCH[2]#\"}
    name=${name%\"}
    found=
    for one in "${allowed[@]}"; do [ "$one" != "$name" ] || found=1; done
    [ -n "$found" ] || unexpected+=("$name")
done
[ ${#unexpected[@]} -gt 0 ] || exit 0
echo "skipped, although the parity data is there:" >&2
printf '  %s\n' "${unexpected[@]}" >&2
echo "say what is missing (scripts/setup.sh gets most of it), or name the test in scripts/check-skips.sh" >&2
exit 1
