import Foundation
import Testing
import Torch
import TorchNN

@testable import Diffusion

// Against diffusers (Fixtures/make_scheduler_fixtures.py): every sample of every trajectory.

/// Of the largest value in the sample. Both sides step in float32, from tables that agree to float32; the reference also
/// keeps its step coefficients in float32.
private let tolerance = 2e-5

enum SchedulerFixtures {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String
        let className: String
        let steps: Int
        let file: String
        var testDescription: String { name }
    }

    static func path(_ name: String) -> String {
        Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
    }

    static let cases: [Case] = {
        let data = FileManager.default.contents(atPath: path("schedulers.json"))!
        let root = try! JSONSerialization.jsonObject(with: data) as! [String: Any]
        return (root["cases"] as! [[String: Any]]).map { entry in
            let configuration = try! JSONSerialization.data(withJSONObject: entry["configuration"]!)
            return Case(
                name: entry["name"] as! String, className: entry["class"] as! String, steps: entry["steps"] as! Int,
                file: String(decoding: configuration, as: UTF8.self))
        }
    }()

    static func tensors() throws -> Weights { try Weights(path: path("schedulers.safetensors")) }
}

/// A scheduler from the text of a file.
func scheduler(_ text: String, as kind: SchedulerKind? = nil) throws -> any NoiseScheduler {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("scheduler-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/scheduler_config.json"))
    return try Schedulers.load(folder: folder, as: kind)
}

/// The fixture script's.
private func model(_ x: Tensor, _ t: Double) -> Tensor {
    0.9 * (0.7 * x + cos(t / 173)).tanh() + 0.1 * x.flipped(-1)
}

@Suite struct SchedulerTrajectoryTests {
    @Test(arguments: SchedulerFixtures.cases)
    func everySampleEqualsTheReference(_ reference: SchedulerFixtures.Case) throws {
        let kind = try #require(SchedulerKind.allCases.first { $0.className == reference.className })
        let tensors = try SchedulerFixtures.tensors()
        let expected = try #require(tensors["\(reference.name).samples"]).tensor()  // [calls + 1, 2, 2, 3]
        let trajectory = try scheduler(reference.file, as: kind).trajectory(steps: reference.steps)
        let timesteps: [Double] = try #require(tensors["\(reference.name).timesteps"]).tensor().array()
        #expect(zip(trajectory.timesteps, timesteps).allSatisfy { abs($0 - $1) < 1e-3 }, "\(trajectory.timesteps)")
        try #require(trajectory.timesteps.count == timesteps.count)
        #expect(expected.size(0) == timesteps.count + 1)

        var sample = try #require(tensors["noise"]).tensor() * trajectory.initialNoiseScale
        for index in 0...timesteps.count {
            let reference = expected[index..<index + 1]
            let error = (sample - reference).abs().max().item() / max(1, reference.abs().max().item())
            #expect(error < tolerance, "sample \(index)")
            guard index < timesteps.count else { break }
            let output = model(trajectory.scaleInput(sample, at: index), trajectory.timesteps[index])
            sample = trajectory.step(modelOutput: output, at: index, sample: sample)
        }
    }

    @Test(arguments: SchedulerKind.allCases)
    func stepsAreComputedInFloat32AndKeepTheSamplesDType(kind: SchedulerKind) throws {
        let made = try Schedulers.make(.stableDiffusion(kind, prediction: .velocity))
        let (full, half) = (try made.trajectory(steps: 3), try made.trajectory(steps: 3))
        let noise = try #require(try SchedulerFixtures.tensors()["noise"]).tensor()
        var sample = noise * full.initialNoiseScale
        var rounded = sample.to(.bfloat16)
        for index in full.timesteps.indices {
            let output = model(full.scaleInput(sample, at: index), full.timesteps[index]).to(.bfloat16)
            sample = full.step(modelOutput: output, at: index, sample: sample)
            rounded = half.step(modelOutput: output, at: index, sample: rounded)
            #expect(sample.dtype == .float32)
            #expect(rounded.dtype == .bfloat16)
        }
        #expect((sample - rounded.to(.float32)).abs().max().item() < 0.1 * sample.abs().max().item())
    }

