import StrictJSON

extension JSONFile {
    /// One id or an array of ids.
    func tokenIDs(_ key: String) throws(JSONFileError) -> [Int]? {
        try value(key, expected: "a token id or an array of them") { found in
            if let id = found.integer { return [id] }
            guard let values = found.array else { return nil }
            let ids = values.compactMap(\.integer)
            return ids.count == values.count ? ids : nil
        }
    }
}
