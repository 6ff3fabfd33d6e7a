import Files

/// The id of an image as the caption files write it: COCO's are numbers, others have names.
public enum ImageID: Hashable, Sendable, Comparable, CustomStringConvertible {
    case number(Int)
    /// A number above `Int.max`, as sets with 64-bit hashes have them.
    case large(UInt64)
    /// Names are equal when their bytes are.
    case name(ExactString)

    /// The id written as a string or as a JSON object key: one of digits is a number, so that `gts.json` and COCO results
    /// match.
    public init(key: String) {
        if let number = Int(key), String(number) == key {
            self = .number(number)
        } else if let number = UInt64(key), String(number) == key {
            self = .large(number)
        } else {
            self = .name(ExactString(key))
        }
    }

    /// A whole number of any kind; nil for one that has no place in 64 bits.
    init?(_ number: Double) {
        if let number = Int(exactly: number) {
            self = .number(number)
        } else if let number = UInt64(exactly: number) {
            self = .large(number)
        } else {
            return nil
        }
    }

    /// The id of an image of which only the file is named: COCO's number, where it is one of COCO's
    /// (`val2014/COCO_val2014_000000391895.jpg`), else the name with its folders.
    init(file: String) {
        let name = file.utf8[
            (file.utf8.lastIndex(of: UInt8(ascii: "/")).map { file.utf8.index(after: $0) } ?? file.startIndex)...]
        let parts = name.prefix { $0 != UInt8(ascii: ".") }.split(
            separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        if parts.count == 3, parts[0].elementsEqual("COCO".utf8), parts[2].count == 12, parts[2].allSatisfy(isDigit),
            let number = Int(Substring(parts[2]))
        {
            self = .number(number)
        } else {
            self = .name(ExactString(file))
        }
    }

    public var description: String {
        switch self {
        case .number(let number): String(number)
        case .large(let number): String(number)
        case .name(let name): name.string
        }
    }

    /// Numbers first, in numeric order, then names by their bytes.
    public static func < (left: ImageID, right: ImageID) -> Bool {
        switch (left, right) {
        case (.number(let a), .number(let b)): a < b
        case (.large(let a), .large(let b)): a < b
        case (.name(let a), .name(let b)): a < b
        default: left.rank < right.rank
        }
    }

    private var rank: Int {
        switch self {
        case .number: 0
        case .large: 1
        case .name: 2
        }
    }
}

extension ImageID: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int.self) {
            self = .number(number)
        } else if let number = try? container.decode(UInt64.self) {
            self = .large(number)
        } else {
            self = ImageID(key: try container.decode(String.self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .number(let number): try container.encode(number)
        case .large(let number): try container.encode(number)
        case .name(let name): try container.encode(name.string)
        }
    }
}
