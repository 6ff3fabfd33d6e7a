#!/bin/bash
# Compares `gmail evaluate captions` with pycocoevalcap on the same captions, taking turns; prints medians and ratios,
# and fails if the scores differ. Whole processes are timed: reading, tokenising, scoring, writing.
#
# usage: GMAIL=path/to/gmail PYTHON=path/to/python Benchmarks/captions/run.sh [rounds=5] [images=5000] [metrics=bleu,rouge,cider]
# PYTHON needs the pip package pycocoevalcap 1.2, and java must be on the path.
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
    "$python" - "$python" "$here/pycoco_peer.py" "$work" "$metrics" "$round" <<'PY'
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
own, peer = load('own'), load('peer')
mine = {m['name']: m['value'] for m in json.load(open(work + '/metrics.json'))['metrics']}
worst = 0.0
for name, value in peer[0]['scores'].items():
    worst = max(worst, abs(mine[name] - value))
    print('%-10s gmail %.12f  pycocoevalcap %.12f' % (name, mine[name], value))
median = lambda values: statistics.median(values)
a, b = median(o['total'] for o in own), median(p['total'] for p in peer)
print('largest difference %.3g' % worst)
print('%d cores, median of %d rounds' % (os.cpu_count(), rounds))
for stage in peer[0]['seconds']:
    print('pycocoevalcap %-9s %8.3f s' % (stage, median(p['seconds'][stage] for p in peer)))
print('pycocoevalcap total     %8.3f s (stages; whole process %.3f s), peak %.0f MB' % (b, median(p['wall'] for p in peer), max(p['peak_mb'] for p in peer)))
print('gmail         total     %8.3f s (whole process), peak %.0f MB' % (a, max(o['peak_mb'] for o in own)))
print('ratio                   %8.1f' % (b / a))
sys.exit(worst > 1e-9)
PY
