import Diffusion
import Files
import Images
import Terminal

/// What a run reports while it works.
public enum SynthesisEvent: Sendable, Equatable {
    /// Before the first batch: the number of images of the shard, and how many of them an earlier run has made.
    case started(total: Int, finished: Int)
    /// A batch is on disk.
    case finished(images: Int)
    /// Once, after the second batch, or after the first if there is only one.
    case estimate(SynthesisEstimate)
    /// An image came out black or not finite and was made again in a wider dtype.
    case retried(id: String, reason: String, dtype: String)
    /// An image that could not be made; it is left out.
    case failed(id: String, reason: String)
    /// The first prompt of this run that is longer than the model can read.
    case truncated(id: String, tokens: Int, limit: Int)
}

/// What a run leaves behind; counts are of the shard, including earlier runs.
public struct SynthesisOutcome: Sendable {
    /// Images of the shard.
    public var total = 0
    /// How many of them are on disk.
    public var finished = 0
    /// How many this run made.
    public var made = 0
    /// How many were black or not finite at first.
    public var retried = 0
    public var failed = 0
    /// Images whose prompt was cut off.
    public var truncated = 0
    /// Duration of this run, without set-up.
    public var seconds = 0.0
    public var estimate: SynthesisEstimate?
    /// The signal that ended the run early.
    public var signal: Int32?
    /// The manifest, for the format that has one.
    public var pairs: String?
    /// Finished tar shards, for the format that has them.
    public var tars: [String] = []

    public var isComplete: Bool { signal == nil }
}

/// Makes the images of one shard, batch after batch; each batch is on disk before the next begins.
///
/// A killed run loses at most the batch that it was in. Images appear complete under their names or not at all. A batch
/// counts as done when the journal says so, which it does after the images are synced. The next run computes an
/// unfinished batch again in its full composition and writes the missing images, so the bytes of an image never depend
/// on interruptions.
public final class SynthesisRun {
    public let plan: SynthesisPlan
    public let settings: SynthesisSettings

    let folder: SynthesisFolder
    private let lock: FolderLock
    let journal: SynthesisJournal
    private let generator: any ImageGenerator
    private let stop: StopSignal?
    private let report: (SynthesisEvent) -> Void
    /// The folder of the captions file's real images, and the folder from which pairs name them; free of symbolic
    /// links.
    let realFolder: String?
    let resolvedFolder: String
    /// Called around everything that changes a file; a test crashes there.
    var onWrite: (String) throws -> Void = { _ in }

    /// For the format with tars.
    private var packing: TarPacking?
    private var meter = SynthesisMeter()
    private var hasWarnedOfTruncation = false
    /// Folders of images that exist and hold nothing of a killed process.
    private var preparedFolders: Set<String> = []

    /// Opens or continues a run.
    /// - Parameters:
    ///   - folder: is created if it does not exist.
    ///   - realFolder: the folder to which the rows' `image` is relative; nil leaves real images out.
    /// - Throws: ``SynthesisError`` for other settings or a foreign folder; `FileError`, also if another process works
    ///   on the same shard.
    public init(
        plan: SynthesisPlan, settings: SynthesisSettings, folder path: String, realFolder: String? = nil,
        generator: any ImageGenerator, stop: StopSignal? = nil, report: @escaping (SynthesisEvent) -> Void = { _ in }
    ) throws {
        precondition(
            plan.batchSize == settings.batchSize && plan.shard.count == settings.shardCount
                && plan.imagesPerCaption == settings.imagesPerCaption, "settings of another plan")
        self.plan = plan
        self.settings = settings
        self.generator = generator
        self.stop = stop
        self.report = report
        self.realFolder = realFolder.map(FileSystem.resolved)
        folder = SynthesisFolder(path: path, settings: settings, shard: plan.shard)
        lock = try folder.claim()
        resolvedFolder = FileSystem.resolved(path)
        journal = try SynthesisJournal(path: folder.journalPath)
    }

    /// Makes the missing images.
    /// - Throws: ``SynthesisError/nothingGenerated(count:reason:)`` if no image came out at all; errors of writing
    ///   files.
    public func run() throws -> SynthesisOutcome {
        var outcome = SynthesisOutcome()
        outcome.total = plan.count
        packing = try TarPacking(self)
        let unfinished = (0..<plan.blockCount).filter { !isFinished($0) }
        var remaining = unfinished.reduce(0) { $0 + plan.block($1).count }
        report(.started(total: plan.count, finished: plan.count - remaining))
        try packing?.pack(through: unfinished.first ?? plan.blockCount)
        let clock = ContinuousClock()
        for (index, block) in unfinished.enumerated() {
            if let signal = stop?.signalNumber {
                outcome.signal = signal
                break
            }
            let start = clock.now
            let written = try make(block)
            let seconds = (clock.now - start).seconds
            outcome.seconds += seconds
            outcome.made += written
            remaining -= plan.block(block).count
            meter.add(images: plan.block(block).count, seconds: seconds)
            report(.finished(images: plan.block(block).count))
            if meter.batchCount == min(2, unfinished.count),
                let estimate = meter.estimate(plan: plan, remaining: remaining)
            {
                report(.estimate(estimate))
            }
            try packing?.pack(through: unfinished.dropFirst(index + 1).first ?? plan.blockCount)
        }
        outcome.estimate = meter.estimate(plan: plan, remaining: remaining)
        for entry in journal.entries.values where entry.block < plan.blockCount {
            outcome.retried += entry.wider.count
            outcome.failed += entry.failed.count
            outcome.truncated += entry.truncated
        }
        outcome.finished = plan.count - remaining - outcome.failed
        if outcome.finished == 0, let failure = journal.entries[0]?.failed.first {
            throw SynthesisError.nothingGenerated(count: outcome.failed, reason: failure.reason)
        }
        if let packing {
            outcome.tars = packing.finished
            if outcome.isComplete { try packing.finish() }
        } else {
            outcome.pairs = try writePairs()
        }
        return outcome
    }

