import Foundation
import Testing
import Torch
import TorchNN

@testable import LanguageModels

// The float32 kernels of our own against float64 by libtorch; sizes that fill no tile, panel or block.

@Suite struct KernelTests {
    /// Products with their gradients, in both layouts of the weight, for what is trained and what is frozen.
    @Test(arguments: [true, false], ["input and weight", "input", "weight"])
    func denseProductsEqualLibtorch(isInputFirst: Bool, trained: String) throws {
        let trains = (input: trained != "weight", weight: trained != "input")
        let generator = Generator(seed: 11)
        for (rows, inputs, outputs) in [(103, 523, 83), (9, 769, 2051), (97, 17, 211)] {
            let x = Tensor.randn([rows, inputs], generator: generator)
            let stored = Tensor.randn(
                isInputFirst ? [inputs, outputs] : [outputs, inputs], generator: generator)
            let bias = Tensor.randn([outputs], generator: generator)
            let factors = Tensor.randn([rows, outputs], generator: generator)
            var results: [[Tensor]] = []
            for dtype in [DType.float32, .float64] {
                let input = x.to(dtype).clone()
                let weight = stored.to(dtype).clone()
                let added = bias.to(dtype).clone()
                input.requiresGrad = trains.input
                weight.requiresGrad = trains.weight
                added.requiresGrad = trains.weight
                let y =
                    dtype == .float32
                    ? Functional.fewRowsLinear(input, weight: weight, isInputFirst: isInputFirst, bias: added)
                    : input.matmul(isInputFirst ? weight : weight.transposed(0, 1)) + added
                (y * factors.to(dtype)).sum().backward()
                var parts = [y.detached()]
                if trains.input { parts.append(try #require(input.grad)) }
                if trains.weight { parts += [try #require(weight.grad), try #require(added.grad)] }
                #expect((input.grad == nil) == !trains.input && (weight.grad == nil) == !trains.weight)
                results.append(parts)
            }
            for (got, wanted) in zip(results[0], results[1]) {
                #expect(got.shape == wanted.shape)
                #expect(maximumDifference(got, wanted) < 1e-5 * Double(max(rows, inputs, outputs)).squareRoot())
            }
        }
    }

    /// The loss in pieces that do not divide the rows, with its gradients; and a bad weight is not hidden.
    @Test func linearCrossEntropyEqualsTheSeparateOperations() throws {
        let generator = Generator(seed: 12)
        let (count, width, vocabulary) = (23, 37, 1031)
        let x = Tensor.randn([count, width], generator: generator)
        let w = Tensor.randn([vocabulary, width], generator: generator)
        let targets = Tensor((0..<count).map { Int64($0 * 397 % vocabulary) })
        func run(_ body: (Tensor, Tensor) -> Tensor, _ dtype: DType) throws -> [Tensor] {
            let (input, weight) = (x.to(dtype).clone(), w.to(dtype).clone())
            input.requiresGrad = true
            weight.requiresGrad = true
            let loss = body(input, weight)
            loss.backward()
            return [loss.detached(), try #require(input.grad), try #require(weight.grad)]
        }
        let wanted = try run(
            { Functional.crossEntropy($0.matmul($1.transposed(0, 1)), targets) }, .float64)
        for piece in [5, 23, 400] {
            let got = try run(
                { Functional.linearCrossEntropy($0, weight: $1, targets: targets, rowsAtOnce: piece) }, .float32)
            for (a, b) in zip(got, wanted) { #expect(maximumDifference(a, b) < 1e-5) }
        }
        w[700][3].fillInPlace(.nan)
        #expect(try run({ Functional.linearCrossEntropy($0, weight: $1, targets: targets) }, .float32)[0].item().isNaN)
    }

    /// Keys scattered over two segments, with a mask, against attention over keys that lie in order.
    @Test(arguments: [false, true]) func cachedAttentionEqualsAttention(isMasked: Bool) {
        let generator = Generator(seed: 13)
        let (rows, heads, size, length, second) = (7, 3, 20, 11, 4)
        inferenceMode {
            let memory = [
                Tensor.randn([2, 6, 2, heads, size], generator: generator),
                Tensor.randn([7, 9, 2, heads, size], generator: generator),
            ]
            func slot(_ row: Int, _ place: Int) -> Int32 {
                place < second ? Int32((row + place) % 2) : Int32((row * 3 + place) % 7)
            }
            let slots = (0..<rows).map { row in (0..<length).map { slot(row, $0) } }
            let joined = Tensor.randn([rows, 3, heads, size], generator: generator)
            let query = joined.select(1, 0)  // [rows, heads, size], rows apart
            let mask = Tensor(
                (0..<rows).flatMap { row in (0..<length).map { $0 >= row % 5 } }, shape: [rows, length])
            func entry(_ row: Int, _ place: Int) -> Tensor {
                let slot = Int(slots[row][place])
                return place < second ? memory[0][slot][place] : memory[1][slot][place - second]
            }
            let keys = Tensor.stack(
                (0..<rows).map { row in Tensor.stack((0..<length).map { entry(row, $0) }) }
            )  // [rows, length, 2, heads, size]
            let wanted = Functional.attention(
                query.unsqueezed(2), keys.select(2, 0).transposed(1, 2), keys.select(2, 1).transposed(1, 2),
                mask: isMasked ? mask.reshaped(rows, 1, 1, length) : nil, scale: 0.3)  // [rows, heads, 1, size]
            let got = Functional.cachedAttention(
                query, memory: memory, starts: [0, second], slots: slots.flatMap { $0 }, length: length,
                mask: isMasked ? mask : nil, scale: 0.3)
            #expect(maximumDifference(got.reshaped(rows, heads, 1, size), wanted) < 1e-6)
        }
    }

    /// Beams that change places at every step, over segments that fill up, say what they say without a cache.
    @Test(arguments: [false, true]) func shuffledRowsEqualNoCache(usesPairs: Bool) throws {
        let model = try GPT2LanguageModel(folder: fixture("tiny"))
        inferenceMode {
            let cache = KeyValueCache(layerCount: 3, headCount: 5, headSize: 6, block: 4)
            func token(_ number: Int) -> Int64 { Int64(number % 101) }
            var history: [[Int64]] = (0..<2).map { row in (0..<3).map { token(row * 17 + $0 * 5) } }
            func tensor(_ rows: [[Int64]]) -> Tensor {
                Tensor(rows.flatMap { $0 }, shape: [rows.count, rows[0].count])
            }
            var last = model(tensor(history), cache: cache)
            let orders = [
                [0, 0, 0, 1, 1, 1], [2, 0, 1, 5, 5, 3], [5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5], [1, 1, 4],
                [0, 2, 1, 0],
                [3, 3, 0, 1, 2, 2, 1],
            ]
            for (step, rows) in orders.enumerated() {
                cache.select(rows: rows)
                let width = usesPairs && step % 3 == 2 ? 2 : 1
                let new: [[Int64]] = rows.indices.map { row in (0..<width).map { token(row * 31 + step * 7 + $0 * 3) } }
                history = rows.enumerated().map { history[$1] + new[$0] }
                last = model(tensor(new), cache: cache)
                let whole = model(tensor(history)).slice(1, history[0].count - width..<history[0].count)
                #expect(maximumDifference(last, whole) < 1e-4, "step \(step)")
            }
        }
    }
}
