import Files
import StrictJSON

extension SchedulerConfiguration {
    /// Every key that one of the four classes knows. Files also contain keys of other classes (Stable Diffusion 2's
    /// DDIM file has `skip_prk_steps`); each class reads its own.
    private static let known: Set<String> = [
        "num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type",
        "timestep_spacing", "steps_offset", "rescale_betas_zero_snr", "set_alpha_to_one", "clip_sample",
        "clip_sample_range", "skip_prk_steps", "thresholding", "dynamic_thresholding_ratio", "sample_max_value",
        "interpolation_type", "timestep_type", "sigma_min", "sigma_max", "use_karras_sigmas", "use_exponential_sigmas",
        "use_beta_sigmas", "final_sigmas_type", "solver_order", "solver_type", "algorithm_type", "lower_order_final",
        "euler_at_final", "lambda_min_clipped", "variance_type", "use_lu_lambdas", "use_flow_sigmas", "flow_shift",
        "use_dynamic_shifting", "time_shift_type",
    ]

    /// Classes of diffusers that walk along the same noise schedules (`KarrasDiffusionSchedulers`, and those that read
    /// its files). The file of one of them can be used with another method; a file of any other class belongs to
    /// another kind of model.
    private static let compatible: Set<String> = [
        "DDPMScheduler", "LMSDiscreteScheduler", "HeunDiscreteScheduler", "EulerAncestralDiscreteScheduler",
        "DPMSolverSinglestepScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
        "DEISMultistepScheduler", "UniPCMultistepScheduler", "DPMSolverSDEScheduler", "DDIMInverseScheduler",
        "DDIMParallelScheduler", "DDPMParallelScheduler", "DPMSolverMultistepInverseScheduler", "LCMScheduler",
        "TCDScheduler", "SASolverScheduler",
    ]

    /// Reads a scheduler's file.
    /// - Parameters:
    ///   - className: the class that the model's index names, which decides; nil takes the class in the file.
    ///   - kind: another method; see ``Schedulers/load(folder:as:)``.
    /// - Throws: `FileError`, `JSONFileError`, ``SchedulerError``: unknown key, a value that is wrong or not supported.
    public init(file path: String, className: String? = nil, as kind: SchedulerKind? = nil) throws {
        let file = try JSONFile(Self.quotingInfinity(RegularFile.bytes(path)), path: path)
        let written = try file.string("_class_name")
        let name = className ?? written
        let own = SchedulerKind.allCases.first { $0.className == name }
        let isCompatible = own != nil || name.map(Self.compatible.contains) ?? true
        guard isCompatible, let chosen = kind ?? own else {
            let names = SchedulerKind.allCases.map(\.className).joined(separator: ", ")
            throw SchedulerError.unsupported(
                file: path, key: "_class_name",
                supported: isCompatible
                    ? "\(names), or any of \(SchedulerKind.allCases.map(\.rawValue).joined(separator: ", ")) in its place"
                    : names, got: name.map { "\"\($0)\"" } ?? "absent")
        }
        // A file of a class that is not built here may hold anything; the chosen class reads the keys that it knows.
        if written == nil || SchedulerKind.allCases.contains(where: { $0.className == written }) {
            for key in file.keys where !key.hasPrefix("_") && !Self.known.contains(key) {
                throw SchedulerError.unknownKey(
                    file: path, key: key, nearest: NearestName.find(key, in: Self.known.sorted()))
            }
        }
        self.init(chosen, source: path)
        try readNoise(file)
        try readSteps(file)
        if chosen == .euler || chosen == .dpmSolver { try readSigmas(file) }
        if chosen == .dpmSolver { try readSolver(file) }
    }

    private mutating func readNoise(_ file: JSONFile) throws {
        trainSteps = try file.integer("num_train_timesteps", in: 1...1_000_000) ?? trainSteps
        func beta(_ key: String) throws -> Double? {
            try file.value(key, expected: "a number between 0 and 1") { value in
                value.double.flatMap { $0 > 0 && $0 < 1 ? $0 : nil }
            }
        }
        betaStart = try beta("beta_start") ?? betaStart
        betaEnd = try beta("beta_end") ?? betaEnd
        betaSchedule = try file.choice("beta_schedule") ?? betaSchedule
        if let betas = try file.numbers("trained_betas") {
            guard betas.count == trainSteps, betas.allSatisfy({ $0 > 0 && $0 < 1 }) else {
                throw JSONFileError.invalidValue(
                    file: file.path, key: "trained_betas",
                    expected: "num_train_timesteps (\(trainSteps)) numbers between 0 and 1",
                    got: "\(betas.count) numbers")
            }
            trainedBetas = betas.map(Float.init)
        }
        if kind != .pndm { rescalesToZeroSNR = try file.bool("rescale_betas_zero_snr") ?? rescalesToZeroSNR }
        prediction = try file.choice("prediction_type") ?? prediction
        if kind == .pndm, prediction == .sample {
            throw unsupported("prediction_type", "epsilon, v_prediction", "\"sample\"")
        }
    }

