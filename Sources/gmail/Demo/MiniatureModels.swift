import Files
import Foundation
import Safetensors

/// The small models that come with the program: a CLIP, a Stable Diffusion and a GPT-2, in the folders of the big ones.
struct MiniatureModels {
    let folder: String
    let clip: String
    let stableDiffusion: String
    let languageModel: String

    /// Looks in `given`, else in GMAIL_MINIATURE, else in `Models/miniature` beside the program or above it.
    /// - Throws: `CommandError` naming where it looked.
    init(given: String?) throws {
        if let path = given ?? ProcessInfo.processInfo.environment["GMAIL_MINIATURE"] {
            self.init(shippedIn: path)
            try check()
            return
        }
        let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        var place = program.deletingLastPathComponent()
        while true {
            let candidate = place.appendingPathComponent("Models/miniature").path
            if FileSystem.exists(candidate) {
                self.init(shippedIn: candidate)
                try check()
                return
            }
            guard place.path != "/" else { break }
            place.deleteLastPathComponent()
        }
        throw CommandError(
            "the small models are not in Models/miniature beside '\(program.path)' or in a folder above it; give --models DIR, or --full to train them"
        )
    }

    /// Of models that `gmail miniature train` has made, or will make, in `folder`.
    init(trainedIn folder: String) {
        self.folder = folder
        clip = "\(folder)/clip/model"
        stableDiffusion = "\(folder)/unet/model"
        languageModel = "\(folder)/language-model/model"
    }

    private init(shippedIn folder: String) {
        self.folder = folder
        clip = "\(folder)/clip"
        stableDiffusion = "\(folder)/stable-diffusion"
        languageModel = "\(folder)/gpt2"
    }

    /// Where `gmail miniature train KIND` puts its run.
    func run(of kind: String) -> String { "\(folder)/\(kind)" }

    private func check() throws {
        for model in [clip, stableDiffusion, languageModel] where !FileSystem.exists(model) {
            throw CommandError(
                "'\(folder)' lacks '\((model as NSString).lastPathComponent)'; expected clip, stable-diffusion and gpt2; give another --models, or --full to train them"
            )
        }
    }

    /// Over the hashes of all weights, in a fixed order.
    func hash() throws -> String {
        var weights: [String] = []
        for model in [clip, stableDiffusion, languageModel] {
            weights += try FileSystem.files(below: model).filter { $0.hasSuffix(".safetensors") }.map {
                "\(model)/\($0)"
            }
        }
        let hashes = try weights.map { try FileHashes().sha256(of: $0) }
        return ContentHash.sha256(of: hashes.joined(separator: "\n"))
    }
}
