import Torch

extension Weights {
    /// The tensors of a state dict that Python wrote with `torch.save`.
    /// - Throws: `TorchError`, see `PickledTensors`; `WeightsError.repeatedKey`.
    public init(stateDict path: String) throws {
        try TorchRuntime.load()
        var entries: [String: Entry] = [:]
        for (name, tensor) in try PickledTensors(path: path).entries {
            guard entries.updateValue(Entry(tensor), forKey: name) == nil else {
                throw WeightsError.repeatedKey(source: path, key: name)
            }
        }
        self.init(source: path, entries: entries)
    }
}
