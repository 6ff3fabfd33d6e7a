import Files
import Torch

/// How close held-out pairs are to each other, which tells early whether the generated data helps.
public struct ValidationReport: Sendable, Equatable {
    /// The number of pairs.
    public let pairCount: Int
    /// The number of different real images among them, in which a generated image is looked up.
    public let realCount: Int
    /// The training loss: the mean over the batches, weighted by their pairs; it depends on the batch size.
    public let loss: Double
    /// Mean cosine of the pairs in the shared space (Table 14); nil without real images, like the recalls.
    public let pairedCosine: Double?
    /// Distance between the mean normalised embeddings of different real images and of generated ones.
    public let centroidDistance: Double?
    /// Share of generated images whose real image is among the nearest k, for every requested k.
    public let recall: [Recall]

    public struct Recall: Sendable, Equatable {
        public let k: Int
        public let value: Double
    }
}

extension AlignmentTask {
    /// Loss, paired cosine and generated-to-real recall on held-out batches; nothing is trained, dropout is off and batch
    /// normalisation uses its running statistics.
    /// - Parameters:
    ///   - ranks: the k of recall@k.
    ///   - next: the next batch, nil after the last. Batches have the size of training batches, so that losses compare,
    ///     and are validated like them.
    /// - Throws: `AlignmentError` for a batch that does not fit the loss, or if there is no batch; what `next` throws.
    public func validate(ranks: [Int] = [1, 5, 10], next: () throws -> AlignmentPieces?) throws -> ValidationReport {
        var retrieval = PairedRetrieval()
        var lossSum = 0.0
        var count = 0
        while let batch = try next() {
            let parts = try embeddings(of: batch)
            let pairs = parts.pairs
            let terms = withoutGradients {
                settings.loss(
                    generated: parts.generated, real: parts.real, text: pairs.text, shortText: pairs.shortText,
                    realIDs: pairs.realIDs,
                    scale: scale)
            }
            lossSum += terms.total.item() * Double(pairs.ids.count)
            count += pairs.ids.count
            if let real = parts.real { retrieval.add(generated: parts.generated, real: real, realIDs: pairs.realIDs) }
        }
        guard count > 0 else {
            throw AlignmentError.missingInput(what: "pairs", reason: "validation needs at least 2 of")
        }
        return ValidationReport(
            pairCount: count, realCount: retrieval.realCount, loss: lossSum / Double(count),
            pairedCosine: retrieval.meanCosine, centroidDistance: retrieval.centroidDistance,
            recall: retrieval.recall(ranks))
    }

    /// Projected embeddings of a batch as from the finished model, without gradient.
    func embeddings(
        of batch: AlignmentPieces
    ) throws -> (generated: Embeddings<Generated>, real: Embeddings<Real>?, pairs: AlignmentPieces.Pairs) {
        try withoutGradients {
            let parts = parts(of: batch)
            var features: [AlignmentPieces.Stream: [Tensor]] = [:]
            var number = 0
            while let part = try parts[number] {
                let stream: AlignmentPieces.Stream =
                    switch part {
                    case .generated: .generated
                    case .real: .real
                    case .text: .text
                    case .shortText: .shortText
                    }
                features[stream, default: []].append(encode(part))
                number += 1
            }
            var pairs = try pairs(of: batch, parts)
            func joined(_ stream: AlignmentPieces.Stream) -> Tensor? { features[stream].map { .cat($0) } }
            pairs.text = joined(.text) ?? pairs.text
            pairs.shortText = joined(.shortText) ?? pairs.shortText
            let embeddings = joined(.real).map { Embeddings<Real>($0) } ?? pairs.real
            let generated = features[.generated] ?? []
            return (
                projection(Embeddings<Generated>(.cat(generated))), embeddings.map { projection($0) }, pairs
            )
        }
    }
}

/// Looks up every generated image's real image among all real images so far, by cosine in float32.
struct PairedRetrieval {
    private var generated: [Tensor] = []  // [b, D] each, normalised
    private var real: [Tensor] = []  // [1, D] each, normalised
    /// For every generated image its row among the real ones.
    private var targets: [Int] = []
    private var rows: [ExactString: Int] = [:]
    private var cosineSum = 0.0

    var realCount: Int { rows.count }
    var meanCosine: Double? { targets.isEmpty ? nil : cosineSum / Double(targets.count) }

    var centroidDistance: Double? {
        guard !targets.isEmpty else { return nil }
        func centroid(_ rows: [Tensor]) -> Tensor { Tensor.cat(rows).to(.float64).mean(0) }
        return (centroid(generated) - centroid(real)).square().sum().sqrt().item()
    }

    mutating func add(generated: Embeddings<Generated>, real: Embeddings<Real>, realIDs: [ExactString]) {
        cosineSum += pairedCosine(generated, real).to(.float64).sum().item()
        self.generated.append(generated.tensor.detached().to(.cpu).normalized())
        let normalized = real.tensor.detached().to(.cpu).normalized()
        for (index, id) in realIDs.enumerated() {
            if let row = rows[id] {
                targets.append(row)
            } else {
                targets.append(rows.count)
                rows[id] = rows.count
                self.real.append(normalized[index..<index + 1])
            }
        }
    }

    /// A tie goes to the image that came first, so that equal embeddings never count as found.
    func recall(_ ranks: [Int]) -> [ValidationReport.Recall] {
        guard !targets.isEmpty else { return [] }
        let gallery = Tensor.cat(real).transposed(0, 1)  // [D, M]
        let order = Tensor.arange(0, rows.count).unsqueezed(0)  // [1, M]
        var found = Array(repeating: 0, count: ranks.count)
        var start = 0
        for queries in generated {
            let end = start + queries.size(0)
            let similarity = queries.matmul(gallery)  // [b, M]
            let target = Tensor(Array(targets[start..<end])).unsqueezed(1)  // [b, 1]
            let own = similarity.gather(1, target)  // [b, 1]
            let ahead =
                (similarity .> own).to(.int64).sum(1) + ((similarity .== own) .& (order .< target)).to(.int64).sum(1)
            for place in ahead.array(of: Int.self) {
                for (index, k) in ranks.enumerated() where place < k { found[index] += 1 }
            }
            start = end
        }
        return zip(ranks, found).map { .init(k: $0, value: Double($1) / Double(targets.count)) }
    }
}
