import Adapters
import Encoders
import TestSupport
import Testing
import Torch
import TorchNN

@testable import Alignment

/// The answer of the routes below if the library has none that accepts the argument.
private enum NoSuchRoute: Equatable { case refused }

// Swift prefers a library's method over these whenever one fits, because a concrete parameter is the better match. So a
// call that lands here would not compile without them.
extension ModalityTowers {
    fileprivate func generated<Anything>(_ images: Anything) -> NoSuchRoute { .refused }
    fileprivate func real<Anything>(_ images: Anything) -> NoSuchRoute { .refused }
}

extension DualProjection {
    fileprivate func callAsFunction<Anything>(_ embeddings: Anything) -> NoSuchRoute { .refused }
}

@Suite struct ModalityTests {
    private func towers() throws -> ModalityTowers {
        try ModalityTowers(trunk: trunk(), tuning: .default, generator: Generator(seed: 1))
    }

    @Test func eachEncoderTakesItsOwnModalityAlone() throws {
        let towers = try towers()
        let batches = try Batches()
        let generated = ImageBatch<Generated>(batches.generated[0])
        let real = ImageBatch<Real>(batches.real[0])
        withoutGradients {
            #expect(isTyped(towers.generated(generated), Embeddings<Generated>.self))
            #expect(isTyped(towers.real(real), Embeddings<Real>.self))
            // A real image in the generated branch, and the reverse: no such method.
            #expect(isTyped(towers.generated(real), NoSuchRoute.self))
            #expect(isTyped(towers.real(generated), NoSuchRoute.self))
            // Nor do bare pixels pass.
            #expect(isTyped(towers.generated(real.pixels), NoSuchRoute.self))
            #expect(isTyped(towers.real(generated.pixels), NoSuchRoute.self))
        }
    }

    @Test func eachHeadTakesItsOwnModalityAlone() throws {
        let projection = try DualProjection(ProjectionConfiguration(), input: 13, generator: Generator(seed: 1))
        let embeddings = Tensor.ones([2, 13])
        withoutGradients {
            #expect(isTyped(projection(Embeddings<Generated>(embeddings)), Embeddings<Generated>.self))
            #expect(isTyped(projection(Embeddings<Real>(embeddings)), Embeddings<Real>.self))
            #expect(isTyped(projection(embeddings), NoSuchRoute.self))
        }
    }

    @Test func aModalityKnownAtRunTimeIsChecked() throws {
        let pixels = Tensor.ones([2, 3, 14, 14])
        let photos = TaggedImages(pixels, modality: .real, source: "photos/1.jpg")
        let art = TaggedImages(pixels, modality: .generated, source: "gen/1.jpg")
        #expect(try ImageBatch<Real>(photos).modality == .real)
        #expect(try ImageBatch<Generated>(art).count == 2)
        #expect(
            message { _ = try ImageBatch<Generated>(photos) }
                == "photos/1.jpg: these are real images, given to the encoder of generated images; each modality is read by"
                + " its own encoder, so pass them as real or check where they come from")
        #expect(throws: AlignmentError.wrongModality(expected: .real, got: .generated, source: "gen/1.jpg")) {
            try ImageBatch<Real>(art)
        }
    }

    @Test func freshTowersAgreeAndShareMemory() throws {
        let base = try trunk()
        let batches = try Batches()
        let expected = withoutGradients { base.imageFeatures(batches.generated[0]) }
        let towers = try ModalityTowers(trunk: base, tuning: .default, generator: Generator(seed: 1))
        withoutGradients {
            #expect(bits(towers.generated(ImageBatch(batches.generated[0])).tensor) == bits(expected))
            #expect(bits(towers.real(ImageBatch(batches.generated[0])).tensor) == bits(expected))
        }
        let mine = Dictionary(
            uniqueKeysWithValues: towers.trunk.namedTensors().map { ($0.key, ObjectIdentifier($0.tensor)) })
        for slot in towers.tuned.namedTensors() where !slot.key.contains("lora_") {
            #expect(mine[slot.key] == ObjectIdentifier(slot.tensor), "\(slot.key) has memory of its own")
        }
    }

    @Test func fullFineTuningOwnsTheImageEncoderAlone() throws {
        let towers = try ModalityTowers(trunk: trunk(), tuning: .full, generator: Generator(seed: 1))
        let mine = Dictionary(
            uniqueKeysWithValues: towers.trunk.namedTensors().map { ($0.key, ObjectIdentifier($0.tensor)) })
        for slot in towers.tuned.namedParameters() {
            let isImage = slot.key.hasPrefix("vision_model.") || slot.key.hasPrefix("visual_projection.")
            #expect((mine[slot.key] == ObjectIdentifier(slot.tensor)) == !isImage, "\(slot.key)")
            #expect(slot.tensor.requiresGrad == isImage, "\(slot.key)")
        }
        #expect(!towers.trunk.namedParameters().contains { $0.tensor.requiresGrad })
    }

    /// Parameters that stand beside the modules, such as a class token, are trained too.
    @Test func fullFineTuningOfAnEncoderOfImagesAlone() throws {
        let towers = try ModalityTowers(trunk: Case.synCLR.trunk(), tuning: .full, generator: Generator(seed: 1))
        #expect(towers.trainedParameters.map(\.key) == towers.tuned.namedParameters().map(\.key))
        #expect(towers.trainedParameters.contains { $0.key == "cls_token" })
        for (tuned, trunk) in zip(towers.tuned.namedParameters(), towers.trunk.namedParameters()) {
            #expect(tuned.tensor.requiresGrad && tuned.tensor !== trunk.tensor, "\(tuned.key)")
        }
    }

    @Test func theTwoReadingsOfRealImages() throws {
        let towers = try towers()
        let adapter = try #require(towers.adapter)
        let generator = Generator(seed: 4)
        for parameter in adapter.namedParameters() {
            parameter.tensor.copy(from: .randn(parameter.tensor.shape, generator: generator) * 0.2)
        }
        let pixels = try Batches().real[0]
        withoutGradients {
            let original = towers.real(ImageBatch(pixels)).tensor
            let tuned = towers.real(ImageBatch(pixels), reading: .tuned).tensor
            #expect(bits(original) == bits(towers.trunk.imageFeatures(pixels)))
            #expect(bits(tuned) == bits(towers.generated(ImageBatch(pixels)).tensor))
            #expect(maximumDifference(original, tuned) > 1e-2)
        }
    }

    @Test func aSavedAdapterMakesTheSameTowers() throws {
        try withTemporaryFolder { folder in
            let task = try Case.lora.task()
            try task.save(to: folder)
            let towers = try ModalityTowers(trunk: trunk(), adapterFolder: folder)
            let pixels = try Batches().generated[0]
            withoutGradients {
                #expect(
                    bits(towers.generated(ImageBatch(pixels)).tensor)
                        == bits(task.towers.generated(ImageBatch(pixels)).tensor))
            }
        }
    }
}

