// Settings that a reader does not know: a configuration is not read half. What is off, or known to change nothing that is
// computed here, passes; everything else is refused by name, since it may change the numbers.

extension JSONFile {
    /// Refuses members that are neither read nor known to be harmless, unless they are off (`null`, `false`, empty).
    /// - Parameters:
    ///   - known: keys that the reader reads.
    ///   - harmless: keys that change nothing that is computed here, whatever they say.
    /// - Throws: ``JSONFileError/unsupported(file:key:got:reason:)``.
    package func refuseUnknown(_ known: Set<String>, harmless: Set<String> = []) throws(JSONFileError) {
        for member in value.members ?? []
        where !known.contains(member.key) && !harmless.contains(member.key) && !member.value.isOff {
            throw unsupported(
                member.key,
                "this setting is not known here, and it may change what the model computes; take it out only if it does not"
            )
        }
    }

    /// Refuses a setting that is known and implemented with one value only.
    /// - Parameter only: that value; absent and `null` count as it.
    /// - Throws: ``JSONFileError/unsupported(file:key:got:reason:)``.
    package func require(_ key: String, only: JSONValue) throws(JSONFileError) {
        guard let found = value[key], found != .null, !found.equals(only) else { return }
        throw unsupported(key, "only \(only.words) is implemented")
    }

    /// The error for a setting that is not implemented.
    package func unsupported(_ key: String, _ reason: String) -> JSONFileError {
        .unsupported(file: path, key: fullName(of: key), got: value[key]?.words ?? "absent", reason: reason)
    }
}

extension JSONValue {
    /// Whether a setting with this value is switched off.
    package var isOff: Bool {
        switch self {
        case .null, .bool(false): true
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
