import CTorch

/// A source of random numbers with its own state; equal seeds on equal devices give equal numbers.
///
/// Every random operation takes one. There is no global seed, so no part of a program changes the numbers that another
/// draws.
public final class Generator {
    let handle: CTGenerator
    public let device: Device

    public init(seed: UInt64, device: Device = .cpu, file: StaticString = #fileID, line: UInt = #line) {
        var out: CTGenerator?
        let status = ct_generator_new(device.code, seed, &out)
        guard status == CT_OK, let out else {
            fatalError("libtorch: \(TorchError.current(status))", file: file, line: line)
        }
        self.handle = out
        self.device = device
    }

    deinit {
        ct_generator_free(handle)
    }

    /// The whole state as bytes (uint8), for a checkpoint; setting it continues the same sequence.
    public var state: [UInt8] {
        get {
            var out: CTTensor?
            let status = ct_generator_state(handle, &out)
            guard status == CT_OK, let out else { fatalError("libtorch: \(TorchError.current(status))") }
            return Tensor(owning: out).array()
        }
        set {
            let state = Tensor(newValue)
            // A temporary could be freed after its handle is read and before the call returns.
            let status = withExtendedLifetime(state) { ct_generator_set_state(handle, state.handle) }
            guard status == CT_OK else { fatalError("libtorch: \(TorchError.current(status))") }
        }
    }
}
