import Files
import Torch
import TorchNN

extension LoRAAdapter {
    /// Puts an adapter that was written by PEFT or by `save(to:)` into `model`.
    ///
    /// It may have been made for the whole model, or for a part of it that does not appear in PEFT's names
    /// (`CLIPVisionModel`, `CLIPTextModel`, `GPT2Model`). `summary` tells what it changes.
    /// - Parameters:
    ///   - folder: holds `adapter_config.json` and `adapter_model.safetensors` (or `.bin`).
    ///   - leavingOut: paths of parts of the model, such as `text_model`, whose changes are left out and named in
    ///     `summary`. A part that is neither in the model nor listed here is an error.
    ///   - isTrainable: whether `A` and `B` record gradients afterwards.
    ///   - dropoutGenerator: draws dropout masks; needed when training continues with a dropout above 0.
    /// - Throws: `AdapterError`, `FileError`, `JSONFileError`, `SafetensorsError`, `TorchError`; then the model
    ///   computes what it did before.
    public convenience init(
        loadingInto model: Module, folder: String, leavingOut: [String] = [], isTrainable: Bool = false,
        dropoutGenerator: Generator? = nil
    ) throws {
        let files = try PEFTFiles.weightFiles(in: folder)
        let settings = try PEFTConfiguration("\(folder)/\(PEFTFiles.configuration)")
        var weights = try Weights(files)
        weights.renameKeys { key in
            // Between two versions of PEFT, magnitudes were a layer of their own.
            key.hasSuffix(".lora_magnitude_vector.weight") ? String(key.dropLast(".weight".count)) : nil
        }
        let view = try Self.view(
            of: weights, settings, model: model, folder: folder, leavingOut: leavingOut)
        let leftOut = Self.leaveOut(leavingOut, of: &weights, view)
        if weights.entries.isEmpty, !leftOut.isEmpty {
            throw AdapterError.nothingToApply(folder: folder, parts: leftOut)
        }
        let plan = try AdapterPlan(model, settings.lora, view: view, leavingOut: leavingOut)
        if isTrainable, let fixed = settings.lora.fixedPart ?? plan.updates.first(where: \.isFolded)?.path {
            throw AdapterError.notTrainable(folder: folder, what: fixed)
        }
        let entries = try Self.matched(weights, plan.expected)
        try self.init(
            model, settings.lora, plan, view: view, modelClass: settings.modelClass, leftOut: leftOut,
            tensors: Self.tensors(entries, of: weights), dropoutGenerator: dropoutGenerator, isTrainable: isTrainable)
    }

    /// For which part of the model the adapter was made.
    private static func view(
        of weights: Weights, _ settings: PEFTConfiguration, model: Module, folder: String, leavingOut: [String]
    ) throws -> AdapterView {
        let names = weights.entries.keys.filter { $0.hasPrefix(PEFTFiles.prefix) }
            .map { String($0.dropFirst(PEFTFiles.prefix.count)) }
        let updated = names.compactMap { name in name.firstRange(of: ".lora_").map { String(name[..<$0.lowerBound]) } }
        return try AdapterView.find(
            folder: folder, names: Set(updated), tops: Set(names.map(AdapterView.top)), model: model,
            modelClass: settings.modelClass, leavingOut: leavingOut
        ) { view in
            do {
                let plan = try AdapterPlan(model, settings.lora, view: view, leavingOut: leavingOut)
                return mismatch(weights, plan.expected).isEmpty
            } catch is AdapterError {
                return false  // It is no view of this adapter; the one that is taken says what is wrong.
            }
        }
    }

    /// Removes the tensors of parts that the caller leaves out.
    /// - Returns: the parts that had some.
    private static func leaveOut(_ parts: [String], of weights: inout Weights, _ view: AdapterView) -> [String] {
        var found: [String] = []
        for key in weights.entries.keys where key.hasPrefix(PEFTFiles.prefix) {
            let path = view.path(of: String(key.dropFirst(PEFTFiles.prefix.count)))
            guard let part = parts.first(where: { AdapterPlan.isWithin($0, path) }) else { continue }
            weights.entries[key] = nil
            if !found.contains(part) { found.append(part) }
        }
        return found.sorted()
    }

