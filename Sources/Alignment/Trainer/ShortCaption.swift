import Datasets

extension Pair {
    /// The first sentence of the caption, as Long-CLIP's authors cut it (`train/sharegpt4v.py`): what stands before the first
    /// full stop with a space behind it, line breaks taken for spaces. A caption of one sentence is its own short one.
    var shortCaption: String {
        var text = ""
        var isAfterStop = false
        for scalar in caption.unicodeScalars {
            let scalar = scalar == "\n" ? " " : scalar
            if isAfterStop, scalar == " " {
                text.unicodeScalars.removeLast()
                return text
            }
            isAfterStop = scalar == "."
            text.unicodeScalars.append(scalar)
        }
        return text
    }
}
