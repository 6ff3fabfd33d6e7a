import Files
import Foundation
import Safetensors
import TestSupport
import Testing
import Torch

@testable import TorchNN

/// Weights into modules: strictly both ways, everything that differs in one error, nothing changed then.
@Suite struct LoadingTests {
    private func mismatch(_ body: () throws -> Void) -> StateMismatch? {
        #expect(throws: StateMismatch.self) { try body() }
    }

    /// A file that differs in every way.
    private func damaged() -> Weights {
        var weights = Sample().weights(except: "shift", "extra.bias")
        weights.entries["first.weight"] = .init(.zeros([7, 4]))
        weights.entries["scale"] = .init(.zeros([2], dtype: .int64))
        weights.entries["more"] = .init(.zeros([1]))
        weights.entries["layers.2.weight"] = .init(.zeros([3, 4]))
        return weights
    }

    private func expectDamages(_ error: StateMismatch?) {
        #expect(error?.missing == [.init(key: "shift", shape: [3]), .init(key: "extra.bias", shape: [6])])
        #expect(error?.unused == ["layers.2.weight", "more"])
        #expect(error?.misshapen == [.init(key: "first.weight", expected: [7, 5], got: [7, 4])])
        #expect(error?.mistyped == [.init(key: "scale", expected: "float32", got: "int64")])
    }

    @Test func everyDifferenceIsInOneError() {
        let model = Sample()
        let before = model.weights()
        let error = mismatch { try model.load(damaged()) }
        expectDamages(error)
        #expect(
            error.map { "\($0)" }
                == """
                a.safetensors does not fit Sample:
                  missing from the file (2):
                    shift [3]
                    extra.bias [6]
                  in the file, not in the model (2):
                    layers.2.weight
                    more
                  of another shape (1):
                    first.weight: model expects [7, 5], file has [7, 4]
                  of another kind (1):
                    scale: model expects float32, file has int64
                  is config.json the one this file was saved with?
                """)
        for (key, entry) in before.entries {
            #expect(difference(model.weights()[key]!.tensor(), entry.tensor()) == 0, "\(key)")
        }
        #expect(model.dropped == 0)
    }

    @Test func longListsAreCut() {
        var weights = Sample().weights()
        for index in 0..<23 { weights.entries["z\(index)"] = .init(.zeros([1])) }
        let text = message { try Sample().load(weights) }
        #expect(text.contains("in the file, not in the model (23):") && text.contains("    … and 3 more\n"))
    }

    @Test func valuesAreTaken() throws {
        let (model, source) = (Sample(), Sample())
        source.layers[0].weight.fillInPlace(2.5)
        source.mean.fillInPlace(-1)
        try model.load(source.weights())
        for (a, b) in zip(model.namedTensors(), source.namedTensors()) {
            #expect(difference(a.tensor, b.tensor) == 0, "\(a.key)")
        }
        #expect(model.dropped == 1, "packed copies of the former weights are dropped")
        // Below a prefix; other parts of the file have to be let pass by name.
        let fresh = Sample()
        var weights = source.weights()
        weights.renameKeys { "model.\($0)" }
        weights.entries["head"] = .init(.zeros([1]))
        #expect(mismatch { try fresh.load(weights, prefix: "model") }?.unused == ["head"])
        try fresh.load(weights, prefix: "model", ignoring: { $0 == "head" })
        #expect(fresh.mean.array(of: Float.self) == [-1, -1, -1, -1])
    }

    /// What follows from the configuration may be absent; when it is there, leading ones do not count, other lengths do.
    @Test func derivedTensors() throws {
        let model = Sample()
        try model.load(model.weights(except: "position_ids"))
        var weights = model.weights()
        weights.entries["position_ids"] = .init(Tensor.arange(0, 8).reshaped(1, 8))
        try model.load(weights)
        #expect(model.positions.shape == [8])
        weights.entries["position_ids"] = .init(.arange(0, 9))
        #expect(
            mismatch { try model.load(weights) }?.misshapen == [.init(key: "position_ids", expected: [8], got: [9])])
        weights.entries["position_ids"] = .init(.full([8], 3, dtype: .float32))
        try model.load(weights)
        #expect(model.positions.array(of: Int64.self) == Array(0..<8), "the file's values are never taken")
    }

    @Test func dtypes() throws {
        let model = Sample()
        func loaded(_ changes: [String: DType], to dtype: DType? = nil) throws -> Set<String> {
            var weights = Sample().weights()
            for (key, type) in changes { weights.entries[key] = .init(weights[key]!.tensor().to(type)) }
            try model.load(weights, dtype: dtype)
            return Set(model.namedParameters().map { "\($0.tensor.dtype)" })
        }
        let all = Dictionary(uniqueKeysWithValues: Sample.keys.dropLast().map { ($0, DType.bfloat16) })
        #expect(try loaded(all) == ["bfloat16"], "a file's dtype stays")
        #expect(try loaded(["scale": .float16]) == ["float32"], "of several, the one that holds all")
        #expect(try loaded(["scale": .float16], to: .float64) == ["float64"])
        #expect(try loaded([:], to: .bfloat16) == ["bfloat16"])
        #expect(model.positions.dtype == .int64)
    }

    /// Mapped weights are the file's pages; owned ones are memory of their own, which may be written.
    @Test(arguments: [WeightMemory.mapped, .owned])
    func memory(memory: WeightMemory) throws {
        let folder = try TemporaryFolder()
        try Sample().save(to: folder("a.safetensors"))
        let weights = try Weights(path: folder("a.safetensors"))
        let (one, two) = (Sample(), Sample())
        try one.load(weights, memory: memory)
        try two.load(weights, memory: memory)
        let isShared = one.first.weight.withUnsafeBytes { a in
            two.first.weight.withUnsafeBytes { b in a.baseAddress == b.baseAddress }
        }
        #expect(isShared == (memory == .mapped))
        guard memory == .owned else { return }
        one.first.weight.fillInPlace(7)
        #expect(two.first.weight.max().item() < 1)
    }

    @Test func gradientsStayAskedFor() throws {
        let model = Sample()
        model.setRequiresGrad(true)
        try model.load(Sample().weights(), memory: .owned)
        #expect(model.namedParameters().allSatisfy { $0.tensor.requiresGrad })
    }

    /// Equal content, equal bytes; nothing derived; read back to the bit.
    @Test func savedFilesAreReadBack() throws {
        let folder = try TemporaryFolder()
        let model = Sample()
        try model.save(to: folder("a.safetensors"), metadata: ["format": "pt"], prefix: "top")
        try model.save(to: folder("b.safetensors"), metadata: ["format": "pt"], prefix: "top")
        #expect(
            try RegularFile.bytes(folder("a.safetensors")) == RegularFile.bytes(folder("b.safetensors")))
        let file = try Weights(path: folder("a.safetensors"))
        #expect(Set(file.entries.keys) == Set(Sample.keys.dropLast().map { "top.\($0)" }))
        let other = Sample()
        try other.load(file, prefix: "top")
        for (a, b) in zip(model.namedTensors(), other.namedTensors()) { #expect(difference(a.tensor, b.tensor) == 0) }
    }
}

