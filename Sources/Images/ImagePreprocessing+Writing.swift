extension ImagePreprocessing {
    /// Hugging Face's `preprocessor_config.json` of these settings, for models written by us: transformers reads
    /// it.
    ///
    /// What that file cannot say is left out: how the crop is rounded (transformers rounds its own way, which moves the
    /// crop of an odd margin by one pixel), the orientation, what becomes of transparency (white there), and reduced
    /// decoding.
    /// - Parameter processor: which of transformers' is to read it.
    public func huggingFaceJSON(_ processor: Processor = .clip) -> String {
        func list(_ values: [Double]) -> String { "[" + values.map(\.description).joined(separator: ", ") + "]" }
        func size(_ size: ImageSize) -> String { #"{"height": \#(size.height), "width": \#(size.width)}"# }
        var members = [
            ("image_processor_type", "\"\(processor.names[0])\""), ("do_convert_rgb", "true"),
            ("do_resize", "\(resize != .none)"), ("resample", "\(filter.rawValue)"),
            ("do_center_crop", "\(crop != nil)"), ("do_rescale", "\(rescaleFactor != nil)"),
            ("do_normalize", "\(mean != nil)"),
        ]
        switch resize {
        case .none: break
        case .shortestEdge(let side): members.append(("size", #"{"shortest_edge": \#(side)}"#))
        case .exact(let exact): members.append(("size", size(exact)))
        }
        if let crop { members.append(("crop_size", size(crop))) }
        if let rescaleFactor { members.append(("rescale_factor", "\(rescaleFactor)")) }
        if let mean, let std { members += [("image_mean", list(mean)), ("image_std", list(std))] }
        return "{\n" + members.map { "  \"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + "\n}\n"
    }
}
