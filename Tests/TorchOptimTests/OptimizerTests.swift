import Foundation
import Testing
import Torch
import TorchNN

@testable import TorchOptim

private final class Pair: Module {
    @Parameter("a") var a: Tensor
    @Parameter("b") var b: Tensor

    override init() {
        super.init()
        a = Tensor([1, -2] as [Float])
        b = Tensor([3] as [Float])
        setRequiresGrad(true)
    }
}

@Suite struct AdamWTests {
    /// The first step of Adam moves by the learning rate whatever the gradient's size; decay comes on top.
    @Test func theFirstStepIsKnown() throws {
        let model = Pair()
        let optimizer = try AdamW([
            ParameterGroup(name: "all", parameters: model.namedParameters(), learningRate: 0.1, weightDecay: 0.01)
        ])
        (model.a * Tensor([0.5, -4] as [Float])).sum().backward()
        optimizer.step()
        let values = model.a.array(of: Float.self)
        #expect(abs(values[0] - (1 - 0.1 * 0.01 * 1 - 0.1)) < 1e-6)
        #expect(abs(values[1] - (-2 + 0.1 * 0.01 * 2 + 0.1)) < 1e-6)
        #expect(model.b.array(of: Float.self) == [3], "no gradient, no step, no decay")
        #expect(optimizer.stateTensors.map(\.key) == ["a.exp_avg", "a.exp_avg_sq", "a.step"])
    }

    /// Several steps with different gradients, from the formulas; the second moment is corrected for its start, the scale
    /// multiplies the rate and the decay alike.
    @Test func stepsFollowTheFormulas() throws {
        let model = Pair()
        let optimizer = try AdamW(
            [
                ParameterGroup(
                    name: "a", parameters: [model.namedParameters()[0]], learningRate: 0.1, weightDecay: 0.3),
                ParameterGroup(name: "b", parameters: [model.namedParameters()[1]], learningRate: 0.02, weightDecay: 0),
            ], beta1: 0.8, beta2: 0.95, eps: 1e-3)
        var (values, means, squares) = ([1, -2, 3.0], [0, 0, 0.0], [0, 0, 0.0])
        for step in 1...4 {
            let gradients = [0.5 * Double(step), -4, 0.01 / Double(step)]
            let scale = 1 / Double(step)
            let sum = (model.a * Tensor(gradients[..<2].map(Float.init))).sum() + (model.b * gradients[2]).sum()
            sum.backward()
            optimizer.step(scale: scale)
            optimizer.zeroGradients()
            #expect(model.a.grad == nil)
            for index in values.indices {
                let (rate, decay) = index < 2 ? (0.1 * scale, 0.3) : (0.02 * scale, 0)
                values[index] *= 1 - rate * decay
                means[index] = 0.8 * means[index] + 0.2 * gradients[index]
                squares[index] = 0.95 * squares[index] + 0.05 * gradients[index] * gradients[index]
                let mean = means[index] / (1 - pow(0.8, Double(step)))
                let square = squares[index] / (1 - pow(0.95, Double(step)))
                values[index] -= rate * mean / (square.squareRoot() + 1e-3)
            }
            let got = model.a.array(of: Float.self) + model.b.array(of: Float.self)
            for (a, b) in zip(got, values) { #expect(abs(Double(a) - b) < 1e-5, "step \(step)") }
        }
        // PyTorch's defaults.
        let plain = try AdamW([
            ParameterGroup(name: "all", parameters: model.namedParameters(), learningRate: 1, weightDecay: 0)
        ])
        #expect(plain.beta1 == 0.9 && plain.beta2 == 0.999 && plain.eps == 1e-8)
        #expect(plain.groups[0].elementCount == 3 && plain.parameters.count == 2)
    }

    /// A state that was read back goes on to the same bits, and does not share memory with what it was read from.
    @Test func theStateGoesOn() throws {
        func step(_ model: Pair, _ optimizer: AdamW, _ factor: Double) {
            ((model.a * model.a).sum() * factor + model.b.sum()).backward()
            optimizer.step()
            optimizer.zeroGradients()
        }
        func made() throws -> (Pair, AdamW) {
            let model = Pair()
            let group = ParameterGroup(
                name: "all", parameters: model.namedParameters(), learningRate: 0.1, weightDecay: 0.1)
            return (model, try AdamW([group]))
        }
        let (whole, optimizer) = try made()
        step(whole, optimizer, 1)
        let (resumed, second) = try made()
        withoutGradients {
            for (a, b) in zip(resumed.namedTensors(), whole.namedTensors()) { a.tensor.copy(from: b.tensor) }
        }
        let entries = optimizer.stateTensors.map { ($0.key, Weights.Entry($0.tensor)) }
        try second.loadState(Weights(source: "optimizer", entries: Dictionary(uniqueKeysWithValues: entries)))
        #expect(second.stateTensors.map(\.key) == optimizer.stateTensors.map(\.key))
        for _ in 0..<3 {
            step(whole, optimizer, 2)
            step(resumed, second, 2)
        }
        #expect(whole.a.array(of: Float.self) == resumed.a.array(of: Float.self))
        #expect(whole.b.array(of: Float.self) == resumed.b.array(of: Float.self))
    }

    @Test func groupsAreChecked() {
        let model = Pair()
        let all = ParameterGroup(name: "all", parameters: model.namedParameters(), learningRate: 1, weightDecay: 0)
        let again = ParameterGroup(
            name: "more", parameters: [model.namedParameters()[1]], learningRate: 1, weightDecay: 0)
        let none = ParameterGroup(name: "none", parameters: [], learningRate: 1, weightDecay: 0)
        #expect(throws: OptimizerError.parameterInTwoGroups(key: "b", first: "all", second: "more")) {
            try AdamW([all, again])
        }
        #expect(throws: OptimizerError.emptyGroup("none")) { try AdamW([none]) }
    }

