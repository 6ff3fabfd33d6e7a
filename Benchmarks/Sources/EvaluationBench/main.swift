// Evaluation on random features: one JSON line per measurement.
//
//   EvaluationBench retrieval [ROUNDS]     5,000 images x 25,010 texts x 512, both directions; libtorch's product alone beside it
//   EvaluationBench tsne [POINTS]          exact t-SNE of POINTS x 512 (2,000: what `gmail evaluate gap` maps at most)

import Evaluation
import Foundation
import Torch

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let time = try ContinuousClock().measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// Largest resident size so far, in MiB.
func residentPeak() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
}

let arguments = Array(CommandLine.arguments.dropFirst())
try TorchRuntime.load()
switch arguments.first {
case "retrieval":
    let rounds = arguments.count > 1 ? Int(arguments[1]) ?? 5 : 5
    let generator = Generator(seed: 1)
    let images = Tensor.randn([5000, 512], generator: generator)
    let owner = (0..<25_010).map { $0 < 10 ? $0 : ($0 - 10) / 5 }
    let texts = images.indexSelect(0, Tensor(owner)) + Tensor.randn([25_010, 512], generator: generator) * 4
    let before = residentPeak()
    var times: [Double] = []
    var products: [Double] = []
    var memory = 0.0
    for _ in 0..<rounds {
        times.append(
            try seconds {
                let metrics = try Retrieval.metrics(images: images, texts: texts, imageOfText: owner)
                precondition(metrics.imageToText.recallAt1 > 0.3)
            })
        if times.count == 1 { memory = residentPeak() - before }
        // A strip of images at a time, as a program that keeps the scores for a moment would.
        products.append(
            inferenceMode {
                seconds {
                    for first in stride(from: 0, to: 5000, by: 250) {
                        _ = images[first..<first + 250].matmul(texts.transposed(0, 1))
                    }
                }
            })
    }
    let flops = 2.0 * 5000 * 25_010 * 512
    print(
        "{\"seconds\": \(median(times)), \"fastest\": \(times.min()!), \"gflops\": \(flops / median(times) / 1e9), "
            + "\"product_alone_seconds\": \(median(products)), \"product_alone_fastest\": \(products.min()!), "
            + "\"memory_mib\": \(memory), \"threads\": \(TorchRuntime.threadCount)}")
case "tsne":
    let points = arguments.count > 1 ? Int(arguments[1]) ?? 2000 : 2000
    let values: [Float] = Tensor.randn([points, 512], generator: Generator(seed: 2)).array()
    var divergence = 0.0
    let time = try seconds { divergence = try TSNE(EmbeddingRows(values, dimension: 512)).divergence }
    print("{\"seconds\": \(time), \"points\": \(points), \"divergence\": \(divergence)}")
default:
    print("EvaluationBench retrieval [ROUNDS] | tsne [POINTS]")
    exit(2)
}
