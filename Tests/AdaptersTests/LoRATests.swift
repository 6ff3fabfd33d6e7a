import Encoders
import Testing
import Torch
import TorchNN

@testable import Adapters

/// float32 with another order of summation, over sums of some tens of terms near 1.
private let rounding = 2e-5

@Suite struct LoRATests {
    @Test func defaultTargetsAreEveryAttentionLayerOfTheImageTower() throws {
        let adapter = try LoRAAdapter(injectingInto: baseModel(), LoRAConfiguration(), generator: Generator(seed: 1))
        let names = ["k_proj", "v_proj", "q_proj", "out_proj"]
        let expected = (0..<2).flatMap { layer in
            names.map { "vision_model.encoder.layers.\(layer).self_attn.\($0)" }
        }
        #expect(adapter.paths == expected)
        #expect(
            adapter.namedParameters().map(\.key) == expected.flatMap { ["\($0).lora_A.weight", "\($0).lora_B.weight"] })
        #expect(adapter.elementCount == 8 * (4 * 30 + 30 * 4))
    }

    @Test func freshAdapterComputesTheBaseToTheBit() throws {
        let model = try baseModel()
        let before = withoutGradients { model.imageFeatures(try! pixels()) }
        let adapter = try LoRAAdapter(injectingInto: model, LoRAConfiguration(), generator: Generator(seed: 1))
        let fresh = try withoutGradients { model.imageFeatures(try pixels()) }
        #expect(bits(before) == bits(fresh))
        for parameter in adapter.namedParameters() {
            let values = parameter.tensor.array(of: Float.self)
            if parameter.key.hasSuffix("lora_B.weight") {
                #expect(values.allSatisfy { $0 == 0 })
            } else {
                let bound = Float(1 / 30.0.squareRoot())
                #expect(values.allSatisfy { abs($0) <= bound } && values.contains { abs($0) > bound / 2 })
            }
        }
    }

    @Test func onlyTheAdapterIsTrained() throws {
        let model = try baseModel()
        model.setRequiresGrad(true)
        let adapter = try LoRAAdapter(injectingInto: model, LoRAConfiguration(rank: 3), generator: Generator(seed: 1))
        let trained = model.namedParameters().filter { $0.tensor.requiresGrad }.map(\.key)
        #expect(trained == adapter.namedParameters().map(\.key))
        adapter.fill(seed: 2)
        model.imageFeatures(try pixels()).square().sum().backward()
        for parameter in model.namedParameters() {
            #expect((parameter.tensor.grad != nil) == parameter.key.contains(".lora_"), "\(parameter.key)")
        }
    }

    @Test func mergedDisabledAndRemovedAdapters() throws {
        let model = try baseModel()
        let input = try pixels()
        func features() -> Tensor { withoutGradients { model.imageFeatures(input) } }
        let base = features()
        let weights = model.namedTensors().filter { $0.key.hasSuffix("proj.weight") }
            .map { ($0.key, bits($0.tensor)) }
        let adapter = try LoRAAdapter(
            injectingInto: model, LoRAConfiguration(rank: 4, alpha: 6), generator: Generator(seed: 1))
        adapter.fill(seed: 3)
        let adapted = features()
        #expect(maximumDifference(adapted, base) > 1e-2)

        adapter.isEnabled = false
        #expect(bits(features()) == bits(base))
        adapter.isEnabled = true
        #expect(bits(features()) == bits(adapted))

        adapter.merge()
        let merged = features()
        #expect(adapter.isMerged)
        #expect(maximumDifference(merged, adapted) < rounding)
        adapter.merge()
        #expect(bits(features()) == bits(merged))
        adapter.isEnabled = false
        #expect(bits(features()) == bits(base))
        adapter.isEnabled = true

        adapter.unmerge()
        let after = Dictionary(uniqueKeysWithValues: model.namedTensors().map { ($0.key, bits($0.tensor)) })
        for (key, before) in weights { #expect(after[key] == before, "\(key)") }
        #expect(bits(features()) == bits(adapted))

        try adapter.remove(keepingUpdates: true)
        #expect(bits(features()) == bits(merged))
        #expect(!model.namedParameters().contains { $0.key.contains("lora_") })
    }

    @Test func mergingLeavesALayerThatSharesTheWeightAlone() throws {
        let model = try baseModel()
        let other = Linear(sharing: model.vision.encoder.layers[0].attention.query)
        let before = bits(other.weight)
        let adapter = try LoRAAdapter(injectingInto: model, LoRAConfiguration(), generator: Generator(seed: 1))
        adapter.fill(seed: 3)
        adapter.merge()
        #expect(bits(other.weight) == before)
        #expect(bits(model.vision.encoder.layers[0].attention.query.weight) != before)
    }

    @Test func dropoutComesFromItsGeneratorAndOnlyInTraining() throws {
        let model = try baseModel()
        let dropout = Generator(seed: 9)
        let adapter = try LoRAAdapter(
            injectingInto: model, LoRAConfiguration(rank: 4, dropout: 0.5), generator: Generator(seed: 1),
            dropoutGenerator: dropout)
        adapter.fill(seed: 3)
        let input = try pixels()
        func features() -> Tensor { withoutGradients { model.imageFeatures(input) } }
        let still = features()
        #expect(bits(features()) == bits(still))
        model.setTraining(true)
        let state = dropout.state
        let first = features()
        #expect(bits(features()) != bits(first))
        dropout.state = state
        #expect(bits(features()) == bits(first))
        model.setTraining(false)
        #expect(bits(features()) == bits(still))
    }

    @Test(arguments: [false, true])
    func fusedLayerEqualsItsComposition(withDropout: Bool) {
        let generator = Generator(seed: 5)
        func random(_ shape: Int...) -> Tensor { .randn(shape, generator: generator) }
        let weight = random(7, 5)
        let bias = random(7)
        let x = random(2, 3, 5)
        let mask = Functional.dropout(.ones([2, 3, 5]), p: 0.4, generator: generator)
        let down = random(4, 5)
        let up = random(7, 4)
        let seed = random(2, 3, 7)
        for tensor in [x, down, up] { tensor.requiresGrad = true }
        func gradients(_ y: Tensor) -> [Tensor] {
            (y * seed).sum().backward()
            defer { for tensor in [x, down, up] { tensor.grad = nil } }
            return [y] + [x, down, up].map { $0.grad! }
        }
        let dropped = withDropout ? x * mask : nil
        let fused = gradients(
            loraLinear(x, dropped: dropped, weight: weight, bias: bias, a: down, b: up, scale: 1.5))
        let branch = withDropout ? x * mask : x
        let plain = gradients(
            Functional.linear(x, weight: weight, bias: bias)
                + branch.matmul(down.transposed()).matmul(up.transposed()) * 1.5)
        for (a, b) in zip(fused, plain) { #expect(maximumDifference(a, b) < rounding) }
    }

    @Test func fusedLayerUnderAutocastIsTheCompositionUnderAutocast() {
        let generator = Generator(seed: 6)
        func random(_ shape: Int...) -> Tensor { .randn(shape, generator: generator) }
        let weight = random(7, 5)
        let bias = random(7)
        let x = random(2, 3, 5)
        let down = random(4, 5)
        let up = random(7, 4)
        for tensor in [x, down, up] { tensor.requiresGrad = true }
        func gradients(_ body: () -> Tensor) -> [Tensor] {
            let y = autocast(.bfloat16, device: .cpu) { body() }
            #expect(y.dtype == .bfloat16)
            y.to(.float32).sum().backward()
            defer { for tensor in [x, down, up] { tensor.grad = nil } }
            return [y] + [x, down, up].map { $0.grad! }
        }
        let fused = gradients {
            loraLinear(x, weight: weight, bias: bias, a: down, b: up, scale: 1.5)
        }
        let plain = gradients {
            Functional.linear(x, weight: weight, bias: bias)
                + Functional.linear(Functional.linear(x, weight: down), weight: up) * 1.5
        }
        #expect(fused.dropFirst().allSatisfy { $0.dtype == .float32 })
        for (a, b) in zip(fused, plain) {
            // bfloat16 keeps 8 bits of mantissa.
            #expect(maximumDifference(a, b) <= 0.03 * (1 + b.abs().max().item()))
        }
    }

    @Test func trainedBaseWeightsStillGetTheirGradient() {
        let generator = Generator(seed: 7)
        let layer = Tensor.randn([6, 5], generator: generator)
        layer.requiresGrad = true
        let x = Tensor.randn([3, 5], generator: generator)
        let down = Tensor.randn([2, 5], generator: generator)
        let up = Tensor.randn([6, 2], generator: generator)
        loraLinear(x, weight: layer, bias: nil, a: down, b: up, scale: 1).sum().backward()
        let expected = x.sum(0, keep: true).expanded(6, 5)
        #expect(maximumDifference(layer.grad!, expected) < rounding)
    }

    @Test func layersTogetherEqualLayersOneByOne() {
        let generator = Generator(seed: 8)
        func random(_ shape: Int...) -> Tensor { .randn(shape, generator: generator) }
        let x = random(2, 3, 5)
        x.requiresGrad = true
        // Other ranks and outputs, one without a bias.
        let layers = [(7, 4, true), (6, 2, false), (9, 3, true)].map { out, rank, hasBias in
            LoRAOperands(
                weight: random(out, 5), bias: hasBias ? random(out) : nil, a: random(rank, 5), b: random(out, rank),
                scale: Double(rank) / 2)
        }
        let trained = layers.flatMap { [$0.a, $0.b] } + [x]
        for tensor in trained { tensor.requiresGrad = true }
        let seeds = [random(2, 3, 7), random(2, 3, 6), random(2, 3, 9)]
        func gradients(_ ys: [Tensor], using indices: [Int]) -> [Tensor] {
            let terms = indices.map { (ys[$0] * seeds[$0]).sum() }
            terms.dropFirst().reduce(terms[0], +).backward()
            defer { for tensor in trained { tensor.grad = nil } }
            return ys + trained.map { $0.grad ?? .zeros($0.shape) }
        }
        // An output that nothing reads has no gradient: the second pass leaves one out.
        for used in [[0, 1, 2], [0, 2], [1]] {
            let together = gradients(Functional.loraLinears(x, layers), using: used)
            let apart = gradients(layers.map { Functional.loraLinears(x, [$0])[0] }, using: used)
            for (a, b) in zip(together, apart) { #expect(maximumDifference(a, b) < rounding) }
        }
    }

    @Test func attentionLayersTogetherEqualOneByOne() throws {
        let model = try baseModel()
        let adapter = try LoRAAdapter(injectingInto: model, LoRAConfiguration(), generator: Generator(seed: 1))
        adapter.fill(seed: 3)
        let attention = model.vision.encoder.layers[1].attention
        let x = Tensor.randn([2, 4, 30], generator: Generator(seed: 2))
        withoutGradients {
            func compare() {
                let together = attention.query(x, with: [attention.key, attention.value])
                let apart = [attention.query(x), attention.key(x), attention.value(x)]
                for (a, b) in zip(together, apart) { #expect(maximumDifference(a, b) < rounding) }
            }
            compare()
            adapter.isEnabled = false
            compare()
            adapter.isEnabled = true
            adapter.merge()
            compare()
        }
    }

    @Test func aFrozenWeightThatChangesIsCastAgain() {
        let generator = Generator(seed: 9)
        let weight = Tensor.randn([4, 5], generator: generator)
        let x = Tensor.randn([3, 5], generator: generator)
        func product() -> Tensor {
            withoutGradients { autocast(.bfloat16, device: .cpu) { Functional.linear(x, weight: weight) } }
        }
        func expected() -> Tensor {
            Functional.linear(x.to(.bfloat16), weight: weight.to(.bfloat16))
        }
        #expect(bits(product()) == bits(expected()))
        #expect(bits(product()) == bits(expected()))
        let before = bits(product())
        weight.scaleInPlace(2)
        #expect(bits(product()) == bits(expected()))
        #expect(bits(product()) != before)
        // A float16 region after a bfloat16 one.
        let half = withoutGradients { autocast(.float16, device: .cpu) { Functional.linear(x, weight: weight) } }
        #expect(half.dtype == .float16)
        #expect(maximumDifference(half, Functional.linear(x, weight: weight)) < 0.05)
    }
}

/// One layer of `Functional.loraLinears`.
private func loraLinear(
    _ x: Tensor, dropped: Tensor? = nil, weight: Tensor, bias: Tensor?, a: Tensor, b: Tensor, scale: Double
) -> Tensor {
    Functional.loraLinears(x, dropped: dropped, [LoRAOperands(weight: weight, bias: bias, a: a, b: b, scale: scale)])[0]
}