@Suite struct DualProjectionTests {
    private let input = Embeddings<Generated>(.randn([4, 13], generator: Generator(seed: 2)))

    private func head(_ configuration: ProjectionConfiguration) throws -> DualProjection {
        try DualProjection(configuration, input: 13, generator: Generator(seed: 1))
    }

    @Test func identityAndNone() throws {
        for configuration in [ProjectionConfiguration(), .none] {
            let projection = try head(configuration)
            withoutGradients {
                #expect(bits(projection(input).tensor) == bits(input.tensor))
                #expect(bits(projection(Embeddings<Real>(input.tensor)).tensor) == bits(input.tensor))
            }
        }
        #expect(try head(.none).namedTensors().isEmpty)
        #expect(
            try head(ProjectionConfiguration()).namedTensors().map(\.key) == [
                "generated.layers.0.weight", "generated.layers.0.bias", "real.layers.0.weight", "real.layers.0.bias",
            ])
    }

    @Test func deepHeadsDifferByModalityAndSharedOnesDoNot() throws {
        var configuration = ProjectionConfiguration(
            depth: 3, embeddingDimension: 9, hiddenDimension: 17, isBatchNormalized: true, start: .random)
        let projection = try head(configuration)
        try withoutGradients {
            let generated = projection(input).tensor
            let real = projection(Embeddings<Real>(input.tensor)).tensor
            #expect(generated.shape == [4, 9])
            #expect(maximumDifference(generated, real) > 1e-3)
            configuration.isShared = true
            let shared = try head(configuration)
            #expect(bits(shared(input).tensor) == bits(shared(Embeddings<Real>(input.tensor)).tensor))
            #expect(!shared.namedTensors().contains { $0.key.hasPrefix("real.") })
        }
    }

    @Test func batchNormalizationUsesTheBatchInTrainingOnly() throws {
        let projection = try head(ProjectionConfiguration(isBatchNormalized: true, start: .random))
        projection.setTraining(true)
        withoutGradients {
            let trained = projection(input).tensor
            #expect(trained.mean(0).abs().max().item() < 1e-5)
        }
        #expect(projection.generatedHead.norms[0].runningMean.abs().max().item() > 0)
        #expect(projection.realHead.norms[0].runningMean.abs().max().item() == 0)
    }
}

/// Whether the compiler takes the value for this type: which overload it chose.
private func isTyped<Value, Expected>(_ value: Value, _: Expected.Type) -> Bool { Value.self == Expected.self }
