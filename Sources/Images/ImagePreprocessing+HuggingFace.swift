// Reads the image processor of a Hugging Face CLIP folder: `preprocessor_config.json`, or `processor_config.json` with
// the processor inside, as transformers 5 saves it. The meaning of each value was found by running transformers 5.24's
// `CLIPImageProcessor`.

import Files
import StrictJSON

extension ImagePreprocessing {
    /// Image processors with these defaults and steps.
    static let acceptedProcessors = [
        "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor",
    ]

    /// Keys without influence on the pixels of one image. Conversion to RGB always happens here, whatever
    /// `do_convert_rgb` says, because otherwise a grey image would have one channel, which no CLIP accepts.
    static let keysWithoutEffect = [
        "processor_class", "_processor_class", "_valid_processor_keys", "_auto_class", "auto_map", "do_convert_rgb",
        "device", "disable_grouping", "return_tensors", "input_data_format", "image_seq_length",
    ]

    /// Keys that are followed, or refused if they ask for what is not implemented.
    static let understoodKeys = [
        "do_resize", "size", "resample", "default_to_square", "use_square_size", "do_center_crop", "crop_size",
        "do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std", "do_pad", "pad_size", "data_format",
        "image_processor_type", "feature_extractor_type",
    ]

    /// Reads a model folder's image processor, with transformers' precedence: the one inside `processor_config.json`,
    /// then `preprocessor_config.json`.
    /// - Returns: the settings and the file from which they come; nil if the folder has neither.
    /// - Throws: as ``init(preprocessorConfig:file:)``.
    public static func inFolder(_ folder: String) throws -> (settings: ImagePreprocessing, file: String)? {
        let outer = "\(folder)/processor_config.json", own = "\(folder)/preprocessor_config.json"
        if FileSystem.exists(outer), let nested = try JSONFile(outer).object("image_processor") {
            return (try ImagePreprocessing(nested), outer)
        }
        return FileSystem.exists(own) ? (try ImagePreprocessing(JSONFile(own)), own) : nil
    }

    /// Reads the content of a `preprocessor_config.json`, with CLIP's defaults for absent keys, as in transformers.
    /// `null` differs from an absent key: a step that is `null` is not done, and a value that is `null` must not be
    /// needed.
    ///
    /// An integer `size` means the shortest edge, a square with `default_to_square`; an integer `crop_size` a square;
    /// lists are height and width.
    /// - Parameter file: names the source in errors.
    /// - Throws: `JSONFileError`, `ImageError.invalidConfiguration` for keys or values that would not be followed
    ///   exactly.
    public init(preprocessorConfig json: [UInt8], file: String) throws {
        try self.init(JSONFile(json, path: file))
    }

    /// Reads a `preprocessor_config.json`, or a `processor_config.json` with an image processor inside.
    public init(preprocessorConfigFile path: String) throws {
        let file = try JSONFile(path)
        try self.init(file.object("image_processor") ?? file)
    }

    private init(_ file: JSONFile) throws {
        try Self.checkKeys(file)
        func step(_ key: String) throws -> Bool {
            file.value[key] == .null ? false : try file.bool(key) ?? true
        }
        /// A value that an enabled step needs; `null` removes the default.
        func needed<Value>(_ key: String, by step: String, _ value: Value?, default absent: Value) throws -> Value {
            guard file.value[key] != .null else {
                throw file.invalid(key, expected: "a value, which '\(step)' needs")
            }
            return value ?? absent
        }
        resize = .none
        filter = .bicubic
        if try step("do_resize") {
            resize = try needed("size", by: "do_resize", Self.resize(file), default: .shortestEdge(224))
            filter = try needed("resample", by: "do_resize", Self.filter(file), default: .bicubic)
            // A switch of KOSMOS-2 with which the size has no meaning.
            if try file.bool("use_square_size") ?? false { resize = .exact(ImageSize(width: 224, height: 224)) }
        }
        crop = nil
        if try step("do_center_crop") {
            let standard = ImageSize(width: 224, height: 224)
            crop = try needed("crop_size", by: "do_center_crop", Self.fixedSize(file, "crop_size"), default: standard)
        }
        rescaleFactor = nil
        if try step("do_rescale") {
            rescaleFactor = try needed(
                "rescale_factor", by: "do_rescale", file.double("rescale_factor"), default: 1.0 / 255.0)
        }
        (mean, std) = (nil, nil)
        if try step("do_normalize") {
            mean = try needed(
                "image_mean", by: "do_normalize", Self.channels(file, "image_mean"), default: Self.clipMean)
            std = try needed(
                "image_std", by: "do_normalize", Self.channels(file, "image_std"), default: Self.clipDeviation)
        }
        cropRounding = .transformers
        orientation = .exif
        transparency = .white
        decodeScale = .full
        limits = .standard
        try Self.checkPadding(file, output: outputSize)
        try validate(file: file.path)
    }

