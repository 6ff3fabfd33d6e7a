import Encoders
import Foundation
import LanguageModels
import TestSupport
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

func languageModel() throws -> GPT2LanguageModel {
    try GPT2LanguageModel(folder: fixture("gpt2"), memory: .owned)
}

func given(_ key: String, of folder: String = "base") throws -> Tensor {
    try Weights(path: fixture("\(folder)/expected.safetensors"))[key]!.tensor()
}

func pixels() throws -> Tensor { try given("pixel_values") }

extension GPT2LanguageModel {
    /// ids `[B, T]` give `[B, T, V]`.
    func logits(ids: Tensor) -> Tensor { logits(hiddenStates(embeddings: embed(ids))) }
}

func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double {
    #expect(a.shape == b.shape)
    return withoutGradients { (a.to(.float64) - b.to(.float64)).abs().max().item() }
}

func bits(_ tensor: Tensor) -> [UInt8] {
    tensor.detached().contiguous().withUnsafeBytes { Array($0) }
}

/// Bits of every tensor of a model, by key.
func bits(of model: Module) -> [String: [UInt8]] {
    Dictionary(uniqueKeysWithValues: model.namedTensors().map { ($0.key, bits($0.tensor)) })
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

/// A copy of an adapter fixture whose configuration can be changed.
struct AdapterCopy {
    let folder: TemporaryFolder

    init(_ name: String) throws {
        folder = try TemporaryFolder()
        for file in try FileManager.default.contentsOfDirectory(atPath: fixture(name)) {
            try FileManager.default.copyItem(atPath: fixture("\(name)/\(file)"), toPath: folder(file))
        }
    }

    var path: String { folder.path }

    /// Puts `json` under `key` of the configuration.
    func set(_ key: String, _ json: String) throws {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder("adapter_config.json")))
        var object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        object[key] = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
        try JSONSerialization.data(withJSONObject: object).write(
            to: URL(fileURLWithPath: folder("adapter_config.json")))
    }

    /// Writes the adapter's tensors again, changed.
    func rewrite(_ change: (inout [String: Tensor]) -> Void) throws {
        let path = folder("adapter_model.safetensors")
        var tensors = try Weights(path: path).entries.mapValues { $0.tensor().clone() }
        change(&tensors)
        try Weights.save(tensors.map { ($0.key, $0.value) }, to: path)
    }
}
