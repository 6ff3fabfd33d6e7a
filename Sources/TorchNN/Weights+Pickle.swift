import Torch

extension Weights {
    /// Names under which training programs store the state dict beside their other state: Lightning and open_clip; MAE,
    /// BEiT and many others; PyTorch's own tutorial; DeepSpeed.
    static let wrappers = ["state_dict", "model", "model_state_dict", "module"]
    /// The prefixes that `DataParallel`, `DistributedDataParallel` and `torch.compile` put before every name.
    private static let wrapperPrefixes = ["module.", "_orig_mod."]

    /// The tensors of a state dict that Python wrote with `torch.save`, alone or in a checkpoint under one of the usual names;
    /// where every name begins with `module.` or `_orig_mod.`, without it. `source` says what was taken off.
    /// - Throws: `TorchError`, `FileError`, see `PickledTensors`; `WeightsError.repeatedKey`, `.noStateDict`, `.twoStateDicts`.
    public init(stateDict path: String) throws {
        let file = try PickledTensors(path: path)
        var source = path
        var chosen = file
        if !file.others.isEmpty {
            let found = file.dictionaries.filter { Self.wrappers.contains($0.name) && !$0.contents.tensors.isEmpty }
            guard found.count <= 1 else {
                throw WeightsError.twoStateDicts(source: path, names: found.map(\.name))
            }
            if let one = found.first {
                chosen = one.contents
                source += " ('\(one.name)')"
            }
            if let other = chosen.others.first {
                throw WeightsError.noStateDict(
                    source: source, key: other.name, kind: other.kind, dictionaries: file.dictionaries.map(\.name))
            }
        }
        var tensors = chosen.tensors
        while let prefix = Self.wrapperPrefixes.first(where: { prefix in
            !tensors.isEmpty && tensors.allSatisfy { $0.name.utf8.starts(with: prefix.utf8) }
        }) {
            tensors = tensors.map { (String($0.name.dropFirst(prefix.count)), $0.tensor) }
            source += " without '\(prefix)'"
        }
        var entries: [String: Entry] = [:]
        for (name, tensor) in tensors {
            guard entries.updateValue(Entry(tensor), forKey: name) == nil else {
                throw WeightsError.repeatedKey(source: source, key: name)
            }
        }
        self.init(source: source, entries: entries)
    }
}
