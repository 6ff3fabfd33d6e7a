import Alignment
import Foundation
import Torch

/// What kind of gap lies between real and generated images, and what could close it.
///
/// Legend: floor, the cosine of random pairs; ceiling, the cosine with the real embedding of what a regression from the
/// caption's embedding predicts, which an encoder of generated images can hardly pass; closure, the share of the way
/// from floor to ceiling.
public struct GapDiagnosis: Sendable, Equatable, Codable {
    /// Mean cosine of the pairs.
    public let cosine: Double
    /// Mean cosine of generated images with the real images of other pairs; nil with a single real image.
    public let floor: Double?
    /// nil without captions in the encoder's space, and for fewer than `fewestForParts` real images.
    public let ceiling: Double?
    /// `(cosine - floor) / (ceiling - floor)`
    public let closure: Double?
    /// 95 %, by a bootstrap over real images.
    public let closureInterval: [Double]?
    /// The share of the pairs' squared distance that one shift for all would remove.
    public let meanShiftShare: Double?
    /// Of a linear classifier of real against generated images; 0.5 tells nothing, 1 everything.
    public let auc: Double?
    /// Share of generated images whose real image is the nearest of all.
    public let recallAt1: Double
    /// From 1.
    public let medianRank: Double
    /// Distinct real images, among which is searched.
    public let gallery: Int
    /// The temperature that fits these pairs; nil if none does.
    public let temperature: Double?
    /// In batches of how many pairs.
    public let temperatureBatch: Int
    public let temperatureNote: String?
    /// What closed forms reach on pairs that they have not seen, by `ClosedFormMap.Kind`.
    public let repairs: [String: Repair]
    public let verdict: GapVerdict
    /// One sentence.
    public let advice: String
    public let warnings: [String]

    public struct Repair: Sendable, Equatable, Codable {
        public let cosine: Double
        public let closure: Double?
        public let recallAt1: Double
        public let medianRank: Double
        /// By how much closure rises, 95 %.
        public let gainInterval: [Double]?

        enum CodingKeys: String, CodingKey {
            case cosine, closure
            case recallAt1 = "recall_at_1"
            case medianRank = "median_rank"
            case gainInterval = "gain_interval"
        }
    }

    enum CodingKeys: String, CodingKey {
        case cosine, floor, ceiling, closure, auc, gallery, temperature, repairs, verdict, advice, warnings
        case closureInterval = "closure_interval"
        case meanShiftShare = "mean_shift_share"
        case recallAt1 = "recall_at_1"
        case medianRank = "median_rank"
        case temperatureBatch = "temperature_batch"
        case temperatureNote = "temperature_note"
    }

    /// Fewer distinct real images are not cut into parts.
    public static let fewestForParts = 20

    /// - Parameters:
    ///   - real: one row per distinct image; `realRow`: for each pair, its row.
    ///   - text: captions in any dimension, one row per pair; nil without a text encoder.
    ///   - temperature: the one that a training uses on these pairs, to be compared; `batchSize`: its batch.
    /// - Throws: ``GapError``.
    public init(
        real: EmbeddingRows, realRow: [Int], generated: EmbeddingRows, text: EmbeddingRows?, temperature used: Double?,
        batchSize: Int
    ) throws {
        for (rows, what) in [(real, "real images"), (generated, "generated images")] {
            _ = try rows.normalized(what: what)
        }
        let space = PairedSpace(real: real.tensor, generated: generated.tensor, realRow: realRow)
        self.init(
            space, text: try text?.normalized(what: "captions").tensor,
            folds: space.images >= Self.fewestForParts ? PairFolds(images: space.images) : nil,
            temperature: used, batchSize: batchSize)
    }

