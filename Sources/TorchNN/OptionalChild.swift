/// A module that a configuration may leave out (a shortcut where the channels stay the same).
@propertyWrapper
public final class OptionalChild<Value: Module>: ModuleSlot {
    public let key: String
    public var wrappedValue: Value?

    public init(_ key: String) { self.key = key }

    func tensors(prefix: String) -> [NamedTensor] { wrappedValue?.namedTensors(prefix: join(prefix, key)) ?? [] }
    func modules(prefix: String) -> [(path: String, module: Module)] {
        wrappedValue.map { [(join(prefix, key), $0)] } ?? []
    }
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String] {
        guard let module = wrappedValue else { return [] }
        let path = join(prefix, key)
        guard let replacement = try make(path, module) else { return try module.replaceModules(prefix: path, make) }
        guard let fitting = replacement as? Value else {
            throw ModuleError.unfittingReplacement(
                path: path, expected: "\(Value.self)", got: "\(type(of: replacement))")
        }
        wrappedValue = fitting
        return [path]
    }
}
