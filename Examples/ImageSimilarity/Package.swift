// swift-tools-version: 6.1
import PackageDescription

// A program of a user's own. Outside this checkout the dependency is a URL:
//     .package(url: "https://…/gmail.git", branch: "main")
let package = Package(
    name: "ImageSimilarity",
    dependencies: [.package(name: "gmail", path: "../..")],
    targets: [
        .executableTarget(
            name: "image-similarity",
            dependencies: [
                .product(name: "Encoders", package: "gmail"),
                .product(name: "Images", package: "gmail"),
                .product(name: "Torch", package: "gmail"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
