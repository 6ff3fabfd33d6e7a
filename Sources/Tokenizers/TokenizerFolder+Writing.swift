import Files
import ModelFolders
import StrictJSON

extension TokenizerFolder {
    /// Raises a folder's `model_max_length` to the positions of the model that it is written for: it would cut texts shorter
    /// than the model reads them. A larger one, or none, stays.
    /// - Throws: `JSONFileError`, `FileError`.
    package static func widen(_ folder: String, to length: Int) throws {
        let folder = try ModelFolder(folder)
        guard let file = try folder.json("tokenizer_config.json"),
            let limit = try TokenizerFiles(folder).contextLength(),
            limit < length
        else { return }
        var members = (file.value.members ?? []).filter { !["model_max_length", "max_len"].contains($0.key) }
        members.append(JSONMember(key: "model_max_length", value: .number("\(length)")))
        try AtomicFile.write(StrictJSON.text(of: .object(members)) + "\n", to: file.path)
    }
}
