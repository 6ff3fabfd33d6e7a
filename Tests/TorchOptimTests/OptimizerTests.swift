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
