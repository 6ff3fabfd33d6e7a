import TestSupport
import Testing
import Torch

@testable import TorchNN

/// What modules hold, by which names, and how it is exchanged.
@Suite struct ModuleTests {
    @Test func tensorsAreNamedInTheOrderOfDeclaration() {
        let model = Sample()
        #expect(model.namedTensors().map(\.key) == Sample.keys)
        #expect(model.namedTensors(prefix: "a.b").map(\.key) == Sample.keys.map { "a.b.\($0)" })
        #expect(model.namedParameters().map(\.key) == Array(Sample.keys.dropLast(2)))
        #expect(model.namedTensors().suffix(2).map(\.kind) == [.buffer, .derived])
        let small = Sample(shift: false, extra: false)
        #expect(
            small.namedTensors().map(\.key)
                == Sample.keys.filter { $0 != "shift" && !$0.hasPrefix("extra") })
    }

    /// A subclass's own slots follow those of its superclass.
    @Test func inheritedSlotsComeFirst() {
        final class Wider: Linear {
            @Parameter("gain") var gain: Tensor
            init() {
                super.init(2, 3)
                gain = .ones([1])
            }
        }
        #expect(Wider().namedTensors().map(\.key) == ["weight", "bias", "gain"])
    }

    /// NaN is named in every dtype; an infinity of float16 may be a number that it does not hold.
    @Test(arguments: [(DType.float32, true), (.bfloat16, true), (.float16, false)])
    func weightsThatAreNotFinite(dtype: DType, infinityIsNamed: Bool) throws {
        func layer(_ value: Float) -> Linear {
            let layer = Linear(2, 3)
            layer.weight = Tensor([1, -2, 3, 4, value, 6], shape: [3, 2]).to(dtype)
            layer.bias = Tensor([0, 65_504, 0], shape: [3]).to(dtype)
            return layer
        }
        #expect(layer(5).firstNonFinite() == nil)
        #expect(layer(.nan).firstNonFinite(prefix: "a") == "a.weight")
        #expect(layer(-.infinity).firstNonFinite() == (infinityIsNamed ? "weight" : nil))
    }

    @Test func modulesAreNamed() {
        let model = Sample()
        #expect(model.namedModules().map(\.path) == ["", "first", "extra", "layers.0", "layers.1"])
        #expect(
            model.namedModules(prefix: "top").map(\.path) == [
                "top", "top.first", "top.extra", "top.layers.0", "top.layers.1",
            ])
        #expect(model.namedModules()[3].module === model.layers[0])
        #expect(Sample(extra: false).namedModules().map(\.path) == ["", "first", "layers.0", "layers.1"])
    }

    @Test func trainingAndGradientsReachEveryModule() {
        let model = Sample()
        #expect(!model.isTraining)
        model.setTraining(true)
        #expect(model.namedModules().allSatisfy { $0.module.isTraining })
        model.setTraining(false)
        #expect(!model.namedModules().contains { $0.module.isTraining })

        // 2 + 3, 35 + 7, 6 + 6, 12, 12 + 3
        #expect(model.parameterCount() == (trainable: 0, total: 86))
        model.setRequiresGrad(true)
        #expect(model.parameterCount() == (trainable: 86, total: 86))
        #expect(!model.mean.requiresGrad && !model.positions.requiresGrad)
        model.first.setRequiresGrad(false)
        #expect(model.parameterCount() == (trainable: 44, total: 86))
    }

    @Test func conversionReachesFloatingPointOnly() {
        let model = Sample()
        model.setRequiresGrad(true)
        let before = model.first.weight.detached().clone()
        model.to(dtype: .float64)
        #expect(
            model.namedTensors().map(\.tensor.dtype)
                == Sample.keys.map { $0 == "position_ids" ? .int64 : .float64 })
        #expect(difference(model.first.weight, before) == 0)
        #expect(model.namedParameters().allSatisfy { $0.tensor.requiresGrad }, "a conversion changes nothing else")
        #expect(model.dropped == 1)
    }

    @Test func modulesAreReplacedWhereTheyFit() throws {
        let model = Sample()
        var seen: [String] = []
        let replaced = try model.replaceModules { path, module in
            seen.append(path)
            return path == "layers.1" || path == "first" ? Linear(sharing: module as! Linear) : nil
        }
        #expect(seen == ["first", "extra", "layers.0", "layers.1"])
        #expect(replaced == ["first", "layers.1"])
        #expect(model.dropped == 1)
        #expect(model.namedTensors().map(\.key) == Sample.keys)

        final class Outer: Module {
            @Child("inner") var inner: Sample
            override init() {
                super.init()
                inner = Sample()
            }
        }
        let outer = Outer()
        let deep = try outer.replaceModules { $1 is LayerNorm ? LayerNorm(6, eps: 0.5) : nil }
        #expect(deep == ["inner.extra"] && outer.inner.extra?.eps == 0.5)

        for path in ["first", "extra", "layers.0"] {
            #expect(
                message { try model.replaceModules { found, _ in found == path ? Embedding(2, 3) : nil } }
                    == "module '\(path)' takes a \(path == "extra" ? "LayerNorm" : "Linear"), a Embedding was given")
        }
    }

    @Test func weightsThatAreNoNumbersAreNamed() throws {
        let model = Sample()
        #expect(model.firstNonFinite() == nil)
        try model.requireFinite(source: "'a.safetensors'")
        for bad in [Double.nan, .infinity, -.infinity] {
            let broken = Sample()
            broken.layers[1].weight[2].fillInPlace(bad)
            #expect(broken.firstNonFinite(prefix: "p") == "p.layers.1.weight")
            #expect(
                message { try broken.requireFinite(source: "'a.safetensors'") }
                    == "'a.safetensors': tensor 'layers.1.weight' holds a NaN or an infinity, so every result would be one; "
                    + "the file is damaged, or its training had diverged when it was saved")
        }
        model.mean.fillInPlace(.nan)
        #expect(model.firstNonFinite() == "mean", "statistics count too")
    }

    @Test func statisticsOfARefusedStepAreTakenBack() {
        let model = Sample()
        model.mean.fillInPlace(0.5)
        let before = model.bufferValues()
        let mean = model.mean
        model.mean.fillInPlace(9)
        model.scale.fillInPlace(9)
        before.restore()
        #expect(model.mean === mean && mean.array(of: Float.self) == [0.5, 0.5, 0.5, 0.5])
        #expect(model.scale.array(of: Float.self) == [9, 9], "parameters are the optimizer's")
    }
}