    /// Makes the first images without writing anything, to estimate the whole set.
    public static func estimate(
        plan: SynthesisPlan, settings: SynthesisSettings, images: Int, generator: any ImageGenerator
    ) throws -> SynthesisEstimate? {
        var meter = SynthesisMeter()
        let clock = ContinuousClock()
        let blocks = min(plan.blockCount, (images + plan.batchSize - 1) / plan.batchSize)
        for block in 0..<blocks {
            let positions = plan.block(block)
            let start = clock.now
            let made = try generator.images(
                for: positions.map { request(of: plan.image(at: $0), plan, settings) }, wide: false)
            for case .image(let image) in made { meter.add(bytes: try encode(image, settings).count) }
            meter.add(images: positions.count, seconds: (clock.now - start).seconds)
        }
        return meter.estimate(plan: plan, remaining: plan.count)
    }

    // MARK: One batch

    private static func request(
        of image: PlannedImage, _ plan: SynthesisPlan, _ settings: SynthesisSettings
    ) -> ImageRequest {
        ImageRequest(
            prompt: plan.rows[image.row].caption,
            seed: ImageSeed.derive(seed: settings.seed, row: image.row, image: image.number))
    }

    private static func encode(_ image: RGBImage, _ settings: SynthesisSettings) throws -> [UInt8] {
        switch settings.imageFormat {
        case .png: try ImageWriter.png(image)
        case .jpeg: try ImageWriter.jpeg(image, quality: settings.quality)
        }
    }

    /// Whether every image of a block is on disk, in a tar, or known to be impossible.
    private func isFinished(_ block: Int) -> Bool {
        let positions = plan.block(block)
        if let packing, positions.allSatisfy(packing.holds) { return true }
        guard let entry = journal.entries[block], entry.images == positions.count else { return false }
        let failed = Set(entry.failed.map { ExactString($0.id) })
        return positions.allSatisfy { position in
            if packing?.holds(position) == true { return true }
            let image = plan.image(at: position)
            return failed.contains(ExactString(plan.id(of: image))) || FileSystem.exists(folder.path(of: image))
        }
    }

    /// Makes a block and enters it in the journal.
    /// - Returns: how many images were written.
    private func make(_ block: Int) throws -> Int {
        let positions = plan.block(block)
        let images = positions.map(plan.image(at:))
        let requests = images.map { Self.request(of: $0, plan, settings) }
        let truncated = try countTruncated(images)
        let made = try generator.images(for: requests, wide: false)
        precondition(made.count == requests.count, "\(made.count) images for \(requests.count) requests")

        var wider: [String] = []
        var failed: [SynthesisJournal.Failure] = []
        var written = 0
        for (index, image) in images.enumerated() {
            let id = plan.id(of: image)
            var result = made[index]
            if let reason = result.defect, let dtype = generator.widerDType {
                // Each is computed alone, because the rest of the batch must not decide how it comes out.
                result = try generator.images(for: [requests[index]], wide: true)[0]
                wider.append(id)
                report(.retried(id: id, reason: reason, dtype: dtype))
            }
            guard case .image(let pixels) = result else {
                let reason = "NaN or infinite pixels in \(generator.widerDType ?? settings.generator.dtype)"
                failed.append(.init(id: id, reason: reason))
                report(.failed(id: id, reason: reason))
                continue
            }
            let path = folder.path(of: image)
            guard !FileSystem.exists(path), packing?.holds(positions.lowerBound + index) != true else { continue }
            try write(try Self.encode(pixels, settings), to: path)
            written += 1
        }
        let entry = SynthesisJournal.Entry(
            block: block, images: images.count, truncated: truncated, wider: wider, failed: failed)
        try onWrite("journal, before")
        try journal.append(entry)
        try onWrite("journal, after")
        return written
    }

    private func write(_ bytes: [UInt8], to path: String) throws {
        let parent = FileSystem.folder(of: path)
        if preparedFolders.insert(parent).inserted {
            try FileSystem.createFolder(parent)
            try folder.removeLeftoverImages(in: parent)
        }
        try onWrite("image, before")
        try AtomicFile.write(bytes, to: path)
        meter.add(bytes: bytes.count)
        try onWrite("image, after")
    }

    private func countTruncated(_ images: [PlannedImage]) throws -> Int {
        var count = 0
        for image in images {
            let tokens = try generator.tokenCount(plan.rows[image.row].caption)
            guard tokens > generator.tokenLimit else { continue }
            count += 1
            if !hasWarnedOfTruncation {
                hasWarnedOfTruncation = true
                report(.truncated(id: plan.id(of: image), tokens: tokens, limit: generator.tokenLimit))
            }
        }
        return count
    }
}

extension GeneratedImage {
    /// Why an image may have suffered from a narrow dtype; nil for a good one.
    var defect: String? {
        switch self {
        case .notFinite: "NaN or infinite"
        case .image(let image): image.pixels.allSatisfy { $0 == 0 } ? "black" : nil
        }
    }
}
