// The image processor of a Hugging Face folder: `preprocessor_config.json`, or `processor_config.json` with it inside, as
// transformers 5 saves it. What each value means was found by running transformers 5.24's `CLIPImageProcessor` and
// `SiglipImageProcessor`, which differ in their defaults alone.

import Files
import StrictJSON

extension ImagePreprocessing {
    /// The image processors of transformers that are read: the same steps, with other defaults.
    public enum Processor: String, Sendable, CaseIterable {
        case clip, siglip

        /// The names that mean it, the one that is written first.
        var names: [String] {
            switch self {
            case .clip:
                [
                    "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor",
                ]
            case .siglip: ["SiglipImageProcessor", "SiglipImageProcessorFast", "SiglipImageProcessorPil"]
            }
        }

        fileprivate var resize: Resize {
            self == .clip ? .shortestEdge(224) : .exact(ImageSize(width: 224, height: 224))
        }
        /// nil where nothing is cropped unless the file says so, and then how.
        fileprivate var crop: ImageSize? { self == .clip ? ImageSize(width: 224, height: 224) : nil }
        fileprivate var mean: [Double] { self == .clip ? clipMean : [0.5, 0.5, 0.5] }
        fileprivate var deviation: [Double] { self == .clip ? clipDeviation : [0.5, 0.5, 0.5] }
    }

    /// Keys without influence on the pixels of one image. RGB conversion always happens here, whatever
    /// `do_convert_rgb` says: without it a grey image would have one channel, which no encoder takes.
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
    /// - Parameter processor: whose defaults hold where the file names no processor.
    /// - Returns: the settings and the file that they come from; nil when the folder has neither.
    /// - Throws: as ``init(preprocessorConfig:file:)``.
    public static func inFolder(
        _ folder: String, processor: Processor = .clip
    ) throws -> (settings: ImagePreprocessing, file: String)? {
        let outer = "\(folder)/processor_config.json", own = "\(folder)/preprocessor_config.json"
        if FileSystem.exists(outer), let nested = try JSONFile(outer).object("image_processor") {
            return (try ImagePreprocessing(nested, processor), outer)
        }
        return FileSystem.exists(own) ? (try ImagePreprocessing(JSONFile(own), processor), own) : nil
    }

    /// Reads the content of a `preprocessor_config.json`, taking the processor's defaults for absent keys as transformers
    /// does; CLIP's where the file names no processor.
    /// `null` is no absent key: a step that is `null` is not done, and a value that is `null` must not be needed.
    ///
    /// An integer `size` means the shortest edge, a square with `default_to_square`; an integer `crop_size` a square;
    /// lists are height and width.
    /// - Parameter file: names the source in errors.
    /// - Throws: `JSONFileError`, `ImageError.invalidConfiguration` for keys or values that would not be followed
    ///   exactly.
    public init(preprocessorConfig json: [UInt8], file: String) throws {
        try self.init(JSONFile(json, path: file), .clip)
    }

    /// Reads a `preprocessor_config.json`, or a `processor_config.json` with an image processor inside.
    public init(preprocessorConfigFile path: String) throws {
        let file = try JSONFile(path)
        try self.init(file.object("image_processor") ?? file, .clip)
    }

    private init(_ file: JSONFile, _ unnamed: Processor) throws {
        try Self.checkKeys(file)
        let processor = try Self.processor(file) ?? unnamed
        func step(_ key: String, default isDone: Bool = true) throws -> Bool {
            file.value[key] == .null ? false : try file.bool(key) ?? isDone
        }
        /// A value that an enabled step needs: `null` takes the default away.
        func needed<Value>(_ key: String, by step: String, _ value: Value?, default absent: Value?) throws -> Value {
            guard file.value[key] != .null, let value = value ?? absent else {
                throw file.invalid(key, expected: "a value, which '\(step)' needs")
            }
            return value
        }
        resize = .none
        filter = .bicubic
        if try step("do_resize") {
            resize = try needed("size", by: "do_resize", Self.resize(file), default: processor.resize)
            filter = try needed("resample", by: "do_resize", Self.filter(file), default: .bicubic)
            // A switch of KOSMOS-2 with which the size has no meaning.
            if try file.bool("use_square_size") ?? false { resize = .exact(ImageSize(width: 224, height: 224)) }
        }
        crop = nil
        if try step("do_center_crop", default: processor.crop != nil) {
            crop = try needed(
                "crop_size", by: "do_center_crop", Self.fixedSize(file, "crop_size"), default: processor.crop)
        }
        rescaleFactor = nil
        if try step("do_rescale") {
            rescaleFactor = try needed(
                "rescale_factor", by: "do_rescale", file.double("rescale_factor"), default: 1.0 / 255.0)
        }
        (mean, std) = (nil, nil)
        if try step("do_normalize") {
            mean = try needed(
                "image_mean", by: "do_normalize", Self.channels(file, "image_mean"), default: processor.mean)
            std = try needed(
                "image_std", by: "do_normalize", Self.channels(file, "image_std"), default: processor.deviation)
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
                key,
                expected:
                    "no such key: CLIP's and SigLIP's image processors have none, and another's could change the pixels"
            )
        }
        _ = try file.value("data_format", expected: "\"channels_first\"") { $0.string == "channels_first" ? true : nil }
    }

    /// The processor that the file names; nil when it names none.
    private static func processor(_ file: JSONFile) throws -> Processor? {
        let names = Processor.allCases.flatMap(\.names).joined(separator: ", ")
        var found: Processor?
        for key in ["feature_extractor_type", "image_processor_type"] {
            found =
                try file.value(key, expected: names) { value in
                    value.string.flatMap { name in Processor.allCases.first { $0.names.contains(name) } }
                } ?? found
        }
        return found
    }

    /// Padding comes last and to the right and below: nothing happens where the size is that of the output already.
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
