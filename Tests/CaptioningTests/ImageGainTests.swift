import Alignment
import Foundation
import Testing
import Training

@testable import Captioning

@Suite struct ImageGainTests {
    private func image(_ number: Int) -> RoutedImage { RoutedImage(path: "\(number).png", route: .original) }

    @Test func `every caption gets another image, and every image goes once around`() throws {
        // Seven images, some of which several captions share.
        let images = (0..<31).map { image($0 * $0 % 7 + ($0 % 3 == 0 ? 4 : 0)) }
        let partners = try #require(ImageGain.partners(images))
        #expect(partners.count == 31)
        #expect(partners.enumerated().allSatisfy { images[$0] != images[$1] })
        // Captions of one image all get the same other one, and no two images give way to one.
        let moved = Set(zip(images, partners).map { "\($0.path) \(images[$1].path)" })
        #expect(moved.count == Set(images).count)
        #expect(Set(partners.map { images[$0] }) == Set(images))
        #expect(ImageGain.partners(images) == partners)
        #expect(ImageGain.partners([image(0), image(0)]) == nil)
    }

    private func recipe(_ steps: Int, _ overrides: [String]) throws -> CaptionerRecipe {
        try CaptionerRecipe(
            "real",
            overrides: [
                "training.steps=\(steps)", "training.batchSize=8", "training.precision=float32", "training.logEvery=1",
                "mapper.prefixLength=4", "training.warmupSteps=0",
            ] + overrides)
    }

    /// The definition, spelt out: the loss with each caption's partner image less the loss with its own.
    @Test func `the gain is the rise of the loss, and a small one is named`() throws {
        let world = try World(pairs: 10)
        var notes: [String] = []
        let trainer = try CaptionerTrainer(
            recipe(1, ["training.learningRate=1e-6", "training.validationEvery=1"]),
            world.inputs(validation: world.pairs)
        ) { notes.append($0) }
        try trainer.prepare()
        func metric(_ name: String) throws -> Double {
            try #require(trainer.validate().first { $0.name == name }).value
        }
        let before = try metric("image_gain")
        #expect(abs(before) < 0.05)
        #expect(!notes.contains { $0.contains("image_gain") }, "before the first step nobody expects it")
        let source = try trainer.batches(from: .init())
        _ = try trainer.step(try #require(try source.next()), step: 0)
        let gain = try metric("image_gain")
        let warning = "warning: image_gain is \(String(format: "%.3f", gain)) nats a token, below 0.05"
        #expect(notes.contains { $0.hasPrefix(warning) }, "\(notes)")
        // The same pairs with their images exchanged give the loss of the partners.
        let images = (0..<10).map { RoutedImage(path: "real/\($0).png", route: .original) }
        let resolved = images.map { RoutedImage(path: world.folder($0.path.string), route: .original) }
        let partners = try #require(ImageGain.partners(resolved))
        let lines = (0..<10).map {
            #"{"id": "p\#($0)", "caption": "\#(world.captions[$0])", "real": "real/\#(partners[$0]).png", "generated": "generated/0.png"}"#
        }
        let exchanged = world.folder("exchanged.jsonl")
        try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(fileURLWithPath: exchanged))
        let other = try CaptionerTrainer(
            recipe(1, ["training.learningRate=1e-6", "training.validationEvery=1"]), world.inputs(validation: exchanged)
        )
        try other.prepare()
        let shuffled = try #require(other.validate().first { $0.name == "loss" }).value
        let fresh = try CaptionerTrainer(
            recipe(1, ["training.learningRate=1e-6", "training.validationEvery=1"]),
            world.inputs(validation: world.pairs))
        try fresh.prepare()
        let metrics = try fresh.validate()
        let own = try #require(metrics.first { $0.name == "loss" }).value
        let measured = try #require(metrics.first { $0.name == "image_gain" }).value
        #expect(abs(measured - (shuffled - own)) < 1e-5)
    }

    @Test func `an early end and its best checkpoint are the same after a resume`() throws {
        let world = try World(pairs: 12)
        let recipe = try recipe(
            12,
            [
                "training.learningRate=0.3", "training.validationEvery=2", "training.checkpointEvery=5",
                "training.bestMetric=loss", "training.patience=2", "training.schedule=constant",
            ])
        let whole = try world.train(recipe, to: "whole", validation: world.pairs)
        #expect(try world.train(recipe, to: "parts", validation: world.pairs, stopAfter: 3).step == 3)
        #expect(try world.train(recipe, to: "parts", validation: world.pairs) == whole)
        #expect(try world.bytes("whole/metrics.jsonl") == world.bytes("parts/metrics.jsonl"))
        let stores = try ["whole", "parts"].map { try RunFolder.open(world.folder($0)).checkpoints }
        let steps = try stores.map { try $0.chosen()?.step }
        #expect(steps[0] == steps[1])
        let log = String(decoding: try world.bytes("whole/metrics.jsonl"), as: UTF8.self).split(separator: "\n")
        let losses = try log.compactMap { line -> (loss: Double, step: Double)? in
            let entry = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Double]
            return entry?["validation/loss"].map { ($0, entry?["step"] ?? -1) }
        }
        let best = try #require(losses.min { $0.loss < $1.loss })
        #expect(steps[0] == Int(best.step))
        #expect(try CaptionerRun(world.folder("whole")).checkpoint.step == steps[0])
    }
}
