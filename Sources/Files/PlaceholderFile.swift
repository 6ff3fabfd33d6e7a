/// Files that stand for others: what a download leaves when it did not fetch the thing itself.
package enum PlaceholderFile {
    /// Throws when `bytes` are a git-lfs pointer or a web page. Asked by readers whose file did not parse, and before
    /// formats that would take any bytes.
    /// - Throws: ``FileError/placeholder(path:what:advice:)``.
    package static func refuse(_ bytes: UnsafeRawBufferPointer, path: String) throws(FileError) {
        let start = bytes.prefix(512)
        if start.starts(with: "version https://git-lfs.github.com/spec/".utf8) {
            throw .placeholder(
                path: path, what: "a git-lfs pointer",
                advice: "fetch the file with `git lfs pull` in its repository, or download it again")
        }
        let text = String(decoding: start, as: UTF8.self)
            .drop { $0.isWhitespace || $0 == "\u{FEFF}" }.prefix(16).lowercased()
        if text.hasPrefix("<!doctype html") || text.hasPrefix("<html") {
            throw .placeholder(
                path: path, what: "a web page",
                advice: "the download was answered with a page (a login, an error); download the file again")
        }
    }

    package static func refuse(_ file: MappedFile) throws(FileError) {
        try file.withUnsafeBytes { bytes throws(FileError) in try refuse(bytes, path: file.path) }
    }

    package static func refuse(_ bytes: [UInt8], path: String) throws(FileError) {
        var failure: FileError?
        bytes.withUnsafeBytes { buffer in
            do throws(FileError) { try refuse(buffer, path: path) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
