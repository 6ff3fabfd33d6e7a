// GPT-2 alone: captioning by beam search and the training step of a captioner, on request.
//
//   LanguageModelBench FOLDER PREFIXES      a Hugging Face folder, and `prefixes.safetensors` with [N, 10, C]
//
// Reads one request per line and answers each with one line of JSON, so that the peer can take turns:
//   caption BATCH LENGTH     beam 5 over the first BATCH prefixes: seconds, and the tokens for the comparison
//   train BATCH LENGTH       one step: forward, loss on the tokens, backward, AdamW: seconds and the loss
//   keep                     from now on as a program that captions many images: freed memory is kept, weights packed if faster
//   memory                   the process's highest resident memory and the weights' size, in bytes

import Foundation
import LanguageModels
import Torch
import TorchNN
import TorchOptim

struct Usage: Error {}

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let time = try ContinuousClock().measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
}

/// `VmHWM` of this process.
func peakMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }!
    return Int(line.split(separator: " ").dropFirst().first { Int($0) != nil }!)! * 1024
}

/// Trains everything, as the peer does: dropout 0.1, AdamW, prefixes with a gradient.
final class Trainer {
    let model: GPT2LanguageModel
    let optimizer: AdamW
    let prefixes: Tensor

    init(folder: String, prefixes: Tensor) throws {
        model = try GPT2LanguageModel(folder: folder, memory: .owned)
        model.setRequiresGrad(true)
        model.setTraining(true)
        model.dropoutGenerator = Generator(seed: 0)
        optimizer = try AdamW([
            ParameterGroup(name: "all", parameters: model.namedParameters(), learningRate: 2e-5, weightDecay: 0.01)
        ])
        self.prefixes = prefixes.clone()
        self.prefixes.requiresGrad = true
    }

    func step(batch: Int, length: Int) -> Double {
        let ids = Tensor((0..<batch * length).map { Int64(1 + $0 * 7919 % 50000) }, shape: [batch, length])
        let embeddings = Tensor.cat([prefixes[0..<batch], model.embed(ids)], dim: 1)
        let loss = model.loss(embeddings: embeddings, targets: ids, from: prefixes.size(1) - 1, ignoring: 0)
        loss.backward()
        optimizer.step()
        optimizer.zeroGradients()
        prefixes.grad = nil
        return loss.item()
    }
}

guard CommandLine.arguments.count == 3 else { throw Usage() }
let folder = CommandLine.arguments[1]
try TorchRuntime.load()
let prefixes = try Weights(path: CommandLine.arguments[2])["prefixes"]!.tensor()
let model = try GPT2LanguageModel(folder: folder)
var trainer: Trainer?

func answer(_ values: [String: Any]) throws {
    print(String(decoding: try JSONSerialization.data(withJSONObject: values, options: .sortedKeys), as: UTF8.self))
    fflush(nil)
}

while let line = readLine() {
    let words = line.split(separator: " ").map(String.init)
    switch words.first {
    case "caption":
        let (batch, length) = (Int(words[1])!, Int(words[2])!)
        let settings = GenerationSettings(.beams(.init(beamCount: 5)), maximumNewTokens: length)
        var tokens: [[Int]] = []
        let time = try seconds {
            tokens = try model.generate(prefixes: prefixes[0..<batch], settings).map { $0[0].tokens }
        }
        precondition(tokens.allSatisfy { $0.count == length })
        try answer(["seconds": time, "tokens": tokens])
    case "train":
        if trainer == nil { trainer = try Trainer(folder: folder, prefixes: prefixes) }
        var loss = Double.nan
        let time = seconds { loss = trainer!.step(batch: Int(words[1])!, length: Int(words[2])!) }
        precondition(loss.isFinite)
        try answer(["seconds": time, "loss": loss])
    case "memory":
        let weights = model.namedTensors().reduce(0) { $0 + $1.tensor.count * $1.tensor.dtype.size }
        try answer(["peak": try peakMemory(), "weights": weights])
    case "keep":
        try TorchRuntime.keepFreedMemory()
        try answer(["kernel": try model.prepareForBatches()?.reason ?? ""])
    default: throw Usage()
    }
}