/// Values into tensors that an optimizer holds: the one way of all trainers.
@Suite struct OverwritingTests {
    @Test func theTensorsStayTheSame() throws {
        let model = Sample()
        model.setRequiresGrad(true)
        let tensors = model.namedTensors().map(\.tensor)
        let source = Sample()
        source.scale.fillInPlace(6)
        source.mean.fillInPlace(7)
        var weights = source.weights(except: "position_ids")
        weights.entries["layers.1.bias"] = .init(.full([3], 0.5, dtype: .float64))
        try model.overwrite(from: weights)
        for (now, before) in zip(model.namedTensors(), tensors) { #expect(now.tensor === before, "\(now.key)") }
        #expect(model.scale.array(of: Float.self) == [6, 6])
        #expect(model.mean.array(of: Float.self) == [7, 7, 7, 7])
        #expect(model.layers[1].bias!.array(of: Float.self) == [0.5, 0.5, 0.5])
        #expect(model.scale.requiresGrad && model.scale.dtype == .float32)
        #expect(model.dropped == 1)
        // Derived values are passed over, in the file too.
        weights.entries["position_ids"] = .init(.zeros([8], dtype: .int64))
        try model.overwrite(from: weights)
        #expect(model.positions.array(of: Int64.self) == Array(0..<8))
    }

    @Test func allThatDiffersIsNamedAndNothingChanged() {
        let model = Sample()
        let before = model.weights()
        var weights = Sample().weights(except: "shift")
        weights.entries["first.bias"] = .init(.zeros([8]))
        weights.entries["mean"] = .init(.zeros([4], dtype: .int32))
        weights.entries["more"] = .init(.zeros([1]))
        let error = #expect(throws: StateMismatch.self) { try model.overwrite(from: weights) }
        #expect(error?.model == "Sample" && error?.source == "a.safetensors")
        #expect(error?.missing == [.init(key: "shift", shape: [3])])
        #expect(error?.misshapen == [.init(key: "first.bias", expected: [7], got: [8])])
        #expect(error?.mistyped == [.init(key: "mean", expected: "float32", got: "int32")])
        #expect(error?.unused == ["more"])
        for (key, entry) in before.entries { #expect(difference(model.weights()[key]!.tensor(), entry.tensor()) == 0) }
        #expect(model.dropped == 0)
    }

    /// A list of tensors that no module holds, such as a moving average.
    @Test func looseTensorsToo() throws {
        let average = Tensor.zeros([2, 3])
        let weights = Weights(source: "average.safetensors", entries: ["w": .init(.ones([2, 3]))])
        try [NamedTensor(key: "w", tensor: average)].overwrite(from: weights, model: "average")
        #expect(average.sum().item() == 6)
        #expect(
            #expect(throws: StateMismatch.self) {
                try [NamedTensor(key: "v", tensor: average)].overwrite(from: weights, model: "average")
            }?.unused == ["w"])
    }