    /// Rows of a batch do not see each other.
    @Test(arguments: SchedulerKind.allCases)
    func aBatchIsItsRows(kind: SchedulerKind) throws {
        let made = try Schedulers.make(.stableDiffusion(kind, prediction: .epsilon))
        let noise = Tensor.randn([3, 2, 5], generator: Generator(seed: 1))
        func run(_ start: Tensor) throws -> Tensor {
            let trajectory = try made.trajectory(steps: 6)
            var sample = start * trajectory.initialNoiseScale
            for index in trajectory.timesteps.indices {
                let output = model(trajectory.scaleInput(sample, at: index), trajectory.timesteps[index])
                sample = trajectory.step(modelOutput: output, at: index, sample: sample)
            }
            return sample
        }
        let whole: [Float] = try run(noise).array()
        let rows = try (0..<3).flatMap { try run(noise[$0..<$0 + 1]).array(of: Float.self) }
        #expect(zip(whole, rows).allSatisfy { abs($0 - $1) <= 1e-6 * max(1, abs($0)) })
    }
}

@Suite struct NoiseScheduleTests {
    private static let files = [
        "sd": #"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}"#,
        "zero-snr":
            #"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "rescale_betas_zero_snr": true}"#,
        "cosine": #"{"beta_schedule": "squaredcos_cap_v2"}"#,
        "linear": "{}",
    ]

    private func schedule(_ name: String) throws -> NoiseSchedule { try scheduler(Self.files[name]!, as: .ddim).noise }

    @Test(arguments: ["sd", "zero-snr", "cosine", "linear"])
    func theForwardProcessEqualsTheReference(name: String) throws {
        let tensors = try SchedulerFixtures.tensors()
        func expected(_ key: String) throws -> Tensor { try #require(tensors["train.\(name).\(key)"]).tensor() }
        let noise = try schedule(name)
        let alphas: [Float] = try expected("alphas").array()
        #expect(noise.alphasCumulative.count == alphas.count)
        #expect(zip(noise.alphasCumulative, alphas).allSatisfy { abs($0 - $1) <= 3e-6 * $1 + 1e-9 })
        let (original, e) = (try expected("original"), try expected("noise"))
        let timesteps = Tensor([0, 481, 998])
        let noisy = noise.addNoise(to: original, noise: e, timesteps: timesteps)
        let velocity = noise.target(.velocity, original: original, noise: e, timesteps: timesteps)
        #expect(try (noisy - expected("noisy")).abs().max().item() < 1e-5)
        #expect(try (velocity - expected("velocity")).abs().max().item() < 1e-5)
    }

    /// The answer to a velocity model is the noisy sample's own derivative: from it and the sample, original and noise come
    /// back.
    @Test(arguments: PredictionType.allCases)
    func aPerfectAnswerGivesBackOriginalAndNoise(prediction: PredictionType) throws {
        let noise = try schedule("sd")
        let generator = Generator(seed: 5)
        let original = Tensor.randn([4, 2, 3, 3], generator: generator)
        let e = Tensor.randn([4, 2, 3, 3], generator: generator)
        let steps = [10, 300, 700, 999]
        let timesteps = Tensor(steps)
        let noisy = noise.addNoise(to: original, noise: e, timesteps: timesteps)
        let answer = noise.target(prediction, original: original, noise: e, timesteps: timesteps)
        for (row, step) in steps.enumerated() {
            let alpha = Double(noise.alphasCumulative[step])
            let (signal, sigma) = (alpha.squareRoot(), (1 - alpha).squareRoot())
            let (x, y) = (noisy[row..<row + 1], answer[row..<row + 1])
            let (back, left): (Tensor, Tensor) =
                switch prediction {
                case .epsilon: ((x - sigma * y) / signal, y)
                case .sample: (y, (x - signal * y) / sigma)
                case .velocity: (signal * x - sigma * y, signal * y + sigma * x)
                }
            #expect((back - original[row..<row + 1]).abs().max().item() < 1e-4)
            #expect((left - e[row..<row + 1]).abs().max().item() < 1e-4)
        }
    }
}
