import Alignment
import Datasets
import Foundation
import Tokenizers
import Training

/// One caption with one of its images.
struct CaptionSample {
    let id: String
    let caption: String
    let modality: Modality
    let image: RoutedImage
}

/// The samples of a pairs manifest under a data source: one per pair and trained modality.
struct CaptionSamples {
    let manifest: PairsManifest
    let modalities: [Modality]
    private let routes: [Modality: ImageRoute]
    private let source: CaptionSource

    /// - Throws: `CaptioningError.noGeneratedEncoder`.
    init(_ manifest: PairsManifest, _ source: CaptionSource, modalities: [Modality], isAligned: Bool) throws {
        self.manifest = manifest
        self.modalities = modalities
        self.source = source
        routes = try Dictionary(
            uniqueKeysWithValues: modalities.map { ($0, try source.route(of: $0, isAligned: isAligned)) })
    }

    var count: Int { manifest.count * modalities.count }

    /// - Throws: `CaptioningError.missingReal`, `DatasetError`.
    subscript(index: Int) -> CaptionSample {
        get throws {
            let pair = try manifest.pair(at: index / modalities.count)
            let modality = modalities[index % modalities.count]
            let path: String
            switch modality {
            case .generated: path = pair.generated
            case .real:
                guard let real = pair.real else {
                    throw CaptioningError.missingReal(
                        pair: pair.id, manifest: manifest.path, source: source.rawValue)
                }
                path = real
            }
            return CaptionSample(
                id: modalities.count > 1 ? "\(pair.id) (\(modality.rawValue))" : pair.id, caption: pair.caption,
                modality: modality, image: RoutedImage(path: manifest.resolve(path), route: routes[modality]!))
        }
    }
}
