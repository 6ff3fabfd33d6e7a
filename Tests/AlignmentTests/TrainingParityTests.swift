import Foundation
import Testing
import Torch
import TorchNN

@testable import Alignment

// Whole runs against PyTorch and PEFT (Fixtures/make_alignment_fixtures.py).

/// One step: float32 against float32 with another order of summation.
private let stepTolerance = 1e-5
/// Twenty steps, in which Adam's division amplifies rounding.
private let runTolerance = 1e-4

/// A key's bias adds the same number to all scores of a query, which softmax cancels. So its gradient is zero except
/// for rounding, which Adam turns into steps of full size, and no output depends on it.
private func isUndetermined(_ key: String) -> Bool { key.hasSuffix("k_proj.bias") }

@Suite struct TrainingParityTests {
    @Test(arguments: Case.allCases)
    func firstLossAndEveryGradient(run: Case) throws {
        let task = try run.task()
        let expected = try run.expected()
        task.setTraining(true)
        let outcome = try task.backward(try run.batches()[0])
        let losses = expected["losses"]!.tensor().array(of: Double.self)
        #expect(abs(outcome.loss - losses[0]) < stepTolerance)
        var compared = 0
        var largest = 0.0
        for (key, tensor) in task.fixtureTensors where tensor.requiresGrad {
            let reference = try #require(expected["grad.\(key)"], "no reference gradient of \(key)").tensor()
            let gradient = try #require(tensor.grad, "no gradient reached \(key)")
            // Gradients of τ = 0.07 reach some units: the tolerance is relative to the largest of the tensor.
            let difference = maximumDifference(gradient, reference) / max(1, reference.abs().max().item())
            largest = max(largest, difference)
            #expect(difference < stepTolerance, "\(key): \(difference)")
            compared += 1
        }
        #expect(compared == expected.entries.keys.filter { $0.hasPrefix("grad.") }.count)
        print("\(run.rawValue): \(compared) gradients, largest difference \(largest)")
    }

    @Test(arguments: Case.allCases)
    func weightsAfterOneStepAndTwenty(run: Case) throws {
        let task = try run.task()
        let expected = try run.expected()
        let batches = try run.batches()
        let losses = expected["losses"]!.tensor().array(of: Double.self)
        let norms = expected["norms"]!.tensor().array(of: Double.self)
        func difference(at step: Int) throws -> Double {
            var largest = 0.0
            for (key, tensor) in task.fixtureTensors where !isUndetermined(key) {
                let reference = try #require(expected["after\(step).\(key)"], "after\(step).\(key)").tensor()
                let difference = maximumDifference(tensor, reference)
                if difference > largest { print("\(run.rawValue), step \(step): \(key) \(difference)") }
                largest = max(largest, difference)
            }
            return largest
        }
        var lossError = 0.0
        for step in 0..<20 {
            let report = try task.step(batches[step])
            #expect(task.step == step + 1)
            lossError = max(lossError, abs(report.loss - losses[step]))
            if step == 0 {
                #expect(abs((report["gradient_norm"] ?? .nan) - norms[0]) < stepTolerance * max(1, norms[0]))
                let after = try difference(at: 1)
                print("\(run.rawValue): after one step, largest difference of a weight \(after)")
                #expect(after < stepTolerance)
            }
        }
        let after = try difference(at: 20)
        print("\(run.rawValue): after twenty, of a weight \(after), of a loss \(lossError)")
        #expect(after < runTolerance)
        #expect(lossError < runTolerance * 10)
    }

    @Test(arguments: Case.allCases)
    func theTrunkIsNeverTouched(run: Case) throws {
        let task = try run.task()
        let before = task.towers.trunk.namedTensors().map { bits($0.tensor) }
        let batches = try run.batches()
        for step in 0..<2 { _ = try task.step(batches[step]) }
        #expect(task.towers.trunk.namedTensors().map { bits($0.tensor) } == before)
    }

    @Test func bfloat16FollowsTheSameCurve() throws {
        let losses = try Case.lora.expected()["losses"]!.tensor().array(of: Double.self)
        let task = try Case.lora.task { $0.dtype = .bfloat16 }
        let batches = try Batches()
        for step in 0..<20 {
            let report = try task.step(batches[step])
            // 8 bits of mantissa in the encoder, divided by τ.
            #expect(abs(report.loss - losses[step]) < 0.25, "step \(step): \(report.loss), \(losses[step])")
        }
        #expect(task.fixtureTensors.allSatisfy { $0.tensor.dtype == .float32 })
    }
}
