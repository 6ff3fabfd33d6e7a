/// One proposition of a caption: an object, an object with an attribute, or two objects in a relation.
///
/// Words are lemmas as in the scene graph (`"tennis"`, `"stand in front of"`).
public enum SceneTuple: Hashable, Sendable {
    case object(String)
    case attribute(object: String, attribute: String)
    case relation(subject: String, relation: String, object: String)
}

extension SceneTuple: CustomStringConvertible {
    /// The tuple in reading order, as `man`, `man-young` or `man-ride-horse`.
    public var description: String {
        switch self {
        case .object(let object): object
        case .attribute(let object, let attribute): "\(object)-\(attribute)"
        case .relation(let subject, let relation, let object): "\(subject)-\(relation)-\(object)"
        }
    }
}
