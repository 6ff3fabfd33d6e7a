/// The element types of the safetensors format that this reader and writer know.
///
/// The order of the cases is the file order of the reference library (Rust `Dtype`), which stores wider types first;
/// the writer sorts by it so that its files equal the reference's byte for byte.
/// Not offered: the sub-byte types (F4, F6), the scale type F8_E8M0 and complex C64, which no model here uses.
public enum ElementType: String, CaseIterable, Sendable, Comparable {
    case bool = "BOOL"
    case uint8 = "U8"
    case int8 = "I8"
    case float8E5M2 = "F8_E5M2"
    case float8E4M3 = "F8_E4M3"
    case int16 = "I16"
    case uint16 = "U16"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case int32 = "I32"
    case uint32 = "U32"
    case float32 = "F32"
    case float64 = "F64"
    case int64 = "I64"
    case uint64 = "U64"

    /// Bytes per element.
    public var size: Int {
        switch self {
        case .bool, .uint8, .int8, .float8E5M2, .float8E4M3: 1
        case .int16, .uint16, .float16, .bfloat16: 2
        case .int32, .uint32, .float32: 4
        case .float64, .int64, .uint64: 8
        }
    }

    /// The name in the file's header, such as `"BF16"`.
    public var headerName: String { rawValue }

    /// Bytes of a tensor of this type and shape; nil when the product does not fit 63 bits or a dimension is negative.
    public func byteCount(shape: [Int]) -> Int? {
        var count = size
        // A zero dimension makes the product zero, but the others must still be sensible on their own.
        var hasZero = false
        for dimension in shape {
            guard dimension >= 0 else { return nil }
            if dimension == 0 {
                hasZero = true
                continue
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else { return nil }
            count = product
        }
        return hasZero ? 0 : count
    }

    private var fileOrder: Int { Self.allCases.firstIndex(of: self)! }

    public static func < (a: ElementType, b: ElementType) -> Bool { a.fileOrder < b.fileOrder }
}
