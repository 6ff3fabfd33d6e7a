import Training

extension AlignmentRecipe: Recipe {
    /// In the order in which recipes are written.
    public static let fields: [RecipeField<AlignmentRecipe>] =
        [
            RecipeField("name", \.name),
            RecipeField("description", \.description),
        ] + RecipeField.paper + [
            RecipeField(choice: "data.images", \.data.images),
            RecipeField(choice: "data.half", \.data.half),
            RecipeField("data.maximumSkippedShare", \.data.maximumSkippedShare),
            RecipeField(choice: "adapter.kind", \.adapter.kind),
            RecipeField("adapter.rank", \.adapter.rank),
            RecipeField("adapter.alpha", \.adapter.alpha),
            RecipeField("adapter.dropout", \.adapter.dropout),
            RecipeField("adapter.targets", \.adapter.targets),
            RecipeField(choice: "projection.kind", \.projection.kind),
            RecipeField("projection.batchNormalization", \.projection.batchNormalization),
            RecipeField("projection.dimension", \.projection.dimension),
            RecipeField("projection.learningRate", \.projection.learningRate),
            RecipeField(choice: "loss.kind", \.loss.kind),
            RecipeField(choice: "loss.direction", \.loss.direction),
            RecipeField("loss.temperature", \.loss.temperature),
            RecipeField("loss.scale", \.loss.scale),
            RecipeField("loss.bias", \.loss.bias),
            RecipeField("loss.trainScale", \.loss.trainScale),
            RecipeField("loss.generatedTextWeight", \.loss.generatedTextWeight),
            RecipeField("loss.realTextWeight", \.loss.realTextWeight),
            RecipeField("loss.textTemperature", \.loss.textTemperature),
            RecipeField("loss.labelSmoothing", \.loss.labelSmoothing),
            RecipeField("loss.shortCaptionWeight", \.loss.shortCaptionWeight),
            RecipeField("loss.principalComponents", \.loss.principalComponents),
            RecipeField("text.trainPositions", \.text.trainPositions),
            RecipeField("text.learningRate", \.text.learningRate),
        ] + RecipeField.training(\.training, omitting: ["averageDecay"]) + [
            RecipeField(choice: "evaluation.clipFlow", \.evaluation.clipFlow)
        ]
}

extension AlignmentRecipe {
    public var freeKeys: Set<String> {
        training.freeKeys.union([
            "name", "description", "paper.table", "paper.row", "paper.numbers", "data.maximumSkippedShare",
        ])
    }
}
