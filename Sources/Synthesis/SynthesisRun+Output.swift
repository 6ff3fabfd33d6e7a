import Datasets
import Files

extension SynthesisRun {
    /// The pair of one image.
    /// - Parameter generated: the image's path in the manifest.
    func pair(of image: PlannedImage, generated: String) -> Pair {
        let row = plan.rows[image.row]
        return Pair(
            id: plan.id(of: image), caption: row.caption,
            real: realPath(of: row).map { SynthesisFolder.relativePath(of: $0, from: resolvedFolder) },
            generated: generated,
            generator: GeneratorSettings(
                model: settings.generator.model,
                // Below 2⁵³.
                seed: Int(ImageSeed.derive(seed: settings.seed, row: image.row, image: image.number)),
                steps: settings.generator.steps, guidance: settings.generator.guidance,
                scheduler: settings.generator.scheduler, modelHash: settings.generator.fingerprint.sha256))
    }

    /// The path of a row's real image, as this process can open it.
    func realPath(of row: CaptionRow) -> String? {
        guard let realFolder, let image = row.image else { return nil }
        return FileSystem.isAbsolute(image) ? image : "\(realFolder)/\(image)"
    }

    /// Ids of images that journal entries record as impossible.
    private var failedIDs: Set<ExactString> {
        Set(journal.entries.values.flatMap { $0.failed.map { ExactString($0.id) } })
    }

    /// Writes the manifest of the existing images, in the plan's order.
    func writePairs() throws -> String {
        let failed = failedIDs
        let path = folder.pairsPath
        let name = FileSystem.name(of: path)
        try SynthesisFolder.removeLeftovers(of: name, in: folder.path)
        try onWrite("pairs, before")
        try PairsManifest.write(
            (0..<plan.blockCount).lazy.filter { self.journal.entries[$0] != nil }.flatMap { block in
                self.plan.block(block).lazy.prefix(self.journal.entries[block]?.images ?? 0)
                    .map { self.plan.image(at: $0) }
                    .filter { !failed.contains(ExactString(self.plan.id(of: $0))) }
                    .map { self.pair(of: $0, generated: self.folder.name(of: $0)) }
            }, to: path)
        try onWrite("pairs, after")
        return path
    }

    fileprivate func packTar(_ index: Int, _ positions: Range<Int>) throws -> String {
        let failed = failedIDs
        let path = folder.tarPath(index)
        let images = positions.map { plan.image(at: $0) }.filter { !failed.contains(ExactString(plan.id(of: $0))) }
        try SynthesisFolder.removeLeftovers(of: FileSystem.name(of: path), in: folder.path)
        try onWrite("tar, before")
        var next = images.makeIterator()
        try PairTarWriter.write(to: path) {
            guard let image = next.next() else { return nil }
            var real: [UInt8]?
            if let source = realPath(of: plan.rows[image.row]), FileSystem.exists(source) {
                real = try RegularFile.bytes(source)
            }
            return PairSample(
                key: plan.key(of: image), pair: pair(of: image, generated: folder.name(of: image)), real: real,
                generated: try RegularFile.bytes(folder.path(of: image)))
        }
        try onWrite("tar, after")
        return path
    }
}

/// Packs staged images into tars: tar t holds images `t · imagesPerTar ..< (t + 1) · imagesPerTar` of the shard, except
/// failed ones. A tar appears under its name when it is complete; then its staged images are removed.
struct TarPacking {
    private unowned let run: SynthesisRun
    private let perTar: Int
    /// Number of complete tars from 0 on.
    private var packed = 0

    /// nil if the format has no tars.
    init?(_ run: SynthesisRun) throws {
        guard run.settings.format == .webdataset else { return nil }
        self.run = run
        perTar = run.settings.imagesPerTar
        while packed < tarCount, FileSystem.exists(run.folder.tarPath(packed)) {
            try removeStaged(packed)
            packed += 1
        }
    }

    private var tarCount: Int { (run.plan.count + perTar - 1) / perTar }

    private func positions(_ tar: Int) -> Range<Int> { tar * perTar..<min(run.plan.count, (tar + 1) * perTar) }

    var finished: [String] { (0..<packed).map(run.folder.tarPath) }

    /// Whether an image is in a complete tar.
    func holds(_ position: Int) -> Bool { position < packed * perTar }

    /// Packs the tars whose images all lie before block `next`.
    mutating func pack(through next: Int) throws {
        let done = next >= run.plan.blockCount ? run.plan.count : run.plan.block(next).lowerBound
        while packed < tarCount, positions(packed).upperBound <= done {
            _ = try run.packTar(packed, positions(packed))
            try removeStaged(packed)
            packed += 1
        }
    }

    private func removeStaged(_ tar: Int) throws {
        for position in positions(tar) {
            let path = run.folder.path(of: run.plan.image(at: position))
            guard FileSystem.exists(path) else { continue }
            try run.onWrite("staged image, before removal")
            try FileSystem.remove(path)
        }
    }

    /// Removes the empty folders of the staging area. Those that other shards still use stay.
    func finish() throws {
        let staging = "\(run.folder.path)/\(run.folder.imageFolder)"
        guard FileSystem.exists(staging) else { return }
        for name in try FileSystem.entries(staging) { try SynthesisFolder.removeIfEmpty("\(staging)/\(name)") }
        try SynthesisFolder.removeIfEmpty(staging)
    }
}