    private static func checkKeys(_ file: JSONFile) throws {
        let known = Set((understoodKeys + keysWithoutEffect).map { ExactString($0) })
        for key in file.keys where !known.contains(ExactString(key)) {
            throw file.invalid(
                key, expected: "no such key: a CLIP image processor has none, and another's could change the pixels")
        }
        for key in ["image_processor_type", "feature_extractor_type"] {
            let names = acceptedProcessors.joined(separator: ", ")
            _ = try file.value(key, expected: names) {
                $0.string.flatMap { acceptedProcessors.contains($0) ? $0 : nil }
            }
        }
        _ = try file.value("data_format", expected: "\"channels_first\"") { $0.string == "channels_first" ? true : nil }
    }

    /// Padding comes last, to the right and below; nothing happens if the size is that of the output already.
    private static func checkPadding(_ file: JSONFile, output: ImageSize?) throws {
        guard try file.bool("do_pad") ?? false else { return }
        guard let output else { throw file.invalid("do_pad", expected: "false, since sizes follow each image") }
        let size = try fixedSize(file, "pad_size")
        guard size == nil || size == output else {
            throw file.invalid("pad_size", expected: "\(output), what cropping leaves; padding beyond it is not done")
        }
    }

    private static func filter(_ file: JSONFile) throws -> ResampleFilter? {
        // transformers' two backends read names and fractions differently.
        try file.value("resample", expected: "one of Pillow's filters, 0...5") {
            $0.integer.flatMap(ResampleFilter.init(rawValue:))
        }
    }

    /// A number for all channels, or a list with one for each.
    private static func channels(_ file: JSONFile, _ key: String) throws -> [Double]? {
        try file.value(key, expected: "3 numbers") { value in
            if let one = value.double { return [one, one, one] }
            let numbers = value.array?.compactMap(\.double)
            return numbers?.count == 3 && value.array?.count == 3 ? numbers : nil
        }
    }

    private static func resize(_ file: JSONFile) throws -> Resize? {
        let square = try file.bool("default_to_square") ?? false
        let expected = "a number, {shortest_edge} or {height, width}"
        return try file.value("size", expected: expected) { value in
            if let side = value.integer {
                return square ? .exact(ImageSize(width: side, height: side)) : .shortestEdge(side)
            }
            if value.members?.count == 1, let side = value["shortest_edge"]?.integer { return .shortestEdge(side) }
            return heightAndWidth(value).map(Resize.exact)
        }
    }

    /// A size that has no edge to go by: a whole number stands for a square.
    private static func fixedSize(_ file: JSONFile, _ key: String) throws -> ImageSize? {
        try file.value(key, expected: "a number or {height, width}") { value in
            value.integer.map { ImageSize(width: $0, height: $0) } ?? heightAndWidth(value)
        }
    }

    /// `[height, width]` or `{"height", "width"}`.
    private static func heightAndWidth(_ value: JSONValue) -> ImageSize? {
        let sides = value.array ?? [value["height"] ?? .null, value["width"] ?? .null]
        guard sides.count == 2, value.array != nil || value.members?.count == 2, let height = sides[0].integer,
            let width = sides[1].integer
        else { return nil }
        return ImageSize(width: width, height: height)
    }
}
