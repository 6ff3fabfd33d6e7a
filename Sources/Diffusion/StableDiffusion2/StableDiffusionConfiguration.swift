import Encoders
import Files
import ModelFolders
import StrictJSON

/// The content of the configuration files of a Stable Diffusion folder, with the corrections that diffusers makes in
/// old files. No weights are read for it, so every problem of a folder or a request is reported at once.
public struct StableDiffusionConfiguration: Sendable {
    public let folder: DiffusersFolder
    public private(set) var scheduler: SchedulerConfiguration
    public let text: CLIPConfiguration.Text
    public private(set) var unet: UNetConfiguration
    public let autoencoder: AutoencoderConfiguration
    /// Lines for the user: which settings were corrected, and which parts are not run.
    public private(set) var notes: [String] = []

    private static let parts = StableDiffusionPart.allCases.map(\.rawValue) + ["tokenizer", "scheduler"]
    private static let schedulerFile = "scheduler/scheduler_config.json"

    /// - Parameter scheduler: another method than the folder's own, on the same noise schedule.
    /// - Throws: `JSONFileError`, ``SchedulerError``, `FileError` for another kind of model, or settings that are not
    ///   built.
    public init(_ folder: DiffusersFolder, scheduler kind: SchedulerKind? = nil) throws {
        self.folder = folder
        for part in StableDiffusionPart.allCases { try folder.require(part.rawValue, part.className) }
        try folder.require("tokenizer", "CLIPTokenizer", "CLIPTokenizerFast")
        // As in diffusers, the index says which class a scheduler has; its file may be that of another class.
        scheduler = try SchedulerConfiguration(
            file: folder.folder.file(Self.schedulerFile), className: folder.className(of: "scheduler"), as: kind)
        text = try CLIPConfiguration.Text(textEncoderFile: folder.configurationFile(of: "text_encoder"))
        unet = try UNetConfiguration(file: folder.configurationFile(of: "unet"))
        autoencoder = try AutoencoderConfiguration(file: folder.configurationFile(of: "vae"))
        correctScheduler()
        try correctUNet(JSONFile(folder.configurationFile(of: "unet")))
        for part in folder.parts where !Self.parts.contains(part) {
            notes.append("the model's \(part) (\(folder.className(of: part) ?? "")) is not run")
        }
    }

    // MARK: Corrections of diffusers

    // `StableDiffusionPipeline.__init__` of diffusers 0.42 changes three settings of its models, with a warning. Early
    // releases were saved with them, and their pictures come out wrong without the corrections. They are made only
    // here, whichever scheduler is used.

    private mutating func correctScheduler() {
        if scheduler.stepsOffset != 1 {
            note(Self.schedulerFile, "steps_offset", "\(scheduler.stepsOffset)", "1")
            scheduler.stepsOffset = 1
        }
        if scheduler.clipRange != nil {
            note(Self.schedulerFile, "clip_sample", "true", "false")
            scheduler.clipRange = nil
        }
    }

    private mutating func correctUNet(_ file: JSONFile) throws {
        guard let version = try file.string("_diffusers_version") else { return }
        let numbers = version.split(separator: ".", omittingEmptySubsequences: false).prefix(2).map { Int($0) }
        guard numbers.count == 2, let major = numbers[0], let minor = numbers[1] else {
            throw file.invalid("_diffusers_version", expected: "a version such as \"0.9.0\"")
        }
        // A side that is given as two numbers was chosen deliberately.
        guard major == 0, minor < 9, let side = file.value["sample_size"]?.integer, side < 64 else { return }
        note("unet/config.json", "sample_size", "\(side)", "64", " (the file is of diffusers \(version))")
        unet.sampleSize = 64
    }

    private mutating func note(_ file: String, _ key: String, _ got: String, _ used: String, _ reason: String = "") {
        notes.append(
            "\(file): '\(key)' counts as \(used) in place of \(got), as diffusers corrects it on loading\(reason)")
    }

    // MARK: Identity

    /// The identity of the model: all files that decide its pictures.
    /// - Throws: `FileError`, `ModelFolderError`.
    public func fingerprint(hashes: FileHashes) throws -> ModelFingerprint {
        try folder.fingerprint(
            weighted: StableDiffusionPart.allCases.map(\.rawValue), tokenizers: ["tokenizer"],
            others: [Self.schedulerFile], hashes: hashes)
    }

    // MARK: Size

    /// Sides of the pictures, each a multiple of the autoencoder's downsampling.
    public static let largestSide = 8192

    /// Sides of the latents for pictures of a size; nil means the size for which the model was made.
    /// - Throws: ``DiffusionError/imageSize(width:height:multiple:largest:)``.
    public func latentSize(width: Int?, height: Int?) throws -> (height: Int, width: Int) {
        try Self.latentSize(width: width, height: height, unet, autoencoder)
    }

    static func latentSize(
        width: Int?, height: Int?, _ unet: UNetConfiguration, _ autoencoder: AutoencoderConfiguration
    ) throws -> (height: Int, width: Int) {
        let factor = autoencoder.downsampling
        let side = unet.sampleSize * factor
        let (height, width) = (height ?? side, width ?? side)
        let sides = 1...largestSide
        guard sides.contains(height), sides.contains(width), height % factor == 0, width % factor == 0 else {
            throw DiffusionError.imageSize(width: width, height: height, multiple: factor, largest: largestSide)
        }
        return (height / factor, width / factor)
    }
}
