// swift-tools-version: 6.1
import PackageDescription

// Trains and measures the parser that CaptionMetrics ships. Kept apart from the product, which never needs it.
let package = Package(
    name: "SpiceTrainer",
    dependencies: [
        .package(name: "gmail", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    ],
    targets: [
        .executableTarget(
            name: "spice-parser",
            dependencies: [
                .product(name: "Files", package: "gmail"), .product(name: "Randomness", package: "gmail"),
                .product(name: "CaptionFiles", package: "gmail"), .product(name: "CaptionMetrics", package: "gmail"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "SpiceTrainerTests", dependencies: ["spice-parser"]),
    ],
    swiftLanguageModes: [.v6]
)
