import Adapters
import Encoders
import Foundation
import TestSupport
import Testing
import Torch
import TorchNN
import Training

@testable import Alignment

@Suite struct SigmoidLossTests {
    private static let a: [[Double]] = [[1, 2, -1, 0.5], [0.3, -2, 1, 4], [-1, 0.2, 0.1, 2]]
    private static let b: [[Double]] = [[0.5, 1, 1, 0], [2, -1, 0, 3], [-0.7, 0.4, 3, 1]]

    private static func tensor(_ rows: [[Double]]) -> Tensor {
        Tensor(rows.flatMap { $0.map(Float.init) }, shape: [rows.count, rows[0].count])
    }

    /// The formula in words of its own: the mean over the rows of the sum over all pairs that count.
    private static func formula(scale: Double, bias: Double, without skipped: (Int, Int) -> Bool = { _, _ in false })
        -> Double
    {
        func cosine(_ x: [Double], _ y: [Double]) -> Double {
            func dot(_ p: [Double], _ q: [Double]) -> Double { zip(p, q).reduce(0) { $0 + $1.0 * $1.1 } }
            return dot(x, y) / (dot(x, x) * dot(y, y)).squareRoot()
        }
        var sum = 0.0
        for i in 0..<3 {
            for j in 0..<3 where !skipped(i, j) {
                let z = (i == j ? 1.0 : -1.0) * (scale * cosine(a[i], b[j]) + bias)
                sum += max(-z, 0) + log1p(exp(-abs(z)))
            }
        }
        return sum / 3
    }

    @Test(arguments: [(10.0, -10.0), (3.0, 0.5), (1.0, 0.0)])
    func equalsTheFormula(scale: Double, bias: Double) throws {
        try TorchRuntime.load()
        let own = SigmoidScale(scale: scale, bias: bias)
        let loss = SigmoidLoss.loss(Self.tensor(Self.a), Self.tensor(Self.b), scale: own)
        #expect(abs(loss.item() - Self.formula(scale: scale, bias: bias)) < 1e-5)
        // Lengths are no part of it.
        let longer = SigmoidLoss.loss(Self.tensor(Self.a) * 7, Self.tensor(Self.b) * 0.2, scale: own)
        #expect(abs(longer.item() - loss.item()) < 1e-5)
    }

    @Test func pairsOfOneImageAreNoNegatives() throws {
        try TorchRuntime.load()
        let excluded = try #require(ContrastiveLoss.repeats(of: ["x", "y", "x"]))
        let loss = SigmoidLoss.loss(
            Self.tensor(Self.a), Self.tensor(Self.b), scale: SigmoidScale(scale: 4, bias: -1), excluding: excluded)
        let want = Self.formula(scale: 4, bias: -1) { i, j in i != j && i != 1 && j != 1 }
        #expect(abs(loss.item() - want) < 1e-5)
    }

    @Test func largeScoresStayFinite() throws {
        try TorchRuntime.load()
        let scale = SigmoidScale(scale: 1e4, bias: -3e3)
        scale.setRequiresGrad(true)
        let loss = SigmoidLoss.loss(Self.tensor(Self.a), Self.tensor(Self.b), scale: scale)
        loss.backward()
        #expect(loss.item().isFinite)
        #expect(try #require(scale.bias.grad).item().isFinite)
        #expect(abs(loss.item() - Self.formula(scale: 1e4, bias: -3e3)) < 1e-2)
    }

    /// Where scale and bias begin, and which of them is trained.
    @Test func startOfTheScale() throws {
        func task(_ trunk: any ImageEncoder & TextEncoder, _ sigmoid: SigmoidSettings) throws -> AlignmentTask {
            var loss = AlignmentLoss(objective: .sigmoid)
            loss.sigmoid = sigmoid
            return try AlignmentTask(
                trunk: trunk,
                settings: AlignmentSettings(
                    tuning: .lora(.init(rank: 2, alpha: 2, targets: .names(["q_proj"], prefix: trunk.imageTower))),
                    projection: .none, loss: loss))
        }
        func start(_ task: AlignmentTask) throws -> [Double] {
            let scale = try #require(task.scale)
            return [scale.logarithm.exp().item(), scale.bias.item()]
        }
        let own = try start(task(sigLIPTrunk(), .init()))
        #expect(abs(own[0] - exp(2.5)) < 1e-5 && own[1] == -6.5)
        let plain = try task(trunk(), .init())
        let papers = try start(plain)
        #expect(abs(papers[0] - 10) < 1e-5 && papers[1] == -10)
        let group = try #require(plain.optimizer.groups.last)
        #expect(
            group.name == "loss" && group.weightDecay == 0
                && group.parameters.map(\.key) == ["loss.logit_scale", "loss.logit_bias"])
        let fixed = try task(sigLIPTrunk(), .init(scale: 3, bias: 0.25, isTrained: false))
        let given = try start(fixed)
        #expect(abs(given[0] - 3) < 1e-5 && given[1] == 0.25)
        #expect(fixed.optimizer.groups.map(\.name) == ["adapter"])
        // Other losses have none.
        #expect(try Case.lora.task().scale == nil)
    }

    @Test(arguments: [
        (SigmoidSettings(scale: 0), "setting 'loss.scale' is 0.0, expected a number above 0"),
        (SigmoidSettings(bias: .infinity), "setting 'loss.bias' is inf, expected a finite number"),
    ])
    func wrongSettings(settings: SigmoidSettings, text: String) {
        var loss = AlignmentLoss(objective: .sigmoid)
        loss.sigmoid = settings
        #expect(message { try loss.validate(projection: .none, input: 4, textInput: nil) }.contains(text))
    }

    @Test func recipesSayIt() throws {
        let recipe = try AlignmentRecipe(
            "siglip", overrides: ["loss.kind=sigmoid", "loss.scale=5", "loss.trainScale=false"])
        let settings = AlignmentSettings(recipe, encoder: try sigLIPTrunk(), dtype: .float32)
        #expect(settings.loss.objective == .sigmoid)
        #expect(settings.loss.sigmoid == SigmoidSettings(scale: 5, bias: nil, isTrained: false))
        // Table 8 is Eq. 1, and the adapter goes to the blocks.
        #expect(try AlignmentRecipe("siglip").loss == AlignmentRecipe("gmail").loss)
        var targets: LoRATargets?
        if case .lora(let adapter) = settings.tuning { targets = adapter.targets }
        #expect(targets == .names(["q_proj", "k_proj", "v_proj", "out_proj"], prefix: "vision_model.encoder"))
    }
}
