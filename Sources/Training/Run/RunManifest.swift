import Datasets
import TorchOptim

/// `manifest.json`: what was trained, on which data and with which programs. It is written before step 1 and completed
/// at the end.
public struct RunManifest: Sendable, Equatable, Codable {
    /// A file or folder that the run read.
    public struct Source: Sendable, Equatable, Codable {
        /// `pairs`, `validation`, `model`, …
        public var role: String
        public var path: String
        public var sha256: String
        /// The number of pairs, images or parameters, according to `role`.
        public var count: Int?

        public init(role: String, path: String, sha256: String, count: Int? = nil) {
            self.role = role
            self.path = path
            self.sha256 = sha256
            self.count = count
        }
    }

    public struct ParameterGroup: Sendable, Equatable, Codable {
        public var name: String
        public var tensors: Int
        public var elements: Int
        /// Before multiplication by the schedule's factor.
        public var learningRate: Double
        public var weightDecay: Double

        public init(name: String, tensors: Int, elements: Int, learningRate: Double, weightDecay: Double) {
            self.name = name
            self.tensors = tensors
            self.elements = elements
            self.learningRate = learningRate
            self.weightDecay = weightDecay
        }
    }

    public var sources: [Source]
    public var parameterGroups: [ParameterGroup]
    public var frozenElements: Int
    public var seed: Int
    public var device: String
    public var dtype: String
    /// Program, libtorch, CPU capability, …
    public var versions: [String: String]
    public var steps: Int
    /// Samples left out because they could not be read.
    public var skipped: [SkippedSample] = []

    public init(
        sources: [Source], parameterGroups: [ParameterGroup], frozenElements: Int, seed: Int, device: String,
        dtype: String, versions: [String: String], steps: Int
    ) {
        self.sources = sources
        self.parameterGroups = parameterGroups
        self.frozenElements = frozenElements
        self.seed = seed
        self.device = device
        self.dtype = dtype
        self.versions = versions
        self.steps = steps
    }
}

extension RunManifest.ParameterGroup {
    /// What the manifest records about an optimizer's group.
    public init(_ group: TorchOptim.ParameterGroup) {
        self.init(
            name: group.name, tensors: group.parameters.count, elements: group.elementCount,
            learningRate: group.learningRate, weightDecay: group.weightDecay)
    }
}
