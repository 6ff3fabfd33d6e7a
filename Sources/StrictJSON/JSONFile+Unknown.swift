// A configuration must not be read in part, so settings that a reader does not know are refused by name: they may
// change the numbers. Settings that are empty, or known to change nothing that is computed here, pass. `false` is a
// value like any other: an unknown `use_bias` that is false says that something is missing.

extension JSONFile {
    /// Refuses members that are neither read nor known to be harmless, unless they are empty (`null`, `""`, `[]`, `{}`).
    /// - Parameters:
    ///   - known: keys that the reader reads.
    ///   - harmless: keys that change nothing that is computed here, whatever their value.
    /// - Throws: ``JSONFileError/unsupported(file:key:got:reason:)``.
    public func refuseUnknown(_ known: Set<String>, harmless: Set<String> = []) throws(JSONFileError) {
        for member in value.members ?? []
        where !known.contains(member.key) && !harmless.contains(member.key) && !member.value.isEmpty {
            throw unsupported(
                member.key,
                "this setting is not known here, and it may change what the model computes; take it out only if it does not"
            )
        }
    }

    /// Refuses a setting that is known and implemented with one value only.
    /// - Parameter only: that value; an absent key and `null` count as it.
    /// - Throws: ``JSONFileError/unsupported(file:key:got:reason:)``.
    public func require(_ key: String, only: JSONValue) throws(JSONFileError) {
        guard let found = value[key], found != .null, !found.equals(only) else { return }
        throw unsupported(key, "only \(only.words) is implemented")
    }

    /// The error for a setting that is not implemented.
    public func unsupported(_ key: String, _ reason: String) -> JSONFileError {
        .unsupported(file: path, key: fullName(of: key), got: value[key]?.words ?? "absent", reason: reason)
    }
}

extension JSONValue {
    /// Whether a switch with this value is off: for keys that are known to be switches.
    public var isOff: Bool { self == .bool(false) || isEmpty }

    /// Whether a setting with this value says nothing.
    public var isEmpty: Bool {
        switch self {
        case .null: true
        case .string(let text): text.isEmpty
        case .array(let values): values.isEmpty
        case .object(let members): members.isEmpty
        default: false
        }
    }

    /// Equal as settings: numbers by value (`1` and `1.0`).
    fileprivate func equals(_ other: JSONValue) -> Bool {
        if let a = double, let b = other.double { return a == b }
        return self == other
    }
}
