/// The stages of a demo, in the order in which they run.
struct DemoStages {
    let layout: DemoLayout
    let settings: DemoSettings
    let models: MiniatureModels
    /// Whether the small models are trained first.
    let trainsModels: Bool
    /// Whether only so far that every stage has something to read: a test of the way, not of the models.
    let trainsBriefly: Bool

    var all: [DemoStage] {
        (trainsModels ? training : []) + world + generation + [alignment] + DemoCaptioner.allCases.map(captioner)
            + DemoCaptioner.allCases.map(evaluation) + [
                gap, retrieval(aligned: false), retrieval(aligned: true), report,
            ]
    }

    /// Scenes of the demo come from a world of its own, so that none was seen when the small models were trained.
    private var world: [DemoStage] {
        [("train", settings.trainScenes), ("validation", settings.validationScenes), ("test", settings.testScenes)].map
        {
            split, count in
            DemoStage(
                "render-\(split)", "rendering \(count) \(split) scenes", makes: "\(layout.world)/\(split)",
                [
                    "miniature", "render", "--split", split, "--count", "\(count)", "--seed", "\(1000 + settings.seed)",
                    "--out", layout.world,
                ])
        }
    }

    private var generation: [DemoStage] {
        [("train", settings.trainScenes), ("validation", settings.validationScenes), ("test", settings.gapScenes)].map {
            split, count in
            DemoStage(
                "generate-\(split)", "generating \(count) images from \(split) captions",
                makes: layout.generated(split), continuation: .automatic,
                [
                    "generate", "--model", models.stableDiffusion, "--captions",
                    "\(layout.world)/prompts_\(split).jsonl",
                    "--out", layout.generated(split), "--limit", "\(count)", "--steps", "\(settings.generationSteps)",
                    "--guidance", "\(settings.guidance)", "--scheduler", "dpm++", "--seed", "\(settings.seed)",
                    "--image-format", "png",
                ])
        }
    }

    private func pairs(_ split: String) -> String { "\(layout.generated(split))/pairs.jsonl" }

    private var alignment: DemoStage {
        var arguments = [
            "align", "--recipe", settings.alignmentRecipe, "--model", models.clip, "--pairs", pairs("train"),
            "--validation", pairs("validation"), "--out", layout.alignment, "--cache", "\(layout.folder)/features",
            "--set", "training.steps=\(settings.alignmentSteps)", "--set", "training.batchSize=64",
            "--set", "training.restartPeriod=\(settings.alignmentSteps)",
            "--set", "training.learningRate=\(settings.alignmentLearningRate)",
            // The heads are full matrices and the pairs are few; the texts hold both images to their meaning (Sec. 3.1).
            "--set", "projection.learningRate=1e-4",
            "--set", "loss.realTextWeight=0.5", "--set", "loss.generatedTextWeight=0.5",
            "--set", "training.validationEvery=\(max(1, settings.alignmentSteps / 6))",
            "--set", "training.checkpointEvery=\(max(1, settings.alignmentSteps / 3))",
            "--set", "training.seed=\(settings.seed)",
        ]
        if let rank = settings.alignmentRank {
            arguments += ["--set", "adapter.rank=\(rank)", "--set", "adapter.alpha=\(2 * rank)"]
        }
        return DemoStage(
            "align", "aligning f_g with f_r", makes: layout.alignment, continuation: .resumeFlag, arguments)
    }

    private func captioner(_ kind: DemoCaptioner) -> DemoStage {
        DemoStage(
            "caption-\(kind.rawValue)", "training the captioner: \(kind.title)", makes: layout.captioner(kind.rawValue),
            continuation: .resumeFlag,
            [
                "train", "captioner", "--recipe", kind.rawValue, "--model", models.clip, "--language-model",
                models.languageModel, "--pairs", pairs("train"), "--validation", pairs("validation"), "--out",
                layout.captioner(kind.rawValue), "--cache", "\(layout.folder)/features",
            ] + (kind.needsAlignment ? ["--run", layout.alignment] : []) + captionerSettings)
    }

    /// The paper's captioner has GPT-2 and COCO; these are the sizes of the miniature. The same for every row.
    private var captionerSettings: [String] {
        [
            "training.steps=\(settings.captionerSteps)", "training.batchSize=64", "training.learningRate=1e-3",
            "training.warmupSteps=\(settings.captionerSteps / 20)", "training.seed=\(settings.seed)",
            "training.validationEvery=\(max(1, settings.captionerSteps / 8))",
            "training.checkpointEvery=\(max(1, settings.captionerSteps / 2))",
        ].flatMap { ["--set", $0] }
    }

    private func evaluation(_ kind: DemoCaptioner) -> DemoStage {
        let run = layout.captioner(kind.rawValue)
        return DemoStage(
            "evaluate-\(kind.rawValue)", "captioning \(settings.testScenes) held-out real scenes: \(kind.title)",
            makes: "\(run)/metrics.json",
            [
                "evaluate", "captioning", "--run", run, "--captions", "\(layout.world)/captions_test.json", "--images",
                "\(layout.world)/test", "--out", "\(run)/metrics.json", "--metrics", "bleu,rouge,cider",
            ])
    }

    private var gap: DemoStage {
        DemoStage(
            "gap", "measuring the gap between real and generated images", makes: "\(layout.alignment)/gap.json",
            [
                "evaluate", "gap", "--model", models.clip, "--run", layout.alignment, "--pairs", pairs("test"), "--out",
                "\(layout.alignment)/gap.json",
            ])
    }

    private func retrieval(aligned: Bool) -> DemoStage {
        let file = aligned ? "\(layout.alignment)/retrieval.json" : "\(layout.runs)/clip-retrieval.json"
        return DemoStage(
            aligned ? "retrieval-aligned" : "retrieval",
            "retrieval on held-out real scenes\(aligned ? ", aligned" : "")",
            makes: file,
            [
                "evaluate", "retrieval", "--model", models.clip, "--captions", "\(layout.world)/captions_test.json",
                "--images", "\(layout.world)/test", "--out", file,
            ] + (aligned ? ["--run", layout.alignment] : []))
    }

    private var report: DemoStage {
        DemoStage(
            "report", "writing the report", makes: layout.report,
            ["report"] + DemoCaptioner.allCases.map { layout.captioner($0.rawValue) } + [
                layout.alignment, "--images", "\(layout.world)/test", "--out", layout.report, "--title",
                "GMAIL in miniature",
            ])
    }
}
