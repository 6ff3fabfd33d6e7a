"""Captioning and training steps of GPT-2 small, ours against transformers, taking turns; medians and their ratio.

    python run.py --bench PATH --model HF_FOLDER [--rounds 3] [--only caption-1,caption-64,train]

--bench  Benchmarks' LanguageModelBench     --model  a GPT-2 folder; without it random weights are written to a new one
The peer runs in the Python that runs this script, with the same number of threads.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile

import torch

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import torchvision_names

from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
PREFIX, LENGTH = 10, 20


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"'{request}' was not answered: {self.process.args}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--model")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="memory,caption-1,caption-64,train")
    a = parser.parse_args()
    scratch = tempfile.mkdtemp()
    model = a.model
    if model is None:
        from transformers import GPT2Config, GPT2LMHeadModel
        torch.manual_seed(0)
        model = f"{scratch}/gpt2"
        GPT2LMHeadModel(GPT2Config()).save_pretrained(model)
    width = json.load(open(f"{model}/config.json"))["n_embd"]
    prefixes = f"{scratch}/prefixes.safetensors"
    save_file({"prefixes": torch.randn(64, PREFIX, width, generator=torch.Generator().manual_seed(1))}, prefixes)
    commands = {"ours": [a.bench, model, prefixes], "transformers": [sys.executable, f"{HERE}/peer.py", model, prefixes]}
    print(f"threads {torch.get_num_threads()}, float32, prefix {PREFIX}, {LENGTH} new tokens, {a.rounds} rounds in turn")

    if "memory" in a.only:
        for name, command in commands.items():
            side = Side(command)
            loaded = side.ask("memory")["peak"]
            side.ask(f"caption 1 {LENGTH}")
            m = side.ask("memory")
            print(f"memory, one image, {name}: peak {m['peak'] / 2**20:.0f} MiB, {m['peak'] / m['weights']:.2f} of the weights "
                  f"({loaded / 2**20:.0f} MiB before)")
            side.close()

    sides = {name: Side(command) for name, command in commands.items()}
    print(sides["ours"].ask("keep")["kernel"])
    for request, count, unit in [("caption 1", LENGTH, "tokens/s"), ("caption 64", 64 * LENGTH, "tokens/s"),
                                 ("train 40", 40, "samples/s")]:
        if request.replace(" ", "-").replace("train-40", "train") not in a.only:
            continue
        times = {name: [] for name in sides}
        answers = {}
        for turn in range(a.rounds + 1):  # the first warms up
            for name, side in sides.items():
                answer = side.ask(f"{request} {LENGTH}")
                if turn:
                    times[name].append(answer["seconds"])
                answers[name] = answer
        if "tokens" in answers["ours"]:
            same = sum(x == y for x, y in zip(answers["ours"]["tokens"], answers["transformers"]["tokens"]))
            note = f"{same} of {len(answers['ours']['tokens'])} captions equal"
        else:
            note = f"loss {answers['ours']['loss']:.4f} / {answers['transformers']['loss']:.4f}"
        for name, values in times.items():
            print(f"{request:10s} {name:12s} {count / statistics.median(values):8.2f} {unit}  "
                  f"({count / max(values):.2f} to {count / min(values):.2f})")
        ratio = statistics.median(y / x for x, y in zip(times["ours"], times["transformers"]))
        print(f"{request:10s} {ratio:.2f}x; {note}", flush=True)
    for side in sides.values():
        side.close()


main()
