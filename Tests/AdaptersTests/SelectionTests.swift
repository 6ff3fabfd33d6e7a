import TestSupport
import Testing

@testable import Adapters

/// PEFT's choice of modules (`check_target_module_exists`, `get_pattern_key`), case by case.
@Suite struct SelectionTests {
    private let first = "vision_model.encoder.layers.0.self_attn.q_proj"
    private let second = "vision_model.encoder.layers.1.self_attn.q_proj"

    private func selection(
        _ targets: LoRATargets, _ change: (inout LoRAConfiguration) -> Void = { _ in }
    ) throws -> LoRAConfiguration.Selection {
        var configuration = LoRAConfiguration(rank: 4, alpha: 6, targets: targets)
        change(&configuration)
        return try LoRAConfiguration.Selection(configuration)
    }

    @Test func namesEndAtADot() throws {
        let chosen = try selection(.names(["q_proj", "attn.out"], prefix: nil))
        for (path, expected) in [
            ("q_proj", true), ("a.q_proj", true), ("a.xq_proj", false), ("a.q_proj.b", false), ("self.attn.out", true),
            ("self_attn.out", false),
        ] {
            #expect(chosen.contains(path, isLinear: true) == expected, "\(path)")
        }
    }

    @Test func allLinearIsByKind() throws {
        let chosen = try selection(.allLinear)
        #expect(chosen.contains("a.fc1", isLinear: true))
        #expect(!chosen.contains("a.embedding", isLinear: false))
    }

    @Test func exclusionsAreNamesOrAWholeExpression() throws {
        let byName = try selection(.names(["q_proj", "fc1"], prefix: nil)) {
            $0.exclusions = .names(["mlp.fc1"], prefix: nil)
        }
        #expect(byName.contains("a.mlp.q_proj", isLinear: true) && byName.contains("a.fc1", isLinear: true))
        #expect(!byName.contains("a.mlp.fc1", isLinear: true))
        let byPattern = try selection(.names(["q_proj"], prefix: nil)) { $0.exclusions = .pattern(#".*layers\.1"#) }
        #expect(byPattern.contains(second, isLinear: true), "an expression matches whole paths")
        let whole = try selection(.names(["q_proj"], prefix: nil)) { $0.exclusions = .pattern(#".*layers\.1\..*"#) }
        #expect(whole.contains(first, isLinear: true) && !whole.contains(second, isLinear: true))
    }

    @Test func modulesStoredWholeTakeNoUpdate() throws {
        let chosen = try selection(.names(["q_proj"], prefix: nil)) { $0.savedModules = ["self_attn"] }
        #expect(!chosen.contains(first, isLinear: true))
        #expect(chosen.contains("a.xself_attn.q_proj", isLinear: true))
        // Modules that are stored as a whole are found whether or not a dot precedes the name.
        #expect(chosen.saves("a.self_attn") && chosen.saves("a.xself_attn") && !chosen.saves("a.self_attn.q_proj"))
    }

    @Test func layersByIndex() throws {
        func layers(_ choice: LoRALayerChoice, _ targets: LoRATargets = .names(["q_proj"], prefix: nil)) throws
            -> LoRAConfiguration.Selection
        { try selection(targets) { $0.layers = choice } }
        let second = try layers(LoRALayerChoice([1]))
        #expect(!second.contains(first, isLinear: true) && second.contains(self.second, isLinear: true))
        // The first number counts, except in the first two parts.
        #expect(second.contains("m.layers.1.experts.0.q_proj", isLinear: true))
        #expect(!second.contains("m.layers.0.experts.1.q_proj", isLinear: true))
        #expect(!second.contains("h.1.q_proj", isLinear: true))
        #expect(!second.contains("a.layers.1", isLinear: true))
        let named = try layers(LoRALayerChoice([1, 3], stacks: ["blocks", "h"]))
        #expect(named.contains("h.1.q_proj", isLinear: true) && named.contains("a.h.3.q_proj", isLinear: true))
        #expect(named.contains("a.0.blocks.1.q_proj", isLinear: true))
        #expect(!named.contains("a.xh.1.q_proj", isLinear: true) && !named.contains("a.h.2.q_proj", isLinear: true))
        // A path that is in the list itself is chosen whatever its layer.
        let exact = try layers(LoRALayerChoice([1]), .names([first], prefix: nil))
        #expect(exact.contains(first, isLinear: true))
    }

    @Test func theFirstPatternThatMatchesCounts() throws {
        let chosen = try selection(.names(["q_proj"], prefix: nil)) {
            $0.rankPattern = [
                .init(#"layers\.1\.self_attn\.q_proj"#, 8), .init("q_proj", 2), .init("k_proj|v_proj", 5),
            ]
            $0.alphaPattern = [.init("q_proj", 16), .init(#"layers\.1\.self_attn\.q_proj"#, 99)]
            $0.isRankStabilized = true
        }
        #expect(chosen.rank(first) == 2 && chosen.rank(second) == 8)
        #expect(chosen.rank("a.k_proj") == 5 && chosen.rank("a.v_proj") == 5 && chosen.rank("a.xk_proj") == 4)
        #expect(chosen.scale(second) == 16 / 8.0.squareRoot())
        #expect(chosen.scale("a.out") == 6 / 4.0.squareRoot())
    }
}
