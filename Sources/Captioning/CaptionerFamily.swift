import Alignment
import Files
import ModelFolders
import Synchronization
import Training

/// A family of captioners: a kind of recipe, a layout of `captioner.json`, and the model.
public struct CaptionerFamily: Sendable {
    /// The name in recipes.
    public let name: String
    /// Its recipe keys.
    let fields: [RecipeField<CaptionerRecipe>]
    let input: @Sendable (CaptionerRecipe) -> ImageInput
    let validate: @Sendable (CaptionerRecipe, RecipeCheck) throws -> Void
    /// The captioner that a recipe describes.
    let architecture: @Sendable (CaptionerRecipe, CaptionerSurroundings) -> any CaptionerArchitecture
    /// The captioner that a `captioner.json` describes.
    let read: @Sendable (CaptionerFile) throws -> any CaptionerArchitecture

    public init<Architecture: CaptionerArchitecture>(_ type: Architecture.Type) {
        typealias Settings = Architecture.Settings
        name = Architecture.family
        fields = Settings.fields.map(\.lifted)
        input = { $0.settings(Settings.self).input }
        validate = { recipe, check in try recipe.settings(Settings.self).validate(check) }
        architecture = { recipe, surroundings in Architecture(recipe.settings(Settings.self), surroundings) }
        read = { file in try file.decode(Architecture.self) }
    }

    /// All families, those that a program added first. A new one is a folder in Captioning and an entry in this list.
    public static var all: [CaptionerFamily] { list.withLock { $0 } }

    private static let list = Mutex<[CaptionerFamily]>([CaptionerFamily(ClipCapConfiguration.self)])

    /// Adds a family of a program; no other family may have its recipe keys.
    public static func add(_ family: CaptionerFamily) {
        list.withLock { list in
            let taken = Set(list.flatMap { $0.fields.map(\.key) })
            let own = family.fields.map(\.key)
            precondition(
                taken.isDisjoint(with: own), "recipe keys of two captioners: \(taken.intersection(own).sorted())")
            list.insert(family, at: 0)
        }
    }

    static func named(_ name: String) -> CaptionerFamily? {
        all.first { $0.name.utf8.elementsEqual(name.utf8) }
    }
}

/// A recipe key of a family of captioners.
public struct CaptionerField<Settings: CaptionerSettings>: Sendable {
    let lifted: RecipeField<CaptionerRecipe>

    private init<Value: RecipeValue>(
        _ key: String, _ type: Value.Type, _ get: @escaping @Sendable (Settings) -> Value,
        _ set: @escaping @Sendable (inout Settings, Value) -> Void
    ) {
        lifted = RecipeField(
            key, type, { get($0.settings(Settings.self)) }, { recipe, value in recipe.change { set(&$0, value) } })
    }

    private init<Value: RecipeValue>(_ key: String, _ path: WritableKeyPath<Settings, Value> & Sendable) {
        self.init(key, Value.self, { $0[keyPath: path] }, { $0[keyPath: path] = $1 })
    }

    public static func integer(_ key: String, _ path: WritableKeyPath<Settings, Int> & Sendable) -> Self {
        Self(key, path)
    }

    public static func number(_ key: String, _ path: WritableKeyPath<Settings, Double> & Sendable) -> Self {
        Self(key, path)
    }

    public static func flag(_ key: String, _ path: WritableKeyPath<Settings, Bool> & Sendable) -> Self {
        Self(key, path)
    }

    public static func text(_ key: String, _ path: WritableKeyPath<Settings, String> & Sendable) -> Self {
        Self(key, path)
    }

    /// One of the cases of an enum, by name.
    public static func choice<Value>(_ key: String, _ path: WritableKeyPath<Settings, Value> & Sendable) -> Self
    where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
        Self(key, Choice<Value>.self, { Choice(value: $0[keyPath: path]) }, { $0[keyPath: path] = $1.value })
    }
}
