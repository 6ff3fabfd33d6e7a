// ClipCap's training step alone, on embeddings and captions in memory: one JSON line. `gemm_share` is what the step needs in
// multiplications and additions (logits where a caption has a token, not of the prefix) over its time and the rate of
// libtorch's own 2048³ product of the same dtype in the same process.
//
//   CaptionBench train mlp|transformer tuned|frozen DTYPE BATCH LENGTH REPEATS
//
// GPT-2 small with random weights, captions of LENGTH random tokens, prefix and clip length 10, embeddings of length 512:
// the shapes of Benchmarks/captioning/peer.py, which prints the same line.

import Alignment
import Captioning
import Foundation
import LanguageModels
import Torch
import TorchNN

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let time = try ContinuousClock().measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
}

let arguments = CommandLine.arguments
guard arguments.count == 8, arguments[1] == "train", let batch = Int(arguments[5]), let length = Int(arguments[6]),
    let repeats = Int(arguments[7])
else {
    print("usage: CaptionBench train mlp|transformer tuned|frozen float32|bfloat16 BATCH LENGTH REPEATS")
    exit(2)
}

/// GFLOP/s of libtorch's product in the step's dtype, the best of eight.
func productRate(_ dtype: DType) -> Double {
    inferenceMode {
        let (a, b) = (
            Tensor.randn([2048, 2048], generator: Generator(seed: 4)).to(dtype),
            Tensor.randn([2048, 2048], generator: Generator(seed: 5)).to(dtype)
        )
        return (0..<8).map { _ in 2 * 2048 * 2048 * 2048 / seconds { _ = a.matmul(b) } / 1e9 }.max()!
    }
}

/// Floating-point operations of one step: products of the forward pass, of the gradients of inputs and of trained weights.
func operations(_ model: GPT2LanguageModel, _ mapper: PrefixMapper, batch: Int, length: Int, frozen: Bool) -> Double {
    let configuration = model.configuration
    let width = Double(configuration.hiddenSize)
    let positions = Double(batch * (10 + length))
    let blocks = Double(configuration.layerCount) * 12 * width * width * positions
    let attention = Double(configuration.layerCount) * 2 * width * positions * Double(10 + length)
    let head = width * Double(configuration.vocabularySize) * Double(batch * length)
    // The transformer's layers work on clip length and prefix length positions, everything else on one per image.
    let mapped = mapper.namedParameters().reduce(0.0) {
        $0 + Double($1.tensor.count * ($1.key.hasPrefix("transformer.") ? 20 : 1) * batch)
    }
    let passes = frozen ? 2.0 : 3.0
    return 2 * ((blocks + head) * passes + attention * 3 + mapped * 3)
}

try TorchRuntime.load()
try TorchRuntime.keepFreedMemory()
var recipe = CaptionerRecipe()
recipe.clipcap.mapper = arguments[2] == "mlp" ? .mlp : .transformer
recipe.languageModel.frozen = arguments[3] == "frozen"
recipe.training.clipNorm = nil
let model = GPT2LanguageModel(GPT2Configuration())
model.initialize(generator: Generator(seed: 0))
var configuration = ClipCapConfiguration()
configuration.mapper = recipe.clipcap.mapper
configuration.normalizesFeatures = false
let mapper = PrefixMapper.make(configuration)
mapper.initialize(generator: Generator(seed: 1))
let task = try CaptionerTask(
    model: ClipCapModel(mapper: mapper, languageModel: model), recipe: recipe,
    dtype: arguments[4] == "bfloat16" ? .bfloat16 : .float32, totalSteps: 1_000_000)
let ids = Tensor.rand([batch * length], generator: Generator(seed: 2)).array(of: Float.self).map { 1 + Int($0 * 50000) }
let rows = (0..<batch).map { Array(ids[$0 * length..<($0 + 1) * length]) }
let features = Tensor.randn([batch, 512], generator: Generator(seed: 3))
let input = CaptionerTask.Batch(
    ids: rows.indices.map { "\($0)" }, features: features, tokens: { CaptionTokens(Array(rows[$0])) })
let peak = productRate(arguments[4] == "bfloat16" ? .bfloat16 : .float32)
var times = try (0...repeats).map { step in
    try seconds {
        let report = try task.step(input, step: step)
        precondition(report.loss.isFinite)
    }
}
times.removeFirst()
times.sort()
let median = times[times.count / 2]
let share =
    operations(model, mapper, batch: batch, length: length, frozen: recipe.languageModel.frozen) / median / 1e9 / peak
var usage = rusage()
getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
print(
    "{\"mapper\": \"\(arguments[2])\", \"language_model\": \"\(arguments[3])\", \"dtype\": \"\(arguments[4])\", \"batch\": \(batch), \"length\": \(length), \"step_seconds\": \(median), \"samples_per_second\": \(Double(batch) / median), \"gemm_gflops\": \(peak), \"gemm_share\": \(share), \"peak_mib\": \(usage.ru_maxrss / 1024)}"
)
