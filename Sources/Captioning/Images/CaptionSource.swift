import Alignment

/// Which images a captioner is trained on, and which encoder reads each kind.
///
/// | source | trained on | real images | generated images |
/// |---|---|---|---|
/// | `real` | real | f_r | f_g with an alignment run, else none |
/// | `generated` | generated | f_r | f_r |
/// | `mixed` | both | one encoder | the same one |
/// | `gmail` | generated | f_r | f_g |
/// | `gmailPlusReal` | both | f_r | f_g |
///
/// With an alignment run, features of f_r pass through its projection for real images, and those of f_g through the one
/// for generated images. The single encoder of `mixed` is f_r, or the encoder that the run tuned.
public enum CaptionSource: String, Sendable, Codable, CaseIterable {
    case real
    /// No alignment: the collapse of which the paper warns.
    case generated
    /// Similar to Task2Sim.
    case mixed
    /// Alg. 1 as in Table 9.
    case gmail
    /// Alg. 1, line 12.
    case gmailPlusReal

    /// The kinds of image from which captions are learned; one sample of each per pair.
    public var trainedModalities: [Modality] {
        switch self {
        case .real: [.real]
        case .generated, .gmail: [.generated]
        case .mixed, .gmailPlusReal: [.generated, .real]
        }
    }

    /// The encoder that reads images of `modality`.
    /// - Throws: `CaptioningError.noGeneratedEncoder`.
    public func route(of modality: Modality, isAligned: Bool) throws -> ImageRoute {
        switch (self, modality) {
        case (.generated, _): return .original
        case (.mixed, _): return isAligned ? .tuned : .original
        case (_, .real): return .original
        case (_, .generated):
            guard isAligned else { throw CaptioningError.noGeneratedEncoder(source: rawValue) }
            return .tuned
        }
    }

    /// - Throws: `CaptioningError.alignmentNeeded`, `.alignmentUnused`.
    public func checkAlignment(isGiven: Bool) throws {
        switch self {
        case .gmail, .gmailPlusReal:
            guard isGiven else { throw CaptioningError.alignmentNeeded(source: rawValue) }
        case .generated:
            guard !isGiven else { throw CaptioningError.alignmentUnused(source: rawValue) }
        case .real, .mixed: break
        }
    }
}
