import Foundation
import StrictJSON

extension SchedulerConfiguration {
    /// Every key that one of the four classes knows. Files carry those of other classes along (Stable Diffusion 2's DDIM
    /// file has `skip_prk_steps`); each class reads its own.
    private static let known: [String: Set<SchedulerKind>] = {
        let all = Set(SchedulerKind.allCases)
        let sigma: Set<SchedulerKind> = [.euler, .dpmSolver]
        return [
            "num_train_timesteps": all, "beta_start": all, "beta_end": all, "beta_schedule": all, "trained_betas": all,
            "prediction_type": all, "timestep_spacing": all, "steps_offset": all,
            "rescale_betas_zero_snr": [.ddim, .euler, .dpmSolver],
            "set_alpha_to_one": [.ddim, .pndm], "clip_sample": [.ddim], "clip_sample_range": [.ddim],
            "skip_prk_steps": [.pndm],
            "thresholding": [.ddim, .dpmSolver], "dynamic_thresholding_ratio": [.ddim, .dpmSolver],
            "sample_max_value": [.ddim, .dpmSolver],
            "interpolation_type": [.euler], "timestep_type": [.euler], "sigma_min": [.euler], "sigma_max": [.euler],
            "use_karras_sigmas": sigma, "use_exponential_sigmas": sigma, "use_beta_sigmas": sigma,
            "final_sigmas_type": sigma,
            "solver_order": [.dpmSolver], "solver_type": [.dpmSolver], "algorithm_type": [.dpmSolver],
            "lower_order_final": [.dpmSolver], "euler_at_final": [.dpmSolver], "lambda_min_clipped": [.dpmSolver],
            "variance_type": [.dpmSolver], "use_lu_lambdas": [.dpmSolver], "use_flow_sigmas": [.dpmSolver],
            "flow_shift": [.dpmSolver], "use_dynamic_shifting": [.dpmSolver], "time_shift_type": [.dpmSolver],
        ]
    }()