    @Test func statesOfAnotherModelAreRefused() throws {
        let model = Pair()
        let optimizer = try AdamW([
            ParameterGroup(name: "all", parameters: model.namedParameters(), learningRate: 0.1, weightDecay: 0)
        ])
        let state = Weights(
            source: "optimizer.safetensors",
            entries: [
                "a.exp_avg": .init(.zeros([3])), "a.exp_avg_sq": .init(.zeros([2])), "c.step": .init(.zeros([])),
            ])
        let error = #expect(throws: StateMismatch.self) { try optimizer.loadState(state) }
        #expect(error?.missing.map(\.key) == ["a.step"])
        #expect(error?.misshapen.map(\.key) == ["a.exp_avg"])
        #expect(error?.unused == ["c.step"])
    }

    @Test func clippingKeepsTheDirection() {
        let model = Pair()
        ((model.a * Tensor([3, 0] as [Float])).sum() + (model.b * 4.0).sum()).backward()
        #expect(abs(clipGradientNorm([model.a, model.b], maximum: 1) - 5) < 1e-5)
        #expect(abs(model.a.grad!.array(of: Float.self)[0] - 0.6) < 1e-5)
        #expect(abs(model.b.grad!.array(of: Float.self)[0] - 0.8) < 1e-5)
        #expect(abs(clipGradientNorm([model.a, model.b], maximum: 2) - 1) < 1e-5)
    }
}

@Suite struct ScheduleTests {
    @Test func warmRestartsFallAndStartAgain() {
        let schedule = Schedule.cosineWarmRestarts(firstPeriod: 10, multiplier: 1, warmup: 0, minimum: 0)
        for (step, factor) in [(0, 1.0), (5, 0.5), (10, 1), (15, 0.5), (23, 0.7938926261462366)] {
            #expect(abs(schedule.factor(at: step) - factor) < 1e-12, "step \(step)")
        }
        let longer = Schedule.cosineWarmRestarts(firstPeriod: 10, multiplier: 2, warmup: 0, minimum: 0.1)
        for (step, factor) in [(0, 1.0), (5, 0.55), (10, 1), (20, 0.55), (30, 1), (50, 0.55)] {
            #expect(abs(longer.factor(at: step) - factor) < 1e-12, "step \(step)")
        }
    }

    /// From 1 after the warm-up to 0 at the last step and ever after; without warm-up, and with one as long as the run.
    @Test func linearFallsToNothing() {
        let schedule = Schedule.linear(steps: 14, warmup: 4)
        #expect((0...4).map { schedule.factor(at: $0) } == [0.2, 0.4, 0.6, 0.8, 1])
        for (step, factor) in [(5, 0.9), (9, 0.5), (13, 0.1), (14, 0), (15, 0), (99, 0)] {
            #expect(abs(schedule.factor(at: step) - factor) < 1e-12, "step \(step)")
        }
        #expect(schedule.factor(at: 14) == 0 && schedule.factor(at: 1_000_000) == 0)
        let plain = Schedule.linear(steps: 4, warmup: 0)
        #expect((0...5).map { plain.factor(at: $0) } == [1, 0.75, 0.5, 0.25, 0, 0])
        let short = Schedule.linear(steps: 3, warmup: 3)
        #expect((0...4).map { short.factor(at: $0) } == [0.25, 0.5, 0.75, 1, 0])
        let cosine = Schedule.cosine(steps: 3, warmup: 3, minimum: 0.25)
        #expect(cosine.factor(at: 3) == 1 && abs(cosine.factor(at: 4) - 0.25) < 1e-12)
    }

    /// Restarts count from the end of the warm-up; a period is one step at least.
    @Test func warmRestartsBeginAfterTheWarmUp() {
        let schedule = Schedule.cosineWarmRestarts(firstPeriod: 4, multiplier: 3, warmup: 2, minimum: 0)
        for (step, factor) in [(0, 1 / 3.0), (1, 2 / 3.0), (2, 1), (4, 0.5), (6, 1), (12, 0.5), (18, 1)] {
            #expect(abs(schedule.factor(at: step) - factor) < 1e-12, "step \(step)")
        }
        let shortest = Schedule.cosineWarmRestarts(firstPeriod: 0, multiplier: 1, warmup: 0, minimum: 0)
        #expect((0..<3).map { shortest.factor(at: $0) } == [1, 1, 1])
    }

    @Test func warmUpIsLinearAndReachesOne() {
        let schedule = Schedule.cosine(steps: 14, warmup: 4, minimum: 0)
        #expect((0...4).map { schedule.factor(at: $0) } == [0.2, 0.4, 0.6, 0.8, 1])
        #expect(abs(schedule.factor(at: 9) - 0.5) < 1e-12)
        #expect(schedule.factor(at: 14) < 1e-12)
        #expect(schedule.factor(at: 99) < 1e-12)
        #expect(Schedule.constant(warmup: 1).factor(at: 0) == 0.5)
        #expect(Schedule.constant(warmup: 1).factor(at: 7) == 1)
    }
}