    /// Overwrites `A` and `B` with those of an `adapter_model.safetensors`, strictly both ways, to resume a run.
    ///
    /// The tensors stay the same objects, so an optimizer that holds them can continue. It is for adapters that are
    /// trained here, which hold nothing else; unmerge first.
    /// - Throws: `AdapterError.mismatch` with all differences, `SafetensorsError`; then nothing has changed.
    public func loadTensors(from path: String) throws {
        precondition(
            replaced.isEmpty && !layers.contains { $0.layer.isMerged },
            "an adapter is unmerged, and trained here, before other weights are loaded into it")
        let weights = try Weights(path: path)
        let parameters = state
        let ranks = layers.flatMap { [$0.layer.down.size(0), $0.layer.down.size(0)] }
        let entries = try Self.matched(
            weights, zip(parameters, ranks).map { .init(key: $0.key, shape: $0.tensor.shape, rank: $1) })
        withoutGradients {
            for parameter in parameters { parameter.tensor.copy(from: entries[parameter.key]!.tensor()) }
        }
    }

    /// All differences between a file and what is expected of it.
    private static func mismatch(_ weights: Weights, _ expected: [AdapterPlan.Expected]) -> AdapterMismatch {
        var mismatch = AdapterMismatch(file: weights.source)
        var unused = Set(weights.entries.keys)
        for tensor in expected {
            guard let entry = weights[tensor.key] else {
                if !tensor.isIgnored { mismatch.missing.append("\(tensor.key) \(tensor.shape)") }
                continue
            }
            unused.remove(tensor.key)
            if tensor.isIgnored { continue }
            if entry.shape != tensor.shape {
                mismatch.misshapen.append(
                    .init(key: tensor.key, expected: tensor.shape, got: entry.shape, rank: tensor.rank))
            } else if !entry.dtype.isFloatingPoint {
                mismatch.mistyped.append("\(tensor.key) \(entry.dtype)")
            }
        }
        mismatch.unused = unused.sorted().map { "\($0) \(weights[$0]?.shape ?? [])" }
        return mismatch
    }

    /// Only the entries that are expected.
    private static func matched(
        _ weights: Weights, _ expected: [AdapterPlan.Expected]
    ) throws -> [String: Weights.Entry] {
        let mismatch = mismatch(weights, expected)
        guard mismatch.isEmpty else { throw AdapterError.mismatch(mismatch) }
        return weights.entries
    }

    /// Tensors with memory of their own, because the file may change while the model is used.
    private static func tensors(_ entries: [String: Weights.Entry], of weights: Weights) throws -> [String: Tensor] {
        var tensors: [String: Tensor] = [:]
        try withoutGradients {
            for (key, entry) in entries {
                let tensor = entry.tensor().clone()
                if tensor.dtype.isFloatingPoint, !tensor.to(.float32).isFinite().all() {
                    throw AdapterError.notFinite(file: weights.source, key: key)
                }
                tensors[key] = tensor
            }
        }
        return tensors
    }

    /// Writes `adapter_config.json` and `adapter_model.safetensors`, which `peft.PeftModel.from_pretrained` reads
    /// unchanged.
    /// - Parameters:
    ///   - folder: is created if it does not exist.
    ///   - baseModel: `base_model_name_or_path`: the model to which the adapter belongs.
    public func save(to folder: String, baseModel: String? = nil) throws {
        try FileSystem.createFolder(folder)
        let json = configuration.peftJSON(
            baseModel: baseModel, modelClass: modelClass, hasInputFirst: hasInputFirst)
        try AtomicFile.write(json, to: "\(folder)/\(PEFTFiles.configuration)")
        // PEFT marks its files like this; some readers refuse a file without the mark.
        try Weights.save(stateTensors, metadata: ["format": "pt"], to: "\(folder)/\(PEFTFiles.weights)")
    }

    /// Every tensor of the adapter under PEFT's key.
    public var stateTensors: [(key: String, tensor: Tensor)] { state + fixedTensors }

    /// `A` and `B` of every layer under PEFT's key.
    private var state: [(key: String, tensor: Tensor)] {
        namedParameters().map { (PEFTFiles.prefix + (view.name(of: $0.key) ?? $0.key), $0.tensor) }
    }
}