    /// Reads a scheduler's file.
    /// - Parameter kind: another class than the file's; see ``Schedulers/load(folder:as:)``.
    /// - Throws: ``SchedulerError``: unreadable file, unknown key, a value that is wrong or not supported.
    public init(file: String, as kind: SchedulerKind? = nil) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw SchedulerError.unreadable(
                file: file, reason: "cannot be read; expected the scheduler configuration of a diffusers model")
        }
        let root: JSONValue
        do {
            root = try StrictJSON.parse(Self.quotingInfinity([UInt8](data)))
        } catch {
            throw SchedulerError.unreadable(file: file, reason: "is no JSON: \(error)")
        }
        guard let members = root.members else {
            throw SchedulerError.unreadable(file: file, reason: "is no JSON object but \(root.kind)")
        }
        let fields = Fields(file: file, members: members)
        let className = try fields.string("_class_name")
        guard let own = SchedulerKind.allCases.first(where: { $0.className == className }) ?? kind else {
            throw SchedulerError.unsupported(
                file: file, key: "_class_name",
                supported: SchedulerKind.allCases.map(\.className).joined(separator: ", "),
                got: className.map { "\"\($0)\"" } ?? "absent")
        }
        // A file of a class that is not ours may hold anything; what the chosen class knows is read from it.
        if className == own.className {
            for member in members where !member.key.hasPrefix("_") && Self.known[member.key] == nil {
                throw SchedulerError.unknownKey(
                    file: file, key: member.key, nearest: Self.nearest(to: member.key))
            }
        }
        self.init(kind ?? own, source: file)
        try read(fields.limited { Self.known[$0]?.contains(self.kind) == true })
    }

    private mutating func read(_ fields: Fields) throws {
        trainSteps = try fields.integer("num_train_timesteps") ?? trainSteps
        try fields.check("num_train_timesteps", (1...1_000_000).contains(trainSteps), "1 to 1000000", "\(trainSteps)")
        betaStart = try fields.double("beta_start") ?? betaStart
        betaEnd = try fields.double("beta_end") ?? betaEnd
        for (key, beta) in [("beta_start", betaStart), ("beta_end", betaEnd)] {
            try fields.check(key, beta > 0 && beta < 1, "a number between 0 and 1", "\(beta)")
        }
        betaSchedule = try fields.choice("beta_schedule") ?? betaSchedule
        if let betas = try fields.numbers("trained_betas") {
            try fields.check(
                "trained_betas", betas.count == trainSteps && betas.allSatisfy { $0 > 0 && $0 < 1 },
                "num_train_timesteps (\(trainSteps)) numbers between 0 and 1", "\(betas.count) numbers")
            trainedBetas = betas.map(Float.init)
        }
        rescalesToZeroSNR = try fields.bool("rescale_betas_zero_snr") ?? rescalesToZeroSNR
        prediction = try fields.choice("prediction_type") ?? prediction
        if kind == .pndm, prediction == .sample {
            throw fields.unsupported("prediction_type", "epsilon, v_prediction", "\"sample\"")
        }
        spacing = try fields.choice("timestep_spacing") ?? spacing
        stepsOffset = try fields.integer("steps_offset") ?? stepsOffset
        try fields.check("steps_offset", (0..<trainSteps).contains(stepsOffset), "0 or more", "\(stepsOffset)")

        setsAlphaToOne = try fields.bool("set_alpha_to_one") ?? setsAlphaToOne
        skipsRungeKutta = try fields.bool("skip_prk_steps") ?? skipsRungeKutta
        let range = try fields.double("clip_sample_range") ?? 1
        try fields.check("clip_sample_range", range > 0, "a positive number", "\(range)")
        clipRange = try fields.bool("clip_sample") ?? (clipRange != nil) ? range : nil

        if try fields.bool("use_karras_sigmas") == true { sigmaSpacing = .karras }
        if try fields.bool("use_exponential_sigmas") == true {
            guard sigmaSpacing == .timesteps else {
                throw SchedulerError.invalidValue(
                    file: fields.file, key: "use_exponential_sigmas", expected: "false beside use_karras_sigmas",
                    got: "true")
            }
            sigmaSpacing = .exponential
        }
        sigmaMin = try fields.double("sigma_min")
        sigmaMax = try fields.double("sigma_max")
        finalSigma = try fields.choice("final_sigmas_type") ?? finalSigma
        solverOrder = try fields.integer("solver_order") ?? solverOrder
        guard (1...2).contains(solverOrder) else {
            throw fields.unsupported("solver_order", "1, 2", "\(solverOrder)")
        }
        solverType = try fields.choice("solver_type") ?? solverType
        lowerOrderFinal = try fields.bool("lower_order_final") ?? lowerOrderFinal
        eulerAtFinal = try fields.bool("euler_at_final") ?? eulerAtFinal
        lambdaMinClipped = try fields.double("lambda_min_clipped") ?? lambdaMinClipped

        for key in ["thresholding", "use_beta_sigmas", "use_lu_lambdas", "use_flow_sigmas", "use_dynamic_shifting"]
        where try fields.bool(key) == true {
            throw fields.unsupported(key, "false", "true")
        }
        for (key, supported) in [
            ("algorithm_type", "dpmsolver++"), ("interpolation_type", "linear"), ("timestep_type", "discrete"),
        ] {
            if let value = try fields.string(key), value != supported {
                throw fields.unsupported(key, supported, "\"\(value)\"")
            }
        }
        if let type = try fields.string("variance_type") {
            throw fields.unsupported("variance_type", "null", "\"\(type)\"")
        }
    }

    /// Python writes infinities as bare words, which no JSON has; they become strings, which ``Fields/double(_:)`` reads.
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

    /// The known key that differs in the fewest letters, when that are few.
    private static func nearest(to key: String) -> String? {
        let best = known.keys.sorted().map { ($0, distance(Array($0.utf8), Array(key.utf8))) }.min { $0.1 < $1.1 }
        return best.flatMap { $0.1 <= 3 ? $0.0 : nil }
    }

    /// Levenshtein's.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let substituted = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
            }
        }
        return row[b.count]
    }

    /// The file's text for this configuration: what the class knows, all values written out.
    public var huggingFaceJSON: String {
        var values: [(String, String)] = [
            ("beta_end", "\(betaEnd)"), ("beta_schedule", "\"\(betaSchedule.rawValue)\""),
            ("beta_start", "\(betaStart)"),
            ("clip_sample", "\(clipRange != nil)"), ("clip_sample_range", "\(clipRange ?? 1)"),
            ("euler_at_final", "\(eulerAtFinal)"), ("final_sigmas_type", "\"\(finalSigma.rawValue)\""),
            ("lower_order_final", "\(lowerOrderFinal)"), ("num_train_timesteps", "\(trainSteps)"),
            ("prediction_type", "\"\(prediction.rawValue)\""), ("rescale_betas_zero_snr", "\(rescalesToZeroSNR)"),
            ("set_alpha_to_one", "\(setsAlphaToOne)"), ("sigma_max", sigmaMax.map { "\($0)" } ?? "null"),
            ("sigma_min", sigmaMin.map { "\($0)" } ?? "null"), ("skip_prk_steps", "\(skipsRungeKutta)"),
            ("solver_order", "\(solverOrder)"), ("solver_type", "\"\(solverType.rawValue)\""),
            ("steps_offset", "\(stepsOffset)"), ("timestep_spacing", "\"\(spacing.rawValue)\""),
            (
                "trained_betas",
                trainedBetas.map { "[" + $0.map { "\($0)" }.joined(separator: ", ") + "]" } ?? "null"
            ),
            ("use_exponential_sigmas", "\(sigmaSpacing == .exponential)"),
            ("use_karras_sigmas", "\(sigmaSpacing == .karras)"),
        ]
        if kind == .dpmSolver {
            values.append(("algorithm_type", "\"dpmsolver++\""))
            if lambdaMinClipped.isFinite { values.append(("lambda_min_clipped", "\(lambdaMinClipped)")) }
        }
        let lines = values.filter { Self.known[$0.0]?.contains(kind) == true }.sorted { $0.0 < $1.0 }
        return "{\n  \"_class_name\": \"\(kind.className)\",\n"
            + lines.map { "  \"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + "\n}\n"
    }
}

