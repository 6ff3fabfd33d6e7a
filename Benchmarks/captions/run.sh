#!/bin/bash
# Compares `gmail evaluate captions` with pycocoevalcap on the same captions, taking turns; prints medians and ratios,
# and fails if the scores differ. Whole processes are timed: reading, tokenising, scoring, writing.
#
# usage: GMAIL=path/to/gmail PYTHON=path/to/python Benchmarks/captions/run.sh [rounds=5] [images=5000] [metrics=bleu,rouge,cider]
# metrics: bleu, rouge, cider, meteor, spice. See README.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
gmail=${GMAIL:-$here/../../.build/release/gmail}
python=${PYTHON:-python3}
rounds=${1:-5}
images=${2:-5000}
metrics=${3:-bleu,rouge,cider}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" "$here/make_data.py" "$work" --images "$images"
for round in $(seq "$rounds"); do
    "$python" - "$gmail" "$work" "$metrics" "$round" <<'PY'
import json, os, resource, subprocess, sys, time
gmail, work, metrics, round_ = sys.argv[1:]
start = time.perf_counter()
subprocess.run([gmail, 'evaluate', 'captions', '--references', work + '/references.json', '--candidates', work + '/candidates.json',
                '--out', work + '/metrics.json', '--metrics', metrics, '--quiet'], check=True, stdout=subprocess.DEVNULL)
wall = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
json.dump({'total': wall, 'peak_mb': peak}, open('%s/own-%s.json' % (work, round_), 'w'))
PY
    # The jar's SPICE needs a Java that no longer comes with systems, so spice is timed on our side only.
    theirs=$(tr ',' '\n' <<<"$metrics" | grep -v '^spice$' | paste -sd, || true)
    [ -n "$theirs" ] || continue
    "$python" - "$python" "$here/pycoco_peer.py" "$work" "$theirs" "$round" <<'PY'
import json, subprocess, sys, time
python, script, work, metrics, round_ = sys.argv[1:]
start = time.perf_counter()
out = subprocess.run([python, script, work, '--metrics', metrics], check=True, stdout=subprocess.PIPE).stdout
peer = json.loads(out.decode().strip().split('\n')[-1]); peer['wall'] = time.perf_counter() - start
json.dump(peer, open('%s/peer-%s.json' % (work, round_), 'w'))
PY
done
"$python" - "$work" "$rounds" <<'PY'
import json, os, statistics, sys
work, rounds = sys.argv[1], int(sys.argv[2])
load = lambda kind: [json.load(open('%s/%s-%d.json' % (work, kind, r))) for r in range(1, rounds + 1)]
own = load('own')
peer = load('peer') if os.path.exists(work + '/peer-1.json') else []
mine = {m['name']: m['value'] for m in json.load(open(work + '/metrics.json'))['metrics']}
worst = 0.0
theirs = peer[0]['scores'] if peer else {}
for name, value in mine.items():
    if name in theirs:
        worst = max(worst, abs(value - theirs[name]))
        print('%-10s gmail %.12f  pycocoevalcap %.12f' % (name, value, theirs[name]))
    else:
        print('%-10s gmail %.12f  (not run there)' % (name, value))
assert set(theirs) <= set(mine), 'scores missing: %s' % (set(theirs) - set(mine))
median = lambda values: statistics.median(values)
a = median(o['total'] for o in own)
print('%d cores, median of %d rounds' % (os.cpu_count(), rounds))
print('gmail         total     %8.3f s (whole process), peak %.0f MB' % (a, max(o['peak_mb'] for o in own)))
if not peer:
    sys.exit()
b = median(p['total'] for p in peer)
print('largest difference %.3g' % worst)
for stage in peer[0]['seconds']:
    print('pycocoevalcap %-9s %8.3f s' % (stage, median(p['seconds'][stage] for p in peer)))
print('pycocoevalcap total     %8.3f s (stages; whole process %.3f s), peak %.0f MB' % (b, median(p['wall'] for p in peer), max(p['peak_mb'] for p in peer)))
print('ratio                   %8.1f' % (b / a))
sys.exit(worst > 1e-9)
PY
