// `preprocessor_config.json` of a Hugging Face CLIP folder.

import Foundation

extension ImagePreprocessing {
    /// Image processors whose defaults and steps are these.
    static let acceptedProcessors = [
        "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor",
    ]

    /// Keys without influence on the pixels of one image. RGB conversion always happens here, whatever
    /// `do_convert_rgb` says: without it a grey image would have one channel, which no CLIP takes.
    static let keysWithoutEffect: Set<String> = [
        "processor_class", "_processor_class", "_valid_processor_keys", "auto_map", "do_convert_rgb", "device",
        "disable_grouping", "return_tensors", "input_data_format", "image_seq_length", "default_to_square",
    ]

    /// Reads `preprocessor_config.json`, taking CLIP's defaults for absent keys as transformers does.
    ///
    /// Integer `size` means the shortest edge, integer `crop_size` a square (files of early transformers).
    /// - Parameter file: names the source in errors.
    /// - Throws: `ImageError.invalidConfiguration` for keys or values that would not be followed exactly.
    public init(preprocessorConfig json: [UInt8], file: String) throws {
        let parsed: JSONValue
        do {
            parsed = try JSONDecoder().decode(JSONValue.self, from: Foundation.Data(json))
        } catch {
            throw ImageError.invalidConfiguration(file: file, key: "", expected: "valid JSON", got: "\(error)")
        }
        guard case .object(let fields) = parsed else {
            throw ImageError.invalidConfiguration(file: file, key: "", expected: "a JSON object", got: parsed.summary)
        }
        let reader = ConfigReader(fields: fields, file: file)
        try reader.checkKeys()

        let resizes = try reader.flag("do_resize", default: true)
        let square = try reader.flag("use_square_size", default: false)
        var resize = Resize.none
        if resizes {
            resize = try reader.resize() ?? .shortestEdge(224)
            if square, case .shortestEdge(let side) = resize { resize = .exact(ImageSize(width: side, height: side)) }
        }
        let crops = try reader.flag("do_center_crop", default: true)
        let rescales = try reader.flag("do_rescale", default: true)
        let normalizes = try reader.flag("do_normalize", default: true)
        self.resize = resize
        filter = try reader.filter() ?? .bicubic
        crop = crops ? try reader.cropSize() ?? ImageSize(width: 224, height: 224) : nil
        cropRounding = .transformers
        rescaleFactor = rescales ? try reader.number("rescale_factor") ?? 1.0 / 255.0 : nil
        mean = normalizes ? try reader.channels("image_mean") ?? Self.clipMean : nil
        std = normalizes ? try reader.channels("image_std") ?? Self.clipDeviation : nil
        orientation = .apply
        decodeScale = .full
        maximumPixels = ImageDecodingOptions().maximumPixels
        try validate(file: file)
    }

    /// Reads a model folder's `preprocessor_config.json`.
    public init(preprocessorConfigFile path: String) throws {
        try self.init(preprocessorConfig: readImageFile(path), file: path)
    }
}

private enum JSONValue: Decodable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    init(from decoder: any Decoder) throws {
        if let keyed = try? decoder.container(keyedBy: AnyKey.self) {
            var fields: [String: JSONValue] = [:]
            for key in keyed.allKeys { fields[key.stringValue] = try keyed.decode(JSONValue.self, forKey: key) }
            self = .object(fields)
        } else if var list = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !list.isAtEnd { values.append(try list.decode(JSONValue.self)) }
            self = .array(values)
        } else {
            // Asking for each kind in turn is how `Decoder` tells them apart; the last one's error stands.
            let single = try decoder.singleValueContainer()
            if single.decodeNil() {
                self = .null
            } else if let value = try? single.decode(Bool.self) {
                self = .bool(value)
            } else if let value = try? single.decode(Double.self) {
                self = .number(value)
            } else {
                self = .string(try single.decode(String.self))
            }
        }
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// For error messages.
    var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value): Int(exactly: value).map(\.description) ?? "\(value)"
        case .string(let value): "\"\(value)\""
        case .array(let values): "[" + values.map(\.summary).joined(separator: ", ") + "]"
        case .object(let fields):
            "{" + fields.keys.sorted().map { "\"\($0)\": \(fields[$0]!.summary)" }.joined(separator: ", ") + "}"
        }
    }

    var integer: Int? {
        if case .number(let value) = self { return Int(exactly: value) }
        return nil
    }
}

