import Torch

extension Module {
    /// The key of the first parameter or buffer that holds a NaN or an infinity; nil when there is none.
    ///
    /// In float16 an infinity may stand for a number of the file that float16 does not hold, so only a NaN counts there;
    /// what overflows shows in the results.
    ///
    /// It reads every tensor once; docs/cpu.md says how long that takes. Mapped weights are brought into memory by it.
    public final func firstNonFinite(prefix: String = "") -> String? {
        namedTensors(prefix: prefix).first { entry in
            guard !entry.tensor.isAllFinite else { return false }
            guard entry.tensor.dtype == .float16 else { return true }
            return !entry.tensor.to(.float32).clamped(-65_504, 65_504).isAllFinite
        }?.key
    }

    /// Refuses weights that hold NaN or infinity, which would silently spoil every result.
    /// - Parameter source: what the message calls the file.
    /// - Throws: `WeightsError.notFinite` naming the first such tensor.
    public final func requireFinite(source: String) throws {
        if let key = firstNonFinite() { throw WeightsError.notFinite(source: source, key: key) }
    }
}
