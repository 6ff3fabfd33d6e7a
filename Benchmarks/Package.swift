// swift-tools-version: 6.1
import PackageDescription

// Kept apart from the product, so that building and testing it never builds these.
let package = Package(
    name: "Benchmarks",
    dependencies: [.package(name: "gmail", path: "..")],
    targets: [
        .executableTarget(name: "PreprocessBench", dependencies: [.product(name: "Images", package: "gmail")]),
        .executableTarget(
            name: "EvaluationBench",
            dependencies: [.product(name: "Evaluation", package: "gmail"), .product(name: "Torch", package: "gmail")]),
        .executableTarget(
            name: "ModelBench",
            dependencies: [
                .product(name: "Torch", package: "gmail"), .product(name: "TorchNN", package: "gmail"),
                .product(name: "Encoders", package: "gmail"), .product(name: "Adapters", package: "gmail"),
                .product(name: "Alignment", package: "gmail"),
            ]),
        .executableTarget(name: "KernelBench", dependencies: [.product(name: "Torch", package: "gmail")]),
        .executableTarget(
            name: "CaptionBench",
            dependencies: [
                .product(name: "Torch", package: "gmail"), .product(name: "TorchNN", package: "gmail"),
                .product(name: "Alignment", package: "gmail"), .product(name: "Captioning", package: "gmail"),
                .product(name: "LanguageModels", package: "gmail"),
            ]),
        .executableTarget(
            name: "LanguageModelBench",
            dependencies: [
                .product(name: "Torch", package: "gmail"), .product(name: "TorchNN", package: "gmail"),
                .product(name: "TorchOptim", package: "gmail"), .product(name: "LanguageModels", package: "gmail"),
            ]),
        .executableTarget(
            name: "DiffusionBench",
            dependencies: [
                .product(name: "Torch", package: "gmail"), .product(name: "TorchNN", package: "gmail"),
                .product(name: "Diffusion", package: "gmail"),
            ]),
    ],
    swiftLanguageModes: [.v6]
)
