// swift-tools-version: 6.1
import PackageDescription

// Kept apart from the product, so that building and testing it never builds these.
let package = Package(
    name: "Benchmarks",
    dependencies: [.package(name: "gmail", path: "..")],
    targets: [
        .executableTarget(name: "PreprocessBench", dependencies: [.product(name: "Images", package: "gmail")])
    ],
    swiftLanguageModes: [.v6]
)