    /// - Parameter folds: nil leaves out everything that needs rows set aside.
    init(_ space: PairedSpace, text: Tensor?, folds: PairFolds?, temperature used: Double?, batchSize: Int) {
        let generated = space.generated
        let cosines = space.cosines(generated)
        cosine = cosines.mean
        let floors = space.images > 1 ? space.floors(generated) : nil
        floor = floors?.mean
        var ceilings: [Double]?
        if let text, let folds {
            let target = space.pairedReal.normalized()
            let predicted = folds.predict(text, target, realRow: space.realRow) {
                let fit = RidgeRegression($0, $1)
                return { fit($0) }
            }
            ceilings = (predicted.normalized() * target).sum(-1).array(of: Double.self)
        }
        ceiling = ceilings?.mean
        let bootstrap = ClusterBootstrap(images: space.images, realRow: space.realRow)
        closure = floors.flatMap { floors in
            ceilings.flatMap { Self.closure([cosines.mean, floors.mean, $0.mean]) }
        }
        closureInterval = closure.flatMap { _ in
            bootstrap.interval([cosines, floors ?? [], ceilings ?? []], Self.closure)
        }
        meanShiftShare = space.meanShiftShare
        auc = folds.flatMap { LinearClassifier.areaUnderCurve(space, $0) }
        let ranks = space.ranks(generated)
        recallAt1 = ranks.recallAt1
        medianRank = ranks.median
        gallery = space.images
        let fit = TemperatureFit(
            generated: generated, real: space.pairedReal, groups: space.realRow, batchSize: batchSize)
        temperature = fit.value
        temperatureBatch = min(batchSize, space.realRow.count)
        temperatureNote = fit.note

        var repairs: [String: Repair] = [:]
        var gains: [GapVerdict.Gain] = []
        if let folds, let floors {
            for kind in ClosedFormMap.Kind.allCases {
                let mended = folds.predict(generated, space.pairedReal, realRow: space.realRow) {
                    let map = ClosedFormMap(kind, generated: $0, real: $1)
                    return { map($0) }
                }
                let (own, low) = (space.cosines(mended), space.floors(mended))
                // Without captions nothing is known of the ceiling but that no cosine is above 1.
                let top = ceilings ?? [Double](repeating: 1, count: own.count)
                func gain(_ means: [Double]) -> Double? {
                    Self.closure([means[0], means[1], means[4]]).flatMap { new in
                        Self.closure([means[2], means[3], means[4]]).map { new - $0 }
                    }
                }
                let columns = [own, low, cosines, floors, top]
                let interval = bootstrap.interval(columns, gain)
                let places = space.ranks(mended)
                repairs[kind.rawValue] = Repair(
                    cosine: own.mean,
                    closure: ceilings.flatMap { Self.closure([own.mean, low.mean, $0.mean]) },
                    recallAt1: places.recallAt1, medianRank: places.median, gainInterval: interval)
                if let value = gain(columns.map(\.mean)), let interval {
                    gains.append(.init(kind: kind, value: value, lower: interval[0]))
                }
            }
        }
        self.repairs = repairs
        let evidence = GapVerdict.Evidence(
            images: space.images, closure: closure, interval: closureInterval, gains: gains)
        verdict = GapVerdict(evidence)
        advice = verdict.sentence(evidence)
        warnings = Self.warnings(
            images: space.images, dimension: max(space.dimension, text?.size(1) ?? 0), hasText: text != nil, fit, used,
            min(batchSize, space.realRow.count))
    }

    /// Of the means of cosine, floor and ceiling; nil if the ceiling is not above the floor.
    static func closure(_ means: [Double]) -> Double? {
        means[2] > means[1] ? (means[0] - means[1]) / (means[2] - means[1]) : nil
    }

    /// From this factor on the temperature is far off.
    static let farOff = 1.4

    private static func warnings(
        images: Int, dimension: Int, hasText: Bool, _ fit: TemperatureFit, _ used: Double?, _ batch: Int
    ) -> [String] {
        var warnings: [String] = []
        if images < fewestForParts {
            warnings.append(
                "\(images) distinct real images: below \(fewestForParts) there is no ceiling, no classifier and no repair"
            )
        } else if images < dimension {
            warnings.append(
                "\(images) distinct real images for \(dimension) dimensions: ceiling, AUC and repairs are too low, and "
                    + "closure is too high")
        }
        if !hasText { warnings.append("the model has no text encoder: the ceiling is unknown, and with it closure") }
        if case .fitted(let value) = fit, let used, max(value / used, used / value) >= farOff {
            warnings.append(
                "temperature \(short(value)) fits these pairs (batches of \(batch)), \(short(used)) is used: "
                    + (value > used
                        ? "the loss finds similarities too sure, and cosines may fall"
                        : "the loss hardly tells a pair from the others")
                    + "; --set loss.temperature=calibrated takes the one that fits")
        }
        return warnings
    }

    private static func short(_ value: Double) -> String { String(format: "%.2g", value) }
}

extension [Double] {
    var mean: Double { reduce(0, +) / Double(count) }
}

extension [Int] {
    var recallAt1: Double { Double(count { $0 == 1 }) / Double(count) }

    var median: Double { ClusterBootstrap.quantile(map(Double.init).sorted(), 0.5) }
}

extension EmbeddingRows {
    /// `[count, dimension]`, float64
    var tensor: Tensor { Tensor(values, shape: [count, dimension]).to(.float64) }
}
