import Torch
import TorchNN

/// A tensor of a model for which an adapter has another value: a folded update, a bias, a part of a module stored as a
/// whole.
struct ReplacedTensor {
    private let slot: NamedTensor
    private let base: Tensor
    private let value: Tensor

    func setEnabled(_ on: Bool) { slot.replace(on ? value : base) }

    /// - Parameters:
    ///   - model: with the adapter's layers in place, and with its own tensors in the others.
    ///   - tensors: the tensors of the adapter's file, all that `plan` expects.
    static func all(_ plan: AdapterPlan, in model: Module, _ tensors: [String: Tensor]) -> [ReplacedTensor] {
        let slots = Dictionary(uniqueKeysWithValues: model.namedTensors().map { ($0.key, $0) })
        var values: [(key: String, value: Tensor)] = []
        for (key, fileKey) in plan.replaced {
            guard let tensor = tensors[fileKey] else { continue }
            values.append((key, tensor))
        }
        for update in plan.updates {
            let names = update.form.names
            func tensor(_ name: String) -> Tensor? { tensors[PEFTFiles.key(update.name, name)] }
            if update.isFolded, let weight = slots["\(update.path).weight"]?.tensor, let down = tensor(names.down),
                let up = tensor(names.up)
            {
                let value = update.form.updated(
                    weight, down: down.to(weight.device), up: up.to(weight.device), scale: update.scale,
                    magnitude: tensor(names.magnitude)?.to(weight.device))
                values.append(("\(update.path).weight", value))
            }
            // The bias of `B` is added to the layer's own, which may itself come from the file.
            guard let added = tensor(names.upBias), let own = slots["\(update.path).bias"]?.tensor else { continue }
            let index = values.firstIndex { $0.key == "\(update.path).bias" }
            let bias = index.map { values[$0].value } ?? own
            let sum = withoutGradients {
                bias.to(own.device).to(.float32) + added.to(own.device).to(.float32) * update.scale
            }
            if let index { values[index].value = sum } else { values.append(("\(update.path).bias", sum)) }
        }
        return values.compactMap { key, value in
            slots[key].map { slot in
                let base = slot.tensor
                return ReplacedTensor(
                    slot: slot, base: base, value: withoutGradients { value.to(base.dtype).to(base.device) })
            }
        }
    }
}