private struct ConfigReader {
    let fields: [String: JSONValue]
    let file: String

    func failure(_ key: String, expected: String, got: String) -> ImageError {
        .invalidConfiguration(file: file, key: key, expected: expected, got: got)
    }

    /// `nil` for an absent key and for null, which transformers treats alike.
    private func value(_ key: String) -> JSONValue? {
        guard let value = fields[key] else { return nil }
        if case .null = value { return nil }
        return value
    }

    func checkKeys() throws {
        let understood: Set<String> = [
            "do_resize", "size", "resample", "do_center_crop", "crop_size", "do_rescale", "rescale_factor",
            "do_normalize", "image_mean", "image_std", "image_processor_type", "feature_extractor_type", "do_pad",
            "pad_size", "data_format", "use_square_size",
        ]
        let unknown = fields.keys.filter {
            !understood.contains($0) && !ImagePreprocessing.keysWithoutEffect.contains($0)
        }
        if let key = unknown.min() {
            throw failure(key, expected: "a key of a CLIP image processor", got: fields[key]!.summary)
        }
        for key in ["image_processor_type", "feature_extractor_type"] {
            guard let type = value(key) else { continue }
            guard case .string(let name) = type, ImagePreprocessing.acceptedProcessors.contains(name) else {
                throw failure(
                    key, expected: ImagePreprocessing.acceptedProcessors.joined(separator: ", "), got: type.summary)
            }
        }
        if let layout = value("data_format") {
            guard case .string("channels_first") = layout else {
                throw failure("data_format", expected: "\"channels_first\"", got: layout.summary)
            }
        }
        if try flag("do_pad", default: false) { throw failure("do_pad", expected: "false", got: "true") }
    }

    func flag(_ key: String, default absent: Bool) throws -> Bool {
        guard let value = value(key) else { return absent }
        guard case .bool(let flag) = value else { throw failure(key, expected: "true or false", got: value.summary) }
        return flag
    }

    func number(_ key: String) throws -> Double? {
        guard let value = value(key) else { return nil }
        guard case .number(let number) = value else { throw failure(key, expected: "a number", got: value.summary) }
        return number
    }

    /// A number for all channels, or a list with one for each.
    func channels(_ key: String) throws -> [Double]? {
        switch value(key) {
        case nil: return nil
        case .number(let number)?: return [number, number, number]
        case .array(let values)?:
            let numbers = values.compactMap { if case .number(let number) = $0 { number } else { nil } }
            guard numbers.count == values.count, numbers.count == 3 else {
                throw failure(key, expected: "3 numbers", got: JSONValue.array(values).summary)
            }
            return numbers
        case let other?: throw failure(key, expected: "3 numbers", got: other.summary)
        }
    }

    func filter() throws -> ResampleFilter? {
        guard let value = value("resample") else { return nil }
        guard let raw = value.integer, let filter = ResampleFilter(rawValue: raw) else {
            throw failure("resample", expected: "one of Pillow's filters, 0...5", got: value.summary)
        }
        return filter
    }

    func resize() throws -> ImagePreprocessing.Resize? {
        guard let value = value("size") else { return nil }
        if let side = value.integer { return .shortestEdge(side) }
        if case .object(let keys) = value {
            if keys.count == 1, let side = keys["shortest_edge"]?.integer { return .shortestEdge(side) }
            if let size = Self.heightAndWidth(keys) { return .exact(size) }
        }
        throw failure("size", expected: "a number, {shortest_edge} or {height, width}", got: value.summary)
    }

    func cropSize() throws -> ImageSize? {
        guard let value = value("crop_size") else { return nil }
        if let side = value.integer { return ImageSize(width: side, height: side) }
        if case .object(let keys) = value, let size = Self.heightAndWidth(keys) { return size }
        throw failure("crop_size", expected: "a number or {height, width}", got: value.summary)
    }

    private static func heightAndWidth(_ keys: [String: JSONValue]) -> ImageSize? {
        guard keys.count == 2, let height = keys["height"]?.integer, let width = keys["width"]?.integer else {
            return nil
        }
        return ImageSize(width: width, height: height)
    }
}
