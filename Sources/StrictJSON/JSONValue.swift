// A JSON document kept as it stands in the file: members in order, strings scalar for scalar, numbers as text.
//
// Foundation's decoders put objects into dictionaries keyed by `String`, whose equality is canonical equivalence: "é"
// composed and decomposed would be one key, and of repeated keys one would silently win. Vocabularies and tensor names
// tolerate neither.

/// One JSON value.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    /// The digits as written; see ``integer`` and ``double``.
    case number(String)
    case string(String)
    case array([JSONValue])
    /// Members in file order; keys are distinct as byte sequences.
    case object([JSONMember])
}

/// One `"key": value` pair of an object.
public struct JSONMember: Sendable, Equatable {
    public let key: String
    public let value: JSONValue

    public init(key: String, value: JSONValue) {
        self.key = key
        self.value = value
    }
}

extension JSONValue {
    /// What the value is, in the words of an error message.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// The member of an object under exactly these scalars; nil if it is absent or this is no object.
    public subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }

    public var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    public var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    public var array: [JSONValue]? {
        if case .array(let values) = self { return values }
        return nil
    }

    public var members: [JSONMember]? {
        if case .object(let members) = self { return members }
        return nil
    }

    /// The number when it is written as an integer (no fraction, no exponent) that fits 64 bits.
    public var integer: Int? {
        if case .number(let text) = self { return Int(text) }
        return nil
    }

    public var double: Double? {
        if case .number(let text) = self { return Double(text) }
        return nil
    }
}
