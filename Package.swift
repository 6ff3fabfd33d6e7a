// swift-tools-version: 6.1
import PackageDescription

// A target imports only targets on earlier lines; docs/architecture.md draws the house.
let package = Package(
    name: "gmail",
    products: [
        .executable(name: "gmail", targets: ["gmail"]),
        .library(name: "Files", targets: ["Files"]),
        .library(name: "Randomness", targets: ["Randomness"]),
        .library(name: "StrictJSON", targets: ["StrictJSON"]),
        .library(name: "Safetensors", targets: ["Safetensors"]),
        .library(name: "ModelFolders", targets: ["ModelFolders"]),
        .library(name: "Torch", targets: ["Torch"]),
        .library(name: "TorchNN", targets: ["TorchNN"]),
        .library(name: "TorchOptim", targets: ["TorchOptim"]),
        .library(name: "Tokenizers", targets: ["Tokenizers"]),
        .library(name: "Images", targets: ["Images"]),
        .library(name: "CaptionFiles", targets: ["CaptionFiles"]),
        .library(name: "CaptionMetrics", targets: ["CaptionMetrics"]),
        .library(name: "Encoders", targets: ["Encoders"]),
        .library(name: "Adapters", targets: ["Adapters"]),
        .library(name: "Diffusion", targets: ["Diffusion"]),
        .library(name: "LanguageModels", targets: ["LanguageModels"]),
        .library(name: "Datasets", targets: ["Datasets"]),
        .library(name: "Training", targets: ["Training"]),
        .library(name: "Synthesis", targets: ["Synthesis"]),
        .library(name: "Alignment", targets: ["Alignment"]),
        .library(name: "Captioning", targets: ["Captioning"]),
        .library(name: "Evaluation", targets: ["Evaluation"]),
        .library(name: "Report", targets: ["Report"]),
        .plugin(name: "TorchShim", targets: ["TorchShim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        // F0
        .target(
            name: "CImageCodecs",
            linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("webp")]),
        // The C face of libtorch: headers and the loader. shim/ is compiled against libtorch by scripts/build-torch-shim.sh.
        .target(name: "CTorch", exclude: ["shim"]),
        .target(name: "CHash"),
        // Ranks inside a matrix product, for Evaluation.
        .target(name: "CScores"),
        .target(name: "Randomness"),
        .target(name: "Files", dependencies: ["CHash"]),
        .target(name: "Terminal", dependencies: ["Files"]),
        .target(name: "StrictJSON", dependencies: ["Files"]),
        .target(name: "Safetensors", dependencies: ["Files", "StrictJSON"]),
        .target(name: "ModelFolders", dependencies: ["Files", "StrictJSON"]),
        .target(name: "CaptionFiles", dependencies: ["Files"]),
        // F1
        .target(name: "Torch", dependencies: ["CTorch", "Files"]),
        .target(name: "TorchNN", dependencies: ["Torch", "Safetensors", "ModelFolders"]),
        .target(name: "TorchOptim", dependencies: ["Torch", "TorchNN"]),
        // F2
        .target(name: "Tokenizers", dependencies: ["Files", "StrictJSON", "ModelFolders"]),
        .target(name: "Images", dependencies: ["Files", "StrictJSON", "CImageCodecs"]),
        .target(
            name: "CaptionMetrics", dependencies: ["Files", "CaptionFiles", "Safetensors"],
            resources: [.copy("Resources/spice-parser.bin")]),
        // F3
        .target(
            name: "Encoders",
            dependencies: ["Files", "ModelFolders", "Torch", "TorchNN", "StrictJSON", "Images", "Tokenizers"]),
        .target(name: "Adapters", dependencies: ["Files", "ModelFolders", "Torch", "TorchNN", "StrictJSON"]),
        .target(
            name: "Diffusion",
            dependencies: [
                "Files", "Torch", "TorchNN", "ModelFolders", "StrictJSON", "Images", "Tokenizers", "Encoders",
            ]),
        .target(
            name: "LanguageModels",
            dependencies: ["Files", "ModelFolders", "Torch", "TorchNN", "Safetensors", "StrictJSON", "Tokenizers"]),
        // F4
        .target(
            name: "Datasets",
            dependencies: ["Files", "CaptionFiles", "Randomness", "StrictJSON", "Safetensors", "Images"]),
        .target(
            name: "Training",
            dependencies: [
                "Files", "Terminal",
                "Torch", "TorchNN", "TorchOptim", "Safetensors", "StrictJSON", "Datasets", "Images",
                .product(name: "Yams", package: "Yams"),
            ]),
        // F5
        .target(
            name: "Alignment",
            dependencies: [
                "Files", "Terminal",
                "ModelFolders", "Torch", "TorchNN", "TorchOptim", "Safetensors", "Encoders", "Adapters", "Datasets",
                "Training", "Images",
            ],
            resources: [.embedInCode("Recipes")]),
        .target(
            name: "Synthesis",
            dependencies: [
                "Files", "Terminal",
                "CaptionFiles", "StrictJSON", "Images", "Diffusion", "Datasets",
            ]),
        .target(
            name: "Miniature",
            dependencies: [
                "Files", "ModelFolders", "Terminal",
                "Torch", "TorchNN", "TorchOptim", "Encoders", "Diffusion", "LanguageModels", "Images", "Tokenizers",
                "Safetensors", "StrictJSON", "Datasets", "Training",
                "Randomness",
            ],
            resources: [.embedInCode("Recipes")]),
        // F6
        .target(
            name: "Captioning",
            dependencies: [
                "Files", "Terminal", "ModelFolders",
                "Torch", "TorchNN", "TorchOptim", "Safetensors", "StrictJSON", "Encoders", "LanguageModels", "Datasets",
                "Training", "Alignment", "Tokenizers", "Images",
            ],
            resources: [.embedInCode("Recipes")]),
        // F7
        .target(
            name: "Evaluation",
            dependencies: [
                "Files", "Terminal", "ModelFolders", "CScores", "Randomness", "Torch", "CaptionFiles", "CaptionMetrics",
                "Images", "Encoders", "Datasets", "Alignment", "Captioning",
            ]),
        // F8
        .target(
            name: "Report",
            dependencies: [
                "Files",
                "StrictJSON", "Safetensors", "Images", "Training", "Evaluation",
                .product(name: "Yams", package: "Yams"),
            ]),
        // F9
        .executableTarget(
            name: "gmail",
            dependencies: [
                "Files", "Terminal", "StrictJSON", "Safetensors", "Torch", "TorchNN", "Images", "CaptionFiles",
                "CaptionMetrics", "Encoders", "Datasets", "Training", "Alignment", "Miniature", "Evaluation", "Report",
                "Diffusion", "Synthesis", "Captioning",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Builds the shim for packages that depend on this one.
        .plugin(
            name: "TorchShim",
            capability: .command(
                intent: .custom(
                    verb: "torch-shim", description: "Builds the library that binds libtorch, for programs of this user"
                ),
                permissions: [
                    .allowNetworkConnections(
                        scope: .all(ports: [443]), reason: "to get libtorch out of its wheel, where --torch names none")
                ])),

        // Folders that go away, seeded numbers, and where the larger parity data lies.
        .target(name: "TestSupport", dependencies: ["Files"], path: "Tests/TestSupport"),
        .testTarget(name: "FilesTests", dependencies: ["Files", "TestSupport"]),
        .testTarget(name: "StrictJSONTests", dependencies: ["StrictJSON", "TestSupport"]),
        .testTarget(
            name: "SafetensorsTests", dependencies: ["Safetensors", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "CaptionFilesTests", dependencies: ["CaptionFiles", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "RandomnessTests", dependencies: ["Randomness"], resources: [.copy("Fixtures")]),
        .testTarget(name: "ModelFoldersTests", dependencies: ["ModelFolders", "TestSupport"]),
        .testTarget(name: "TorchTests", dependencies: ["Torch"]),
        .testTarget(
            name: "TorchNNTests", dependencies: ["TorchNN", "Torch", "Files", "Safetensors", "TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "TorchOptimTests", dependencies: ["TorchOptim"]),
        .testTarget(name: "EncodersTests", dependencies: ["Encoders", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "AdaptersTests",
            dependencies: ["Adapters", "Encoders", "LanguageModels", "TorchOptim", "TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "DiffusionTests", dependencies: ["Diffusion", "StrictJSON", "TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "LanguageModelsTests", dependencies: ["LanguageModels", "TorchOptim", "TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(
            name: "AlignmentTests", dependencies: ["Alignment", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "CaptioningTests", dependencies: ["Captioning", "CaptionMetrics"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "TokenizersTests", dependencies: ["Tokenizers", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(name: "ImagesTests", dependencies: ["Images", "TestSupport"], resources: [.copy("Fixtures")]),
        .testTarget(
            name: "DoorTests",
            dependencies: [
                "TestSupport", "Files", "Terminal", "StrictJSON", "ModelFolders", "Torch", "TorchNN", "Images",
                "Datasets",
                "Encoders", "Tokenizers", "LanguageModels", "Training", "Alignment", "Captioning", "Evaluation",
                "CaptionFiles", "CaptionMetrics", "Diffusion", "Miniature",
            ]),
        .testTarget(name: "SynthesisTests", dependencies: ["Synthesis", "TestSupport"]),
        .testTarget(name: "MiniatureTests", dependencies: ["Miniature", "Evaluation"]),
        .testTarget(
            name: "EvaluationTests", dependencies: ["Evaluation", "Randomness", "CaptionFiles", "TestSupport"],
            resources: [.copy("Fixtures")]),
        .testTarget(name: "DatasetsTests", dependencies: ["Datasets", "Randomness"], resources: [.copy("Fixtures")]),
        .testTarget(name: "ReportTests", dependencies: ["Report"]),
        .testTarget(
            name: "TrainingTests",
            dependencies: ["Training", "TrainingTestSupport", "training-crash-helper"],
            resources: [.copy("Fixtures")]),
        .target(name: "TrainingTestSupport", dependencies: ["Training"], path: "Tests/TrainingTestSupport"),
        // A small training run that TrainingTests kills again and again.
        .executableTarget(
            name: "training-crash-helper", dependencies: ["TrainingTestSupport"], path: "Tests/TrainingCrashHelper"),
        .testTarget(
            name: "CaptionMetricsTests",
            dependencies: ["CaptionFiles", "CaptionMetrics", "Safetensors", "TestSupport"],
            resources: [.copy("Fixtures")]
        ),
        // Run the built program; see Tests/CommandTests/Support.
        .testTarget(
            name: "CommandTests", dependencies: ["gmail", "Safetensors", "Images", "Torch", "TorchNN", "Encoders"]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)
