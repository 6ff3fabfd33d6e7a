import Images

/// The ending that a picture's file should have, told by its first bytes and never by its name: readers of tars choose
/// their decoder by it.
enum ImageEnding {
    /// Endings under which a tar's member is a picture: those under which a file is one. The first of each format, which is
    /// the one written here, comes before the others.
    static let known =
        ImageFormat.allCases.map { $0.endings[0] } + ImageFormat.allCases.flatMap { $0.endings.dropFirst() }

    /// The ending to write a picture under: by its bytes; where these are of no known format, by the name it has.
    static func of(_ bytes: [UInt8], named name: String?) -> String {
        if let ending = of(bytes) { return ending }
        let name = name?.lowercased() ?? ""
        return known.first { name.hasSuffix(".\($0)") } ?? "jpg"
    }

    /// - Returns: nil for content of another kind.
    static func of(_ bytes: [UInt8]) -> String? {
        func has(_ text: String, at offset: Int = 0) -> Bool { bytes.dropFirst(offset).starts(with: text.utf8) }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return "jpg" }
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) { return "png" }
        if has("GIF87a") || has("GIF89a") { return "gif" }
        if has("RIFF"), has("WEBP", at: 8) { return "webp" }
        if has("BM") { return "bmp" }
        if bytes.starts(with: [0x49, 0x49, 0x2A, 0]) || bytes.starts(with: [0x4D, 0x4D, 0, 0x2A]) { return "tif" }
        guard has("ftyp", at: 4) else { return nil }
        if has("avif", at: 8) || has("avis", at: 8) { return "avif" }
        return ["heic", "heix", "hevc", "mif1", "msf1"].contains { has($0, at: 8) } ? "heic" : nil
    }
}
