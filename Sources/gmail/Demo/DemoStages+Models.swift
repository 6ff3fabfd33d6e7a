extension DemoStages {
    /// The small models, where they are trained first.
    var training: [DemoStage] {
        func stage(_ kind: String, _ title: String, briefly steps: Int, _ inputs: [String] = []) -> DemoStage {
            let run = models.run(of: kind)
            let changes =
                trainsBriefly
                ? ["training.steps=\(steps)", "data.scenes=512", "data.validationScenes=64"].flatMap { ["--set", $0] }
                : []
            return DemoStage(
                "train-\(kind)", "training \(title)", makes: run, continuation: .resumeFlag,
                ["miniature", "train", kind, "--out", run] + inputs + changes)
        }
        return [
            stage("clip", "the small CLIP", briefly: 120),
            stage("autoencoder", "the small autoencoder", briefly: 200),
            stage(
                "unet", "the small denoiser", briefly: 400,
                ["--clip", models.clip, "--autoencoder", "\(models.run(of: "autoencoder"))/model"]
            ),
            stage("language-model", "the small GPT-2", briefly: 150),
        ]
    }
}
