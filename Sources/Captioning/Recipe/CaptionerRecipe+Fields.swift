import Training

extension CaptionerRecipe: Recipe {
    /// In the order in which recipes are written.
    public static var fields: [RecipeField<CaptionerRecipe>] {
        [
            RecipeField("name", \.name),
            RecipeField("description", \.description),
        ] + RecipeField.paper + [
            RecipeField(choice: "data.source", \.data.source),
            RecipeField(choice: "data.half", \.data.half),
            RecipeField("data.maximumSkippedShare", \.data.maximumSkippedShare),
            RecipeField(choice: "captions.ending", \.captions.ending),
            RecipeField("captions.trim", \.captions.trim),
            RecipeField("captions.ignoreTokenZero", \.captions.ignoreTokenZero),
            RecipeField("captions.maximumTokens", \.captions.maximumTokens),
            RecipeField("captioner.kind", \.captioner.kind),
        ] + CaptionerFamily.all.flatMap(\.fields) + [
            RecipeField("languageModel.frozen", \.languageModel.frozen),
            RecipeField("languageModel.dropout", \.languageModel.dropout),
        ] + RecipeField.training(\.training, omitting: ["averageDecay"]) + [
            RecipeField(choice: "generation.method", \.generation.method),
            RecipeField("generation.beams", \.generation.beams),
            RecipeField("generation.maximumTokens", \.generation.maximumTokens),
            RecipeField("generation.lengthPenalty", \.generation.lengthPenalty),
        ]
    }

    /// Recipes are equal if their text is.
    public static func == (a: CaptionerRecipe, b: CaptionerRecipe) -> Bool { a.yaml == b.yaml }

    public func foreignKind(of key: String) -> String? {
        let owners = CaptionerFamily.all.filter { $0.fields.contains { $0.key == key } }.map(\.name)
        guard !owners.isEmpty, !owners.contains(captioner.kind) else { return nil }
        return "captioner.kind \(owners.joined(separator: " or "))"
    }

    public var freeKeys: Set<String> {
        training.freeKeys.union([
            "name", "description", "paper.table", "paper.row", "paper.numbers", "data.maximumSkippedShare",
            "generation.method", "generation.beams", "generation.maximumTokens", "generation.lengthPenalty",
        ])
    }

    /// The files of `Recipes/`, compiled into the program.
    public static let shipped: [String: [UInt8]] = [
        "aligned-elsewhere": PackageResources.aligned_elsewhere_yaml,
        "clipcap-original": PackageResources.clipcap_original_yaml,
        "clipcap-original-transformer": PackageResources.clipcap_original_transformer_yaml,
        "generated": PackageResources.generated_yaml,
        "gmail": PackageResources.gmail_yaml,
        "gmail-plus-real": PackageResources.gmail_plus_real_yaml,
        "mixed": PackageResources.mixed_yaml,
        "real": PackageResources.real_yaml,
    ]
}
