import Foundation

/// Notices an alignment that lowers its loss while it drives real and generated images apart.
struct PartingWatch {
    /// A cosine that falls by less is noise.
    static let leastFall = 0.005

    /// The validation with the highest cosine since this process began.
    private var highest: (cosine: Double, distance: Double)?

    /// - Parameters:
    ///   - cosine: mean cosine of validation pairs; `distance`: between the centroids of both kinds of image.
    /// - Returns: what to tell the user if the cosine is below its highest value and the centroids are farther apart than
    ///   they were then.
    mutating func warning(cosine: Double, distance: Double) -> String? {
        guard let before = highest, cosine <= before.cosine else {
            highest = (cosine, distance)
            return nil
        }
        guard cosine < before.cosine - Self.leastFall, distance > before.distance else { return nil }
        func short(_ value: Double) -> String { String(format: "%.3f", value) }
        return "warning: the validation cosine has fallen from \(short(before.cosine)) to \(short(cosine)) while the "
            + "centroids of real and generated images went from \(short(before.distance)) to \(short(distance)) apart: the "
            + "loss is lowered where no cosine looks. 'gmail evaluate gap' says which temperature fits; "
            + "--set loss.temperature=calibrated takes it"
    }
}
