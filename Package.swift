// swift-tools-version: 6.1
import PackageDescription

// A target imports only targets of earlier floors; docs/architecture.md draws the house.
let package = Package(
    name: "gmail",
    products: [
        .executable(name: "gmail", targets: ["gmail"]),
        .library(name: "Safetensors", targets: ["Safetensors"]),
        .library(name: "Tokenizers", targets: ["Tokenizers"]),
        .library(name: "Images", targets: ["Images"]),
        .library(name: "CaptionMetrics", targets: ["CaptionMetrics"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        // F0
        .target(
            name: "CImageCodecs",
            linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png"), .linkedLibrary("webp")]),
        .target(name: "Safetensors"),
        // F2
        .target(name: "Tokenizers"),
        .target(name: "Images", dependencies: ["CImageCodecs"]),
        .target(name: "CaptionMetrics", resources: [.copy("Resources/spice-parser.bin")]),
        // F9
        .executableTarget(
            name: "gmail",
            dependencies: [
                "Safetensors", "Tokenizers", "Images", "CaptionMetrics",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // Trains and measures the parser CaptionMetrics ships.
        .executableTarget(
            name: "spice-parser",
            dependencies: [
                "CaptionMetrics",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "SafetensorsTests", dependencies: ["Safetensors"], resources: [.copy("Fixtures")]),
        .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers"], resources: [.copy("Fixtures")]),
        .testTarget(name: "ImagesTests", dependencies: ["Images"], resources: [.copy("Fixtures")]),
        .testTarget(name: "CaptionMetricsTests", dependencies: ["CaptionMetrics"], resources: [.copy("Fixtures")]),
    ],
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx20
)
