import Files
import Foundation
import Images
import ModelFolders
import Safetensors
import StrictJSON
import Testing
import Torch
import TorchNN

@testable import Encoders

/// A copy of a fixture's model folder that a test may damage.
struct TemporaryModel {
    let folder: String

    init(_ name: String = "quick-gelu") throws {
        folder = NSTemporaryDirectory() + "model-\(UUID().uuidString)"
        try FileManager.default.copyItem(atPath: fixture(name), toPath: folder)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    func edit(_ file: String, _ old: String, _ new: String) throws {
        let path = "\(folder)/\(file)"
        let text = String(decoding: try #require(FileManager.default.contents(atPath: path)), as: UTF8.self)
        #expect(text.contains(old), "the fixture has no \(old)")
        try AtomicFile.write(text.replacingOccurrences(of: old, with: new), to: path)
    }

    /// Rewrites the weights after `change`.
    func editWeights(_ change: (inout [String: Tensor]) -> Void) throws {
        let weights = try Weights(path: "\(folder)/model.safetensors")
        var tensors = weights.entries.mapValues { $0.tensor().clone() }
        change(&tensors)
        try Weights.save(tensors.map { ($0.key, $0.value) }, to: "\(folder)/model.safetensors")
    }
}

@Suite struct CLIPLoadingTests {
    @Test func everyDisagreementIsListedAtOnce() throws {
        let model = try TemporaryModel()
        defer { model.remove() }
        try model.editWeights { tensors in
            tensors["logit_scale"] = nil
            tensors["text_projection.weight"] = .zeros([10, 25])
            tensors["visual_projection.extra"] = .zeros([2])
            tensors["vision_model.pre_layrnorm.bias"] = .zeros([32], dtype: .int64)
        }
        let error = #expect(throws: StateMismatch.self) { try CLIPModel(folder: model.folder) }
        #expect(
            error?.description == """
                \(model.folder)/model.safetensors does not fit CLIPModel:
                  missing from the file (1):
                    logit_scale []
                  in the file, not in the model (1):
                    visual_projection.extra
                  of another shape (1):
                    text_projection.weight: model expects [10, 24], file has [10, 25]
                  of another kind (1):
                    vision_model.pre_layrnorm.bias: model expects float32, file has int64
                  is config.json the one this file was saved with?
                """)
    }

    @Test func positionIDsOfOldFilesAreAccepted() throws {
        let model = try TemporaryModel()
        defer { model.remove() }
        try model.editWeights { tensors in
            tensors["text_model.embeddings.position_ids"] = Tensor.arange(0, 9).unsqueezed(0)
            tensors["vision_model.embeddings.position_ids"] = Tensor.arange(0, 10)
        }
        _ = try CLIPModel(folder: model.folder)
    }

    @Test func shardedCheckpointsLoad() throws {
        let model = try TemporaryModel()
        defer { model.remove() }
        let weights = try Weights(path: "\(model.folder)/model.safetensors")
        let keys = weights.entries.keys.sorted()
        let parts = [Array(keys[..<20]), Array(keys[20...])]
        var map: [String] = []
        for (index, part) in parts.enumerated() {
            let name = "model-0000\(index + 1)-of-00002.safetensors"
            try Weights.save(part.map { ($0, weights[$0]!.tensor().clone()) }, to: "\(model.folder)/\(name)")
            map += part.map { "\"\($0)\": \"\(name)\"" }
        }
        try AtomicFile.write(
            "{\"metadata\": {}, \"weight_map\": {\(map.joined(separator: ", "))}}",
            to: "\(model.folder)/model.safetensors.index.json")
        try FileManager.default.removeItem(atPath: "\(model.folder)/model.safetensors")
        let sharded = try CLIPModel(folder: model.folder)
        let whole = try CLIPModel(folder: fixture("quick-gelu"))
        for (a, b) in zip(sharded.namedParameters(), whole.namedParameters()) {
            #expect(a.key == b.key)
            #expect(a.tensor.array(of: Float.self) == b.tensor.array(of: Float.self), "\(a.key)")
        }
    }

    @Test(arguments: [
        (
            "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"swishy\"",
            "text_config.hidden_act' is \"swishy\", expected one of \"gelu\""
        ),
        ("\"vocab_size\": 61", "\"vocab_size\": \"61\"", "'text_config.vocab_size' is \"61\", expected a whole number"),
        (
            "\"num_attention_heads\": 3", "\"num_attention_heads\": 5",
            "'text_config.hidden_size' is 24, expected a multiple of num_attention_heads (5)"
        ),
        (
            "\"patch_size\": 7", "\"patch_size\": 23",
            "'vision_config.image_size' is 22, expected at least patch_size (23)"
        ),
        ("\"model_type\": \"clip\"", "\"model_type\": \"blip\"", "'model_type' is \"blip\", expected \"clip\""),
        ("{", "[", "is no JSON"),
    ])
    func badConfigurationsAreNamed(old: String, new: String, message: String) throws {
        let model = try TemporaryModel()
        defer { model.remove() }
        try model.edit("config.json", old, new)
        let error = #expect(throws: JSONFileError.self) { try CLIPModel(folder: model.folder) }
        #expect(error?.description.hasPrefix("\(model.folder)/config.json") == true)
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "none")")
    }

    @Test func foldersThatAreNoModelsAreNamed() throws {
        let folder = NSTemporaryDirectory() + "empty-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let error = #expect(throws: ModelFolderError.self) { try CLIPModel(folder: folder) }
        #expect(
            error?.description
                == "'\(folder)' is no model folder: config.json or open_clip_config.json expected in it; "
                + "give the folder that holds the weights and their configuration")
    }

    @Test func unknownLayoutsAreNamed() throws {
        var weights = Weights(source: "weights.safetensors", entries: ["encoder.0.weight": .init(.zeros([2]))])
        let error = #expect(throws: ModelFolderError.self) { try CLIPCheckpoint.convert(&weights) }
        #expect(error?.description.hasPrefix("weights.safetensors: the tensor names are of no known layout") == true)
    }

    @Test func mappedWeightsAreNotCopied() throws {
        let mapped = try CLIPModel(folder: fixture("quick-gelu"), memory: .mapped)
        let owned = try CLIPModel(folder: fixture("quick-gelu"), memory: .owned)
        func address(_ model: CLIPModel) -> UInt {
            model.visualProjection.weight.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        }
        let maps = String(
            decoding: try #require(try FileHandle(forReadingFrom: URL(fileURLWithPath: "/proc/self/maps")).readToEnd()),
            as: UTF8.self)
        func file(_ address: UInt) -> Bool {
            maps.split(separator: "\n").contains { line in
                let range = line.prefix { $0 != " " }.split(separator: "-")
                guard let low = UInt(range[0], radix: 16), let high = UInt(range[1], radix: 16) else { return false }
                return (low..<high).contains(address) && line.hasSuffix("model.safetensors")
            }
        }
        #expect(file(address(mapped)))
        #expect(!file(address(owned)))
    }
}
