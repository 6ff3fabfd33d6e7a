import Synthesis
import Terminal
import Torch

// What the command says when it is done.

extension GenerateCommand {
    func report(_ estimate: SynthesisEstimate?) throws {
        guard let estimate else { throw CommandError("this shard has no images to estimate from") }
        if json {
            try Terminal.output(json: GenerateSummary(estimate).text)
        } else {
            try Terminal.output(estimate.text)
        }
    }

    func report(_ outcome: SynthesisOutcome, _ out: String, _ device: Device) throws {
        if json {
            try Terminal.output(json: GenerateSummary(outcome, out: out, device: device).text)
            return
        }
        guard !quiet else { return }
        if outcome.truncated > 0 {
            try Terminal.output(
                "\(outcome.truncated) images have captions longer than the model reads; what is beyond was cut off")
        }
        if outcome.retried > 0 { try Terminal.output("\(outcome.retried) images were made again in a wider dtype") }
        if outcome.failed > 0 { try Terminal.output("\(outcome.failed) images could not be made and are left out") }
        try Terminal.output(
            outcome.isComplete
                ? "\(out): \(outcome.finished) images"
                : "\(out): stopped after \(outcome.finished) of \(outcome.total) images; run the same command to go on")
        if let pairs = outcome.pairs { try Terminal.output("pairs: \(pairs)") }
        if !outcome.tars.isEmpty { try Terminal.output("\(outcome.tars.count) tar shards") }
    }
}
