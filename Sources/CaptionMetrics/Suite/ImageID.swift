import Files

/// The id of an image as the caption files write it: COCO's are numbers, others have names.
public enum ImageID: Hashable, Sendable, Comparable, CustomStringConvertible {
    case number(Int)
    case name(String)

    /// The id as the key of a JSON object: a key of digits is a number, so that `gts.json` and COCO results match.
    public init(key: String) {
        if let number = Int(key), String(number) == key { self = .number(number) } else { self = .name(key) }
    }

    /// Names are compared by their bytes, as Python and JSON do.
    public static func == (left: ImageID, right: ImageID) -> Bool {
        switch (left, right) {
        case (.number(let a), .number(let b)): a == b
        case (.name(let a), .name(let b)): ExactString(a) == ExactString(b)
        default: false
        }
    }

    public func hash(into hasher: inout Hasher) {
        switch self {
        case .number(let number): hasher.combine(number)
        case .name(let name): hasher.combine(ExactString(name))
        }
    }

    public var description: String {
        switch self {
        case .number(let number): String(number)
        case .name(let name): name
        }
    }

    /// Numbers first, in numeric order, then names by their bytes.
    public static func < (left: ImageID, right: ImageID) -> Bool {
        switch (left, right) {
        case (.number(let a), .number(let b)): a < b
        case (.name(let a), .name(let b)): a.utf8.lexicographicallyPrecedes(b.utf8)
        case (.number, .name): true
        case (.name, .number): false
        }
    }
}
