import Encoders
import Foundation
import Testing
import Torch
import TorchNN

@testable import Adapters

func fixture(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Fixtures/\(name)").path
}

func baseModel() throws -> CLIPModel {
    try CLIPModel(folder: fixture("base"), memory: .owned)
}

func pixels() throws -> Tensor {
    try Weights(path: fixture("base/expected.safetensors"))["pixel_values"]!.tensor()
}

func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return withoutGradients { (a.to(.float64) - b.to(.float64)).abs().max().item() }
}

func bits(_ tensor: Tensor) -> [UInt8] {
    tensor.detached().contiguous().withUnsafeBytes { Array($0) }
}

/// A folder of its own for one test, removed when `body` returns.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("adapters-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

extension LoRAAdapter {
    /// Non-zero `A` and `B`: a fresh adapter is zero and would hide mistakes.
    func fill(seed: UInt64) {
        let generator = Generator(seed: seed)
        withoutGradients {
            for parameter in namedParameters() {
                parameter.tensor.copy(from: .randn(parameter.tensor.shape, generator: generator) * 0.2)
            }
        }
    }
}
