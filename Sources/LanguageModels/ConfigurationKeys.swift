import StrictJSON

extension JSONFile {
    /// One id or an array of ids. `null` says that there is no such token; a file without the key keeps the default (nil).
    func tokenIDs(_ key: String) throws(JSONFileError) -> [Int]? {
        if isNull(key) { return [] }
        return try value(key, expected: "a token id or an array of them") { found in
            if let id = found.integer { return [id] }
            guard let values = found.array else { return nil }
            let ids = values.compactMap(\.integer)
            return ids.count == values.count ? ids : nil
        }
    }
}
