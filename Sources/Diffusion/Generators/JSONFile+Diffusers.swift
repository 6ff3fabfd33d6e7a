import StrictJSON

// Configuration files of diffusers are read strictly: a value of the wrong kind is an error, and so is an unknown
// setting, because ignoring it could change a picture.

extension JSONFile {
    /// One number for all blocks, or one for each block; nil if absent.
    func integers(_ key: String, in range: ClosedRange<Int>, count: Int) throws(JSONFileError) -> [Int]? {
        let expected =
            "a whole number from \(range.lowerBound) to \(range.upperBound), or an array of \(count) of them"
        return try value(key, expected: expected) { value in
            if let one = value.integer, range.contains(one) { return Array(repeating: one, count: count) }
            let numbers = (value.array ?? []).compactMap(\.integer).filter(range.contains)
            return numbers.count == count && value.array?.count == count ? numbers : nil
        }
    }

    /// An array of one or more numbers.
    func integerList(_ key: String, in range: ClosedRange<Int>) throws(JSONFileError) -> [Int]? {
        let expected = "an array of whole numbers from \(range.lowerBound) to \(range.upperBound)"
        return try value(key, expected: expected) { value in
            let numbers = (value.array ?? []).compactMap(\.integer).filter(range.contains)
            return numbers.isEmpty || numbers.count != value.array?.count ? nil : numbers
        }
    }

    /// The side of a square: one number, or two equal ones.
    func side(_ key: String) throws(JSONFileError) -> Int? {
        try value(key, expected: "a whole number of at least 1, or two equal ones") { value in
            let sides = value.array?.map { $0.integer ?? 0 } ?? [value.integer ?? 0]
            return (1...2).contains(sides.count) && sides[0] >= 1 && sides.allSatisfy { $0 == sides[0] }
                ? sides[0] : nil
        }
    }

    /// Checks that the file is of the class that is built here; an absent class counts as that one.
    func requireClass(_ name: String) throws(JSONFileError) {
        try requireOnly("_class_name", .string(name), expected: "\"\(name)\"")
    }

    /// Checks a setting for which only one value is built here; an absent key and `null` count as that value.
    func requireOnly(_ key: String, _ only: JSONValue) throws(JSONFileError) {
        try requireOnly(key, only, expected: "\(only.words), the one value that is supported")
    }

    private func requireOnly(_ key: String, _ only: JSONValue, expected: String) throws(JSONFileError) {
        _ = try value(key, expected: expected) { found -> Bool? in
            if found == only { return true }
            guard let wanted = only.double else { return nil }
            return found.double == wanted ? true : nil
        }
    }

    /// Refuses settings that are not among `known`. Keys that start with `_` are notes of the program that wrote the
    /// file.
    func refuseOthers(than known: Set<String>) throws(JSONFileError) {
        for key in keys where !known.contains(key) && !key.hasPrefix("_") && has(key) {
            throw JSONFileError.unsupported(
                file: path, key: key, got: value[key]?.words ?? "absent",
                reason: "a setting that is not known here and could change the result; remove it if it does not")
        }
    }
}
