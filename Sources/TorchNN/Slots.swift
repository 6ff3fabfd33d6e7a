import Torch

/// A trainable tensor of a `Module`, stored in files under `key`.
@propertyWrapper
public final class Parameter: ModuleSlot {
    public let key: String
    private var value: Tensor?

    /// The module's initialiser must set the property after `super.init()`.
    public init(_ key: String) { self.key = key }

    public var wrappedValue: Tensor {
        get { value ?? unset(key) }
        set { value = newValue }
    }

    func tensors(prefix: String) -> [NamedTensor] {
        [NamedTensor(key: join(prefix, key), tensor: wrappedValue, kind: .parameter) { self.wrappedValue = $0 }]
    }
    func modules(prefix: String) -> [(path: String, module: Module)] { [] }
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String] { [] }
}

/// A trainable tensor that a configuration may leave out (a bias).
@propertyWrapper
public final class OptionalParameter: ModuleSlot {
    public let key: String
    public var wrappedValue: Tensor?

    public init(_ key: String) { self.key = key }

    func tensors(prefix: String) -> [NamedTensor] {
        guard let tensor = wrappedValue else { return [] }
        return [NamedTensor(key: join(prefix, key), tensor: tensor, kind: .parameter) { self.wrappedValue = $0 }]
    }
    func modules(prefix: String) -> [(path: String, module: Module)] { [] }
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String] { [] }
}

/// A tensor that belongs to the state but is not trained (running statistics), or one derived from the configuration
/// (`position_ids`), which files may or may not have.
@propertyWrapper
public final class Buffer: ModuleSlot {
    public let key: String
    public let isDerived: Bool
    private var value: Tensor?

    public init(_ key: String, derived: Bool = false) {
        self.key = key
        self.isDerived = derived
    }

    public var wrappedValue: Tensor {
        get { value ?? unset(key) }
        set { value = newValue }
    }

    func tensors(prefix: String) -> [NamedTensor] {
        [
            NamedTensor(key: join(prefix, key), tensor: wrappedValue, kind: isDerived ? .derived : .buffer) {
                self.wrappedValue = $0
            }
        ]
    }
    func modules(prefix: String) -> [(path: String, module: Module)] { [] }
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String] { [] }
}

/// A module inside a `Module`, under `key`.
@propertyWrapper
public final class Child<Value: Module>: ModuleSlot {
    public let key: String
    private var value: Value?

    public init(_ key: String) { self.key = key }

    public var wrappedValue: Value {
        get { value ?? unset(key) }
        set { value = newValue }
    }

    func tensors(prefix: String) -> [NamedTensor] { wrappedValue.namedTensors(prefix: join(prefix, key)) }
    func modules(prefix: String) -> [(path: String, module: Module)] { [(join(prefix, key), wrappedValue)] }
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String] {
        let path = join(prefix, key)
        guard let replacement = try make(path, wrappedValue) else {
            return try wrappedValue.replaceModules(prefix: path, make)
        }
        wrappedValue = try fitting(replacement, path)
        return [path]
    }
}

/// A list of modules inside a `Module`, under `key.0`, `key.1`, …
@propertyWrapper
public final class Children<Value: Module>: ModuleSlot {
    public let key: String
    public var wrappedValue: [Value] = []

    public init(_ key: String) { self.key = key }

    func tensors(prefix: String) -> [NamedTensor] {
        modules(prefix: prefix).flatMap { $0.module.namedTensors(prefix: $0.path) }
    }
    func modules(prefix: String) -> [(path: String, module: Module)] {
        wrappedValue.enumerated().map { (join(join(prefix, key), String($0.offset)), $0.element) }
    }
    func replaceModules(prefix: String, _ make: (String, Module) throws -> Module?) throws -> [String] {
        var replaced: [String] = []
        for (index, entry) in modules(prefix: prefix).enumerated() {
            if let replacement = try make(entry.path, entry.module) {
                wrappedValue[index] = try fitting(replacement, entry.path)
                replaced.append(entry.path)
            } else {
                replaced += try entry.module.replaceModules(prefix: entry.path, make)
            }
        }
        return replaced
    }
}

/// A module that forgot to set a slot in its initialiser.
private func unset<Value>(_ key: String) -> Value {
    preconditionFailure("the slot '\(key)' of a module was read before its initialiser set it")
}

private func fitting<Value: Module>(_ module: Module, _ path: String) throws -> Value {
    guard let fitting = module as? Value else {
        throw ModuleError.unfittingReplacement(path: path, expected: "\(Value.self)", got: "\(type(of: module))")
    }
    return fitting
}

/// A replacement that does not fit where it was put.
public enum ModuleError: Error, CustomStringConvertible {
    case unfittingReplacement(path: String, expected: String, got: String)

    public var description: String {
        switch self {
        case .unfittingReplacement(let path, let expected, let got):
            "module '\(path)' takes a \(expected), a \(got) was given"
        }
    }
}
