import Adapters
import Testing
import Torch
import TorchNN

@testable import Alignment

/// float32 sums in another order.
private let tolerance = 1e-5

@Suite struct GradientCachingTests {
    private func gradients(_ run: Case, chunkSize: Int?) throws -> (
        loss: Double, gradients: [(key: String, tensor: Tensor)]
    ) {
        let task = try run.task { $0.chunkSize = chunkSize }
        task.setTraining(true)
        let outcome = try task.backward(try run.batches()[0])
        return (outcome.loss, task.fixtureTensors.compactMap { entry in entry.tensor.grad.map { (entry.key, $0) } })
    }

    @Test(arguments: Case.allCases, [1, 2, 4, 6, 100])
    func equalsTheFullBatch(run: Case, chunkSize: Int) throws {
        let full = try gradients(run, chunkSize: nil)
        let cached = try gradients(run, chunkSize: chunkSize)
        #expect(abs(full.loss - cached.loss) < tolerance)
        #expect(full.gradients.count == cached.gradients.count && !full.gradients.isEmpty)
        for (a, b) in zip(full.gradients, cached.gradients) {
            #expect(a.key == b.key)
            let size = max(1, a.tensor.abs().max().item())
            #expect(maximumDifference(a.tensor, b.tensor) / size < tolerance, "\(a.key)")
        }
    }

    @Test func stepsEqualThoseOfTheFullBatch() throws {
        let full = try Case.loraText.task()
        let cached = try Case.loraText.task { $0.chunkSize = 4 }
        let batches = try Batches()
        for step in 0..<3 {
            let (a, b) = (try full.step(batches[step]), try cached.step(batches[step]))
            #expect(abs(a.loss - b.loss) < tolerance * 10)
        }
        for (a, b) in zip(full.fixtureTensors, cached.fixtureTensors) {
            #expect(maximumDifference(a.tensor, b.tensor) < tolerance * 10, "\(a.key)")
        }
    }

    @Test func dropoutMasksAreReplayed() throws {
        // One layer with dropout: the loss must see exactly the features that the second pass differentiates.
        let generator = Generator(seed: 3)
        let x = Tensor.randn([6, 5], generator: Generator(seed: 1))
        let weight = Tensor.randn([4, 5], generator: Generator(seed: 2))
        weight.requiresGrad = true
        var passes: [[Float]] = []
        func encode(_ x: Tensor) -> Tensor {
            let dropped = Functional.dropout(x, p: 0.5, generator: generator)
            passes.append(dropped.array())
            return Functional.linear(dropped, weight: weight)
        }
        let before = generator.state
        let chunks = GradientCaching.split(x, size: 2)
        try GradientCaching.backward(chunks: chunks, generator: generator, encode: encode) { features in
            (features.square().sum(), ())
        }
        #expect(passes.count == 6)
        #expect(Array(passes[0..<3]) == Array(passes[3..<6]))
        // The numbers of one pass were used, so the next step continues the sequence.
        let after = generator.state
        generator.state = before
        for chunk in chunks { _ = Functional.dropout(chunk, p: 0.5, generator: generator) }
        #expect(generator.state == after)
        // And the gradient is that of exactly these masks.
        let masked = Tensor(passes[0] + passes[1] + passes[2], shape: [6, 5])
        let reference = weight.detached().clone()
        reference.requiresGrad = true
        Functional.linear(masked, weight: reference).square().sum().backward()
        #expect(maximumDifference(weight.grad!, reference.grad!) < 1e-4)
    }

    @Test func aTaskWithDropoutRepeatsItself() throws {
        func losses(chunkSize: Int) throws -> [Double] {
            let task = try Case.lora.task {
                $0.chunkSize = chunkSize
                $0.tuning = .lora(LoRAConfiguration(rank: 4, alpha: 6, dropout: 0.3))
            }
            let batches = try Batches()
            return try (0..<3).map { try task.step(batches[$0]).loss }
        }
        #expect(try losses(chunkSize: 2) == losses(chunkSize: 2))
        // Dropout does something.
        let expected = try Case.lora.expected()["losses"]!.tensor().array(of: Double.self)
        #expect(abs(try losses(chunkSize: 2)[0] - expected[0]) > 1e-3)
    }

    @Test func partsCoverTheBatch() {
        let batch = Tensor.arange(0, 7)
        #expect(GradientCaching.split(batch, size: 3).map { $0.array(of: Int.self) } == [[0, 1, 2], [3, 4, 5], [6]])
        #expect(GradientCaching.split(batch, size: nil).count == 1)
        #expect(GradientCaching.split(batch, size: 7).count == 1)
    }
}
