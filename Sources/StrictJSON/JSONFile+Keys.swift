extension JSONFile {
    /// The error for a setting that changes what is computed, and that is not implemented.
    package func unsupported(_ key: String, _ reason: String) -> JSONFileError {
        .unsupported(file: path, key: prefix + key, got: value[key]?.words ?? "absent", reason: reason)
    }
}