/// Typed access to the members of the file; null counts as absent.
private struct Fields {
    let file: String
    var members: [JSONMember]

    func limited(to isKept: (String) -> Bool) -> Fields {
        Fields(file: file, members: members.filter { isKept($0.key) })
    }

    private func read<Result>(_ key: String, _ expected: String, _ convert: (JSONValue) -> Result?) throws -> Result? {
        guard let value = members.first(where: { $0.key == key })?.value, value != .null else { return nil }
        guard let result = convert(value) else {
            let got: String
            switch value {
            case .number(let text): got = text
            case .string(let text): got = "\"\(text)\""
            default: got = value.kind
            }
            throw SchedulerError.invalidValue(file: file, key: key, expected: expected, got: got)
        }
        return result
    }

    func integer(_ key: String) throws -> Int? { try read(key, "a whole number") { $0.integer } }
    func string(_ key: String) throws -> String? { try read(key, "a string") { $0.string } }
    func bool(_ key: String) throws -> Bool? { try read(key, "true or false") { $0.bool } }

    func double(_ key: String) throws -> Double? {
        try read(key, "a number") { value in
            switch value.string {
            case "Infinity"?: .infinity
            case "-Infinity"?: -.infinity
            default: value.double
            }
        }
    }

    func numbers(_ key: String) throws -> [Double]? {
        try read(key, "an array of numbers") { value in
            guard let values = value.array else { return nil }
            let numbers = values.compactMap(\.double)
            return numbers.count == values.count ? numbers : nil
        }
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_ key: String) throws -> Choice?
    where Choice.RawValue == String {
        guard let text = try string(key) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            throw unsupported(key, Choice.allCases.map(\.rawValue).joined(separator: ", "), "\"\(text)\"")
        }
        return choice
    }

    func check(_ key: String, _ holds: Bool, _ expected: String, _ got: String) throws {
        guard holds else { throw SchedulerError.invalidValue(file: file, key: key, expected: expected, got: got) }
    }

    func unsupported(_ key: String, _ supported: String, _ got: String) -> SchedulerError {
        .unsupported(file: file, key: key, supported: supported, got: got)
    }
}
