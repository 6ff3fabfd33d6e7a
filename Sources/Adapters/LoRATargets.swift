/// The modules that an adapter changes, as PEFT's `target_modules` names them.
public enum LoRATargets: Sendable, Equatable {
    /// Modules whose path is one of the names or ends in `.name`; with `prefix`, only those below that module.
    case names([String], prefix: String?)
    /// Modules whose whole path matches a Python regular expression.
    case pattern(String)
    /// Every linear layer.
    case allLinear

    /// Query, key, value and output of every attention block of the image tower.
    public static let attention = LoRATargets.names(["q_proj", "k_proj", "v_proj", "out_proj"], prefix: "vision_model")
}

extension LoRATargets: CustomStringConvertible {
    public var description: String {
        switch self {
        case .names(let names, nil): "[\(names.joined(separator: ", "))]"
        case .names(let names, let prefix?): "[\(names.joined(separator: ", "))] below '\(prefix)'"
        case .pattern(let pattern): "the pattern '\(pattern)'"
        case .allLinear: "all-linear"
        }
    }
}

extension LoRAConfiguration {
    /// Which modules of a model the settings choose: PEFT's `check_target_module_exists`, with the patterns read once.
    struct Selection {
        private let targets: LoRATargets
        private let targetPattern: PythonPattern?
        private let exclusions: LoRATargets?
        private let exclusionPattern: PythonPattern?
        private let savedPatterns: [PythonPattern]
        private let layers: Set<Int>?
        private let layerPatterns: [PythonPattern]
        private let ranks: [(pattern: EndingPattern, value: Int)]
        private let alphas: [(pattern: EndingPattern, value: Double)]
        private let configuration: LoRAConfiguration

        /// - Throws: `AdapterError` for an empty list or an invalid regular expression.
        init(_ configuration: LoRAConfiguration) throws(AdapterError) {
            func pattern(_ targets: LoRATargets?, _ setting: String) throws(AdapterError) -> PythonPattern? {
                switch targets {
                case .names(let names, _):
                    guard !names.isEmpty, names.allSatisfy({ !$0.isEmpty }) else {
                        throw .invalidSetting(
                            setting: setting, expected: "at least one name, none of them empty", got: "\(names)")
                    }
                    return nil
                case .pattern(let pattern): return try PythonPattern(pattern)
                case .allLinear, nil: return nil
                }
            }
            func keyed<Value>(
                _ entries: [PatternValue<Value>]
            ) throws(AdapterError) -> [(pattern: EndingPattern, value: Value)] {
                var found: [(pattern: EndingPattern, value: Value)] = []
                for entry in entries {
                    found.append((try EndingPattern(entry.pattern), entry.value))
                }
                return found
            }
            self.configuration = configuration
            targets = configuration.targets
            targetPattern = try pattern(targets, "target modules")
            exclusions = configuration.exclusions
            exclusionPattern = try pattern(exclusions, "excluded modules")
            var saved: [PythonPattern] = []
            for name in configuration.savedModules {
                saved.append(try PythonPattern(#"(^|.*\.)"# + name + #"($|\..*)"#))
            }
            savedPatterns = saved
            layers = configuration.layers.map { Set($0.indices) }
            var stacks: [PythonPattern] = []
            for name in configuration.layers?.stacks ?? [] { stacks.append(try PythonPattern("(?:\(name))")) }
            layerPatterns = stacks
            ranks = try keyed(configuration.rankPattern)
            alphas = try keyed(configuration.alphaPattern)
        }

        /// Whether the module at `path`, in the adapter's names, gets an update.
        /// - Parameter isLinear: whether the module is linear, for `all-linear`.
        func contains(_ path: String, isLinear: Bool) -> Bool {
            if let exclusions, Self.names(exclusions, exclusionPattern, path) { return false }
            // A module that is stored as a whole is not updated in addition.
            if savedPatterns.contains(where: { $0.matchesStart(path) }) { return false }
            if targets == .allLinear { return isLinear }
            guard Self.names(targets, targetPattern, path) else { return false }
            // A path that is in the list itself is chosen whatever its layer.
            if case .names(let names, _) = targets, names.contains(path) { return true }
            return layers.map { layer(of: path).map($0.contains) ?? false } ?? true
        }

        /// Whether PEFT keeps a copy of the whole module: its path ends in one of the names, whether or not a dot
        /// precedes it.
        func saves(_ path: String) -> Bool {
            configuration.savedModules.contains { path.hasSuffix($0) }
        }

        func rank(_ path: String) -> Int {
            let scalars = Array(path.unicodeScalars)
            return ranks.first { $0.pattern.matches(scalars) }?.value ?? configuration.rank
        }

        /// Factor on the update of the module at `path`.
        func scale(_ path: String) -> Double {
            let scalars = Array(path.unicodeScalars)
            let alpha = alphas.first { $0.pattern.matches(scalars) }?.value ?? configuration.alpha
            let rank = Double(rank(path))
            return alpha / (configuration.isRankStabilized ? rank.squareRoot() : rank)
        }

        private static func names(_ targets: LoRATargets, _ pattern: PythonPattern?, _ path: String) -> Bool {
            switch targets {
            case .names(let names, let prefix):
                if let prefix, !prefix.isEmpty, !path.hasPrefix(prefix + ".") { return false }
                return names.contains { path == $0 || path.hasSuffix(".\($0)") }
            case .pattern: return pattern?.matchesWhole(path) ?? false
            case .allLinear: return false
            }
        }

        /// Index of the block in which a path lies: the number after the stack's name. Without names, it is the first
        /// part of the path that is a number, except for the first two parts and the last.
        private func layer(of path: String) -> Int? {
            let scalars = Array(path.unicodeScalars)
            let starts = [0] + scalars.indices.filter { scalars[$0] == "." }.map { $0 + 1 }
            guard !layerPatterns.isEmpty else {
                for start in starts.dropFirst(2) {
                    if let index = Self.index(scalars, at: start) { return index }
                }
                return nil
            }
            for pattern in layerPatterns {
                for start in starts {
                    for end in pattern.ends(in: scalars, from: start) where end < scalars.count && scalars[end] == "." {
                        if let index = Self.index(scalars, at: end + 1) { return index }
                    }
                }
            }
            return nil
        }

        /// The number in a path from `start` to the next dot.
        private static func index(_ scalars: [Unicode.Scalar], at start: Int) -> Int? {
            guard let end = scalars[start...].firstIndex(of: "."), end > start else { return nil }
            return Int(String(String.UnicodeScalarView(scalars[start..<end])))
        }
    }
}
