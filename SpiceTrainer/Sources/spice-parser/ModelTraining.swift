@_spi(Training) import CaptionMetrics
import Randomness

/// Trains the three classifiers of the parser.
struct ModelTraining {
    var iterations = 8
    var threshold: Float = 0.02
    var seed: UInt64 = 20_260_101

    /// The sentences in the form the classifiers see.
    struct Example {
        let shapes: [TokenShape]
        let tags: [UInt8]
        let heads: [Int]
        let labels: [UInt8]

        init(_ sentence: TrainingSentence) {
            shapes = sentence.forms.map { TokenShape($0) }
            let index = Dictionary(uniqueKeysWithValues: CaptionTagger.tags.enumerated().map { ($1, UInt8($0)) })
            tags = sentence.tags.map { index[$0] ?? index["XX"]! }
            heads = sentence.heads
            let labelIndex = Dictionary(uniqueKeysWithValues: ArcLabeler.labels.enumerated().map { ($1, UInt8($0)) })
            labels = sentence.labels.map { labelIndex[$0] ?? labelIndex["dep"]! }
        }
    }

    func tagger(_ examples: [Example], iterations: Int? = nil) -> CaptionTagger {
        let trainer = PerceptronTrainer(classCount: CaptionTagger.tags.count)
        var features = FeatureBuffer()
        var scores = [Float](repeating: 0, count: CaptionTagger.tags.count)
        var random = SplitMix64(seed: seed)
        var order = Array(examples.indices)
        for _ in 0..<(iterations ?? self.iterations) {
            order.shuffle(using: &random)
            for e in order {
                let example = examples[e]
                var tags = [UInt8](repeating: 0, count: example.shapes.count)
                for i in tags.indices {
                    CaptionTagger.features(at: i, of: example.shapes, tags: tags, into: &features)
                    trainer.scores(of: features, into: &scores)
                    let predicted = scores.indices.max { scores[$0] < scores[$1] } ?? 0
                    trainer.update(features, right: Int(example.tags[i]), predicted: predicted)
                    trainer.tick()
                    tags[i] = UInt8(predicted)
                }
            }
        }
        return CaptionTagger(model: trainer.model(threshold: threshold))
    }

    /// Tags of every sentence by a tagger that did not see it: what the parser will meet.
    func jackknifedTags(_ examples: [Example], folds: Int = 4) -> [[UInt8]] {
        var result = examples.map(\.tags)
        for fold in 0..<folds {
            let rest = examples.indices.filter { $0 % folds != fold }.map { examples[$0] }
            let tagger = tagger(rest, iterations: 4)
            for i in examples.indices where i % folds == fold { result[i] = tagger.tag(examples[i].shapes) }
        }
        return result
    }

    /// Arc-hybrid transitions with a dynamic oracle: after the first pass the parser follows its own decisions nine
    /// times in ten, and learns from wherever they lead.
    func transitions(_ examples: [Example], tags: [[UInt8]]) -> SparseLinearModel {
        let trainer = PerceptronTrainer(classCount: TransitionState.Transition.allCases.count)
        var features = FeatureBuffer()
        var scores = [Float](repeating: 0, count: trainer.classCount)
        var random = SplitMix64(seed: seed &+ 1)
        var order = Array(examples.indices)
        for pass in 0..<iterations {
            order.shuffle(using: &random)
            for e in order {
                let example = examples[e]
                var state = TransitionState(count: example.heads.count)
                while !state.isFinal {
                    state.features(shapes: example.shapes, tags: tags[e], into: &features)
                    trainer.scores(of: features, into: &scores)
                    let allowed = TransitionState.Transition.allCases.filter { state.allows($0) }
                    let costs = allowed.map { state.cost(of: $0, gold: example.heads) }
                    let cheapest = costs.min() ?? 0
                    let predicted = allowed.max { scores[$0.rawValue] < scores[$1.rawValue] } ?? .shift
                    let right =
                        zip(allowed, costs).filter { $0.1 == cheapest }.map(\.0)
                        .max { scores[$0.rawValue] < scores[$1.rawValue] } ?? .shift
                    let isCheapest = zip(allowed, costs).contains { $0.0 == predicted && $0.1 == cheapest }
                    if !isCheapest { trainer.update(features, right: right.rawValue, predicted: predicted.rawValue) }
                    trainer.tick()
                    let explores = pass > 0 && Double.random(in: 0..<1, using: &random) < 0.9
                    state.apply(explores ? predicted : right)
                }
            }
        }
        return trainer.model(threshold: threshold)
    }

    func labeler(_ examples: [Example], tags: [[UInt8]]) -> ArcLabeler {
        let trainer = PerceptronTrainer(classCount: ArcLabeler.labels.count)
        var features = FeatureBuffer()
        var scores = [Float](repeating: 0, count: trainer.classCount)
        var random = SplitMix64(seed: seed &+ 2)
        var order = Array(examples.indices)
        for _ in 0..<max(iterations / 2, 3) {
            order.shuffle(using: &random)
            for e in order {
                let example = examples[e]
                let tree = ArcLabeler.LabelingTree(heads: example.heads)
                for d in example.heads.indices where example.heads[d] < example.heads.count {
                    ArcLabeler.features(of: d, in: tree, shapes: example.shapes, tags: tags[e], into: &features)
                    trainer.scores(of: features, into: &scores)
                    let predicted = scores.indices.dropFirst().max { scores[$0] < scores[$1] } ?? 1
                    trainer.update(features, right: Int(example.labels[d]), predicted: predicted)
                    trainer.tick()
                }
            }
        }
        return ArcLabeler(model: trainer.model(threshold: threshold))
    }
}
