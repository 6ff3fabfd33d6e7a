// The denoiser and the autoencoder alone: one JSON line per measurement. Benchmarks/diffusion/peer.py runs it beside diffusers.
//
//   DiffusionBench unet DTYPE REPEATS [plain]     Stable Diffusion 2's UNet, latents 2x4x64x64
//   DiffusionBench small BATCH REPEATS [plain]    a UNet of the miniature's size, latents [BATCH, 4, 16, 16], float32
//   DiffusionBench train BATCH REPEATS            one training step of the small UNet without the optimizer
//   DiffusionBench decode BATCH REPEATS [plain]   a small autoencoder's decoder, latents [BATCH, 4, 16, 16]
//   DiffusionBench images FOLDER COUNT [plain]    whole images of a diffusers folder, batches of 8, 12 steps, guidance 3
//   DiffusionBench layers                         the operations of Stable Diffusion 2's UNet one by one, float32
//   DiffusionBench save FOLDER                    random models and their answers, for peer.py to load with diffusers
//
// Weights and inputs are random: neither changes how long the arithmetic takes. `plain` leaves out prepareForInference.

import Diffusion
import Foundation
import Torch
import TorchNN

func seconds(_ body: () throws -> Void) rethrows -> Double {
    let clock = ContinuousClock()
    let time = try clock.measure(body)
    return Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
}

func report(_ name: String, _ repeats: Int, _ body: () -> Tensor) {
    precondition(body().isFinite().all(), "the result is not finite")
    let times = (0..<repeats).map { _ in seconds { _ = body() } }.sorted()
    print("{\"what\": \"\(name)\", \"seconds\": \(times[times.count / 2]), \"best\": \(times[0])}")
}

/// A denoiser of the miniature's size.
func smallConfiguration() -> UNetConfiguration {
    var configuration = UNetConfiguration()
    configuration.sampleSize = 16
    configuration.blockChannels = [64, 128, 128]
    configuration.downBlocks = [.crossAttention, .crossAttention, .plain]
    configuration.upBlocks = [.plain, .crossAttention, .crossAttention]
    configuration.layersPerBlock = [1, 1, 1]
    configuration.transformerLayersPerBlock = [1, 1, 1]
    configuration.headCounts = [2, 4, 4]
    configuration.normGroups = 16
    configuration.crossAttentionDimension = 128
    return configuration
}

func smallAutoencoder() -> AutoencoderConfiguration {
    var configuration = AutoencoderConfiguration()
    configuration.blockChannels = [32, 64, 64]
    configuration.layersPerBlock = 1
    configuration.normGroups = 16
    configuration.sampleSize = 64
    return configuration
}

func make(_ configuration: UNetConfiguration, dtype: DType = .float32, isPlain: Bool) -> UNet2DConditionModel {
    let unet = UNet2DConditionModel(configuration)
    unet.initialize(generator: Generator(seed: 0))
    unet.setRequiresGrad(false)
    unet.to(dtype: dtype)
    if !isPlain { unet.prepareForInference() }
    return unet
}

let arguments = CommandLine.arguments
try TorchRuntime.load()
try TorchRuntime.keepFreedMemory()
let isPlain = arguments.last == "plain"
let generator = Generator(seed: 1)
switch arguments.dropFirst().first {
case "unet":
    let dtype: DType = arguments[2] == "bfloat16" ? .bfloat16 : .float32
    let unet = make(.stableDiffusion2, dtype: dtype, isPlain: isPlain)
    let sample = Tensor.randn([2, 4, 64, 64], generator: generator)
    let text = Tensor.randn([2, 77, 1024], generator: generator)
    report("unet \(dtype)", Int(arguments[3])!) { inferenceMode { unet(sample, Tensor([500]), text) } }
case "small":
    let batch = Int(arguments[2])!
    let unet = make(smallConfiguration(), isPlain: isPlain)
    let sample = Tensor.randn([batch, 4, 16, 16], generator: generator)
    let states = Tensor.randn([batch, 77, 128], generator: generator)
    let context = inferenceMode { unet.context(states) }
    report("small UNet, batch \(batch)", Int(arguments[3])!) { inferenceMode { unet(sample, Tensor([500]), context) } }
case "train":
    let batch = Int(arguments[2])!
    let unet = make(smallConfiguration(), isPlain: true)
    unet.setRequiresGrad(true)
    let sample = Tensor.randn([batch, 4, 16, 16], generator: generator)
    let states = Tensor.randn([batch, 77, 128], generator: generator)
    let target = Tensor.randn([batch, 4, 16, 16], generator: generator)
    let steps = Tensor((0..<batch).map { 7 * $0 })
    report("training the small UNet, batch \(batch)", Int(arguments[3])!) {
        let loss = Functional.meanSquaredError(unet(sample, steps, states), target)
        loss.backward()
        for parameter in unet.namedParameters() { parameter.tensor.grad = nil }
        return loss
    }
case "decode":
    let batch = Int(arguments[2])!
    let autoencoder = AutoencoderKL(smallAutoencoder())
    autoencoder.initialize(generator: Generator(seed: 0))
    autoencoder.setRequiresGrad(false)
    if !isPlain { autoencoder.prepareForInference() }
    let latents = Tensor.randn([batch, 4, 16, 16], generator: generator)
    report("small decoder, batch \(batch)", Int(arguments[3])!) { inferenceMode { autoencoder.decode(latents) } }
case "images":
    let model = try StableDiffusion2(folder: arguments[2], scheduler: .dpmSolver)
    var settings = StableDiffusion2.Settings()
    settings.steps = 12
    settings.guidance = 3
    if !isPlain { try model.prepareForInference(settings) }
    func make(_ count: Int) throws {
        for first in stride(from: 0, to: count, by: 8) {
            let seeds = (first..<min(count, first + 8)).map(UInt64.init)
            let prompts = seeds.map { _ in "a red cube and a small blue sphere on a wooden table" }
            let pictures = try model.pictures(prompts, noise: try model.noise(seeds: seeds, settings), settings)
            for case .notFinite in pictures { preconditionFailure("an image is not finite") }
        }
    }
    try make(8)
    let count = Int(arguments[3])!
    let time = try seconds { try make(count) }
    print(
        "{\"what\": \"images\", \"count\": \(count), \"seconds\": \(time), \"images_per_second\": \(Double(count) / time)}"
    )
case "layers":
    LayerTimes.report()
case "save":
    let folder = arguments[2]
    let unet = make(smallConfiguration(), isPlain: true)
    try unet.save(folder: "\(folder)/unet")
    let autoencoder = AutoencoderKL(smallAutoencoder())
    autoencoder.initialize(generator: Generator(seed: 2))
    try autoencoder.save(folder: "\(folder)/vae")
    let sample = Tensor.randn([2, 4, 16, 16], generator: generator)
    let states = Tensor.randn([2, 77, 128], generator: generator)
    let (noise, decoded) = inferenceMode { (unet(sample, Tensor([500]), states), autoencoder.decode(sample)) }
    try Weights.save(
        [("sample", sample), ("text", states), ("noise", noise), ("decoded", decoded)],
        to: "\(folder)/answers.safetensors")
    print("{\"saved\": \"\(folder)\"}")
default:
    print("usage: DiffusionBench unet|small|train|decode|layers|images|save … (see the source's first lines)")
    exit(2)
}