    @Test func prefixes() throws {
        let model = Sample()
        var weights = Sample().weights()
        weights.renameKeys { "clip.\($0)" }
        weights.entries["clip.scale"] = .init(.full([2], 4))
        try model.overwrite(from: weights, prefix: "clip")
        #expect(model.scale.array(of: Float.self) == [4, 4])
    }
}

/// Checkpoint layouts are converted before they are compared.
@Suite struct WeightsTests {
    private func weights(_ entries: [String: Tensor]) -> Weights {
        Weights(source: "a.bin", entries: entries.mapValues { .init($0) })
    }

    @Test func namesAreChanged() {
        var these = weights(["a.x": .ones([1]), "b.x": .zeros([1])])
        these.renameKeys { $0.hasPrefix("a.") ? "c.x" : nil }
        #expect(Set(these.entries.keys) == ["c.x", "b.x"] && these["c.x"]!.tensor().item() == 1)
    }

    @Test func jointMatricesAreSplit() throws {
        var these = weights(["in_proj": Tensor(Array(0..<12).map(Float.init), shape: [6, 2])])
        try these.split("in_proj", into: ["q", "k", "v"])
        #expect(these.entries.keys.sorted() == ["k", "q", "v"])
        #expect(these["q"]!.shape == [2, 2] && these["q"]!.tensor().array(of: Float.self) == [0, 1, 2, 3])
        #expect(these["v"]!.tensor().array(of: Float.self) == [8, 9, 10, 11])
        try these.split("none", into: ["a", "b"])
        #expect(
            message { try these.split("k", into: ["a", "b", "c"]) }
                == "a.bin: tensor 'k' of shape [2, 2] does not split into 3 equal parts along its first dimension")
    }

    @Test func matricesAreTransposed() {
        var these = weights(["m": Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3]), "v": .ones([3])])
        these.transpose("m")
        these.transpose("v")
        #expect(these["m"]!.shape == [3, 2] && these["m"]!.tensor().array(of: Float.self) == [1, 4, 2, 5, 3, 6])
        #expect(these["v"]!.shape == [3])
    }

    @Test(arguments: DType.allCases)
    func everyDTypeHasItsElementType(dtype: DType) throws {
        #expect(DType(dtype.elementType) == dtype)
        let folder = try TemporaryFolder()
        let tensor = Tensor([0, 1, 0, 1, 1, 1] as [Float], shape: [2, 3]).to(dtype)
        try Weights.save([("t", tensor)], to: folder("t.safetensors"))
        let read = try #require(Weights(path: folder("t.safetensors"))["t"])
        #expect(read.dtype == dtype && read.shape == [2, 3] && difference(read.tensor(), tensor) == 0)
    }
}
