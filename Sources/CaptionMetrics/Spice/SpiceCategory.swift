/// The parts for which SPICE is reported, beside the score over all tuples.
public enum SpiceCategory: String, CaseIterable, Sendable, Codable {
    case relation = "Relation"
    case attribute = "Attribute"
    case object = "Object"
    case color = "Color"
    case size = "Size"
    case cardinality = "Cardinality"

    /// Attributes that count as numbers.
    static let numbers: Set<String> = [
        "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ]

    /// Attributes that count as colours, found by asking the reference tool about every word of the COCO captions.
    static let colors: Set<String> = [
        "beige", "black", "blue", "brown", "cream", "dark", "gray", "green", "grey", "light", "maroon", "orange",
        "pink",
        "purple", "red", "violet", "white", "yellow",
    ]

    /// Attributes that count as sizes, found in the same way.
    static let sizes: Set<String> = [
        "baby", "beefy", "big", "bony", "broad", "bulky", "chunky", "colossal", "compact", "cosmic", "cubby", "curvy",
        "emaciated", "endless", "enormous", "epic", "expansive", "extensive", "fat", "full-size", "gargantuan", "gaunt",
        "giant", "gigantic", "grand", "great", "heavy", "hefty", "huge", "immense", "lanky", "large", "lean",
        "life-size", "little", "mammoth", "massive", "meager", "measly", "mini", "miniature", "minuscule", "minute",
        "narrow", "obese", "oversize", "overweight", "petite", "plump", "portly", "pudgy", "scanty", "scrawny", "short",
        "sizable", "skeletal", "skimpy", "skinny", "slender", "slim", "small", "squat", "stocky", "stout", "strapping",
        "sturdy", "tall", "teeny", "thick", "thin", "tiny", "towering", "trim", "undersized", "underweight", "vast",
        "wee", "whopping", "wide",
    ]

    /// Whether a merged tuple belongs to this part. A merged attribute (`gray/grey`) is no longer one of the listed
    /// words, and the reference tool leaves it out of the colour, size and number parts; so do we.
    func contains(_ proposition: SceneGraph.Proposition, text: (SceneConcept) -> String) -> Bool {
        switch self {
        case .object: proposition.count == 1
        case .attribute: proposition.count == 2
        case .relation: proposition.count == 3
        case .color: proposition.count == 2 && Self.colors.contains(text(proposition[1]))
        case .size: proposition.count == 2 && Self.sizes.contains(text(proposition[1]))
        case .cardinality: proposition.count == 2 && Self.numbers.contains(text(proposition[1]))
        }
    }
}
