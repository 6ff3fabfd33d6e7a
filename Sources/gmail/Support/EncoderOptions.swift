import Alignment
import ArgumentParser
import Encoders
import Files
import Foundation
import Terminal

/// Which encoder reads the images, and through which alignment.
struct EncoderOptions: ParsableArguments {
    @Option(help: "Folder of the encoder: CLIP, Long-CLIP, SigLIP or SynCLR.", completion: .directory)
    var model: String

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp(
            "A run of gmail align: images go through its encoders and projections.", valueName: "folder"),
        completion: .directory)
    var runFolder: String?

    @Option(
        help: ArgumentHelp(
            "Instead of --run: an adapter in PEFT's layout, made anywhere, as f_g.", valueName: "folder"),
        completion: .directory)
    var adapter: String?

    @Option(help: ArgumentHelp("Of the weight files, such as fp16, where there are several.", valueName: "name"))
    var variant: String?

    func validate() throws {
        guard runFolder == nil || adapter == nil else {
            throw ValidationError("--run and --adapter are two alignments: give one")
        }
    }

    var alignment: Embedder.Alignment? { runFolder.map { .run($0) } ?? adapter.map { .adapter($0) } }

    func embedder(
        _ compute: ComputeOptions, modality: Modality, batchSize: Int, reducedDecode: Double? = nil,
        maximumSkippedShare: Double = 0.5, quiet: Bool
    ) throws -> Embedder {
        let (device, dtype) = try compute.resolve()
        return try Embedder(
            folder: model, alignment: alignment, modality: modality, device: device, dtype: dtype,
            batchSize: batchSize, reducedDecode: reducedDecode, maximumSkippedShare: maximumSkippedShare,
            variant: variant, quiet: quiet, hashes: .command)
    }
}

extension FileHashes {
    /// The hashes of a command. They are remembered between commands; if that memory cannot be written, a note says so.
    static let command = FileHashes(warn: { Terminal.note("warning: \($0)") })
}

/// Images or texts per batch.
struct BatchOptions: ParsableArguments {
    @Option(help: "Images or texts per batch.")
    var batchSize = 64

    func validate() throws { try Check.range("--batch-size", batchSize, 1...65_536) }
}

/// Checks numbers from the user, all with the same words.
enum Check {
    /// - Throws: `ValidationError` with the range.
    static func range(_ option: String, _ value: Int?, _ range: ClosedRange<Int>) throws {
        guard let value, !range.contains(value) else { return }
        let expected =
            range.upperBound == .max ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
        throw ValidationError("\(option) is \(value), expected \(expected)")
    }

    /// - Parameter expected: the range in words, where its ends are no numbers that one would write.
    /// - Throws: `ValidationError` with the range; NaN is in no range.
    static func range(
        _ option: String, _ value: Double?, _ range: ClosedRange<Double>, _ expected: String? = nil
    ) throws {
        guard let value, !range.contains(value) else { return }
        throw ValidationError(
            "\(option) is \(value), expected \(expected ?? "\(range.lowerBound) to \(range.upperBound)")")
    }
}
