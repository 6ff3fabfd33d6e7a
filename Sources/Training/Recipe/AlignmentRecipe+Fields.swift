extension AlignmentRecipe: Recipe {
    /// In the order in which recipes are written.
    public static let fields: [RecipeField<AlignmentRecipe>] =
        [
            RecipeField("name", \.name),
            RecipeField("description", \.description),
        ] + RecipeField.paper + [
            RecipeField(choice: "data.images", \.data.images),
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
            RecipeField("loss.generatedTextWeight", \.loss.generatedTextWeight),
            RecipeField("loss.realTextWeight", \.loss.realTextWeight),
            RecipeField("training.steps", \.training.steps),
            RecipeField("training.epochs", \.training.epochs),
            RecipeField("training.batchSize", \.training.batchSize),
            RecipeField("training.microBatchSize", \.training.microBatchSize),
            RecipeField("training.learningRate", \.training.learningRate),
            RecipeField("training.weightDecay", \.training.weightDecay),
            RecipeField("training.restartPeriod", \.training.restartPeriod),
            RecipeField("training.restartMultiplier", \.training.restartMultiplier),
            RecipeField("training.warmupSteps", \.training.warmupSteps),
            RecipeField("training.clipNorm", \.training.clipNorm),
            RecipeField(choice: "training.precision", \.training.precision),
            RecipeField("training.seed", \.training.seed),
            RecipeField("training.validationEvery", \.training.validationEvery),
            RecipeField("training.checkpointEvery", \.training.checkpointEvery),
            RecipeField("training.logEvery", \.training.logEvery),
            RecipeField("training.keepCheckpoints", \.training.keepCheckpoints),
            RecipeField(choice: "evaluation.clipFlow", \.evaluation.clipFlow),
        ]
}

extension AlignmentRecipe {
    public static var freeKeys: Set<String> {
        [
            "name", "description", "paper.table", "paper.row", "paper.numbers", "training.steps", "training.epochs",
            "training.checkpointEvery", "training.keepCheckpoints", "data.maximumSkippedShare",
        ]
    }
}