    private mutating func readSteps(_ file: JSONFile) throws {
        spacing = try file.choice("timestep_spacing") ?? spacing
        stepsOffset = try file.integer("steps_offset", in: 0...trainSteps - 1) ?? stepsOffset
        if kind == .ddim || kind == .pndm { setsAlphaToOne = try file.bool("set_alpha_to_one") ?? setsAlphaToOne }
        if kind == .pndm { skipsRungeKutta = try file.bool("skip_prk_steps") ?? skipsRungeKutta }
        // These are read for every class, although only DDIM clips, so that an error in the file is reported whichever
        // method is used.
        let range = try file.positive("clip_sample_range") ?? 1
        clipRange = try file.bool("clip_sample") ?? (clipRange != nil) ? range : nil
        if kind == .ddim || kind == .dpmSolver { try refuse(file, "thresholding") }
    }

    private mutating func readSigmas(_ file: JSONFile) throws {
        if try file.bool("use_karras_sigmas") == true { sigmaSpacing = .karras }
        if try file.bool("use_exponential_sigmas") == true {
            guard sigmaSpacing == .timesteps else {
                throw file.invalid("use_exponential_sigmas", expected: "false beside use_karras_sigmas")
            }
            sigmaSpacing = .exponential
        }
        try refuse(file, "use_beta_sigmas")
        finalSigma = try file.choice("final_sigmas_type") ?? finalSigma
        // diffusers keeps these two settings of an Euler file for DPM-Solver++ too.
        sigmaMin = try file.positive("sigma_min")
        sigmaMax = try file.positive("sigma_max")
        guard kind == .euler else { return }
        try require(file, "interpolation_type", "linear")
        try require(file, "timestep_type", "discrete")
    }

    private mutating func readSolver(_ file: JSONFile) throws {
        solverOrder = try file.integer("solver_order") ?? solverOrder
        guard (1...2).contains(solverOrder) else { throw unsupported("solver_order", "1, 2", "\(solverOrder)") }
        // Words in the files of related methods (DEIS, UniPC), which the reference treats as its own.
        let type = try file.string("solver_type") ?? solverType.rawValue
        guard let known = ["logrho", "bh1", "bh2"].contains(type) ? .midpoint : SolverType(rawValue: type) else {
            throw unsupported("solver_type", SolverType.allCases.map(\.rawValue).joined(separator: ", "), "\"\(type)\"")
        }
        solverType = known
        try require(file, "algorithm_type", "dpmsolver++", or: "deis")
        lowerOrderFinal = try file.bool("lower_order_final") ?? lowerOrderFinal
        eulerAtFinal = try file.bool("euler_at_final") ?? eulerAtFinal
        lambdaMinClipped =
            try file.value("lambda_min_clipped", expected: "a number") { value in
                switch value.string {
                case "Infinity"?: .infinity
                case "-Infinity"?: -.infinity
                default: value.double
                }
            } ?? lambdaMinClipped
        for key in ["use_lu_lambdas", "use_flow_sigmas", "use_dynamic_shifting"] { try refuse(file, key) }
        // Models that also predict their variance have twice the channels; the other words change nothing here.
        if let type = try file.string("variance_type"), type.hasPrefix("learned") {
            throw unsupported("variance_type", "null", "\"\(type)\"")
        }
    }

    private func unsupported(_ key: String, _ supported: String, _ got: String) -> SchedulerError {
        .unsupported(file: source, key: key, supported: supported, got: got)
    }

    private func refuse(_ file: JSONFile, _ key: String) throws {
        if try file.bool(key) == true { throw unsupported(key, "false", "true") }
    }

    private func require(_ file: JSONFile, _ key: String, _ supported: String, or other: String? = nil) throws {
        guard let value = try file.string(key), value != supported, value != other else { return }
        throw unsupported(key, supported, "\"\(value)\"")
    }

    /// Python writes infinities as bare words, which JSON does not have; they become strings, which `readSolver` reads.
    private static func quotingInfinity(_ bytes: [UInt8]) -> [UInt8] {
        let word = Array("Infinity".utf8)
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + 4)
        var isInString = false
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if isInString, byte == UInt8(ascii: "\\"), index + 1 < bytes.count {
                out += bytes[index...index + 1]
                index += 2
                continue
            }
            if byte == UInt8(ascii: "\"") { isInString.toggle() }
            let start = byte == UInt8(ascii: "-") ? index + 1 : index
            if !isInString, bytes[start...].starts(with: word) {
                out += [UInt8(ascii: "\"")] + bytes[index..<start + word.count] + [UInt8(ascii: "\"")]
                index = start + word.count
                continue
            }
            out.append(byte)
            index += 1
        }
        return out
    }
}
