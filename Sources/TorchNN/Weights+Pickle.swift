import Torch

extension Weights {
    /// Names under which training programs store the state dict beside their other state (Lightning and open_clip; MAE,
    /// BEiT and many others).
    private static let wrappers = ["state_dict", "model"]
    /// The prefix that `DataParallel` and `DistributedDataParallel` put before every name.
    private static let parallelPrefix = "module."

    /// The tensors of a state dict that Python wrote with `torch.save`, alone or in a checkpoint under `state_dict` or `model`;
    /// where every name begins with `module.`, without it. `source` says what was taken off.
    /// - Throws: `TorchError`, `FileError`, see `PickledTensors`; `WeightsError.repeatedKey`, `.noStateDict`, `.twoStateDicts`.
    public init(stateDict path: String) throws {
        try TorchRuntime.load()
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
        if !tensors.isEmpty, tensors.allSatisfy({ $0.name.utf8.starts(with: Self.parallelPrefix.utf8) }) {
            tensors = tensors.map { (String($0.name.dropFirst(Self.parallelPrefix.count)), $0.tensor) }
            source += " without '\(Self.parallelPrefix)'"
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
