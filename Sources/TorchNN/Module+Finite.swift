import Torch

extension Module {
    /// The key of the first parameter or buffer that holds a NaN or an infinity; nil when there is none.
    ///
    /// Reads everything once: docs/cpu.md says how long that takes. Of weights that are mapped it brings every page into memory.
    public final func firstNonFinite(prefix: String = "") -> String? {
        namedTensors(prefix: prefix).first { !$0.tensor.isAllFinite }?.key
    }

    /// Refuses weights with a NaN or an infinity in them, which would spoil every result without a word.
    /// - Parameter source: what the message calls the file.
    /// - Throws: `WeightsError.notFinite` naming the first such tensor.
    public final func requireFinite(source: String) throws {
        if let key = firstNonFinite() { throw WeightsError.notFinite(source: source, key: key) }
    }
}
