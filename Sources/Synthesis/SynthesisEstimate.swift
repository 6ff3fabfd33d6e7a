import Foundation

/// How long a whole set will take and how large it will be, estimated from its first batches.
public struct SynthesisEstimate: Sendable, Hashable {
    /// Speed on this device.
    public let imagesPerSecond: Double
    /// Bytes of an encoded image.
    public let bytesPerImage: Double
    /// Images that this shard still lacks.
    public let remaining: Int
    /// Images of all shards.
    public let total: Int
    public let shardCount: Int

    public var secondsLeft: Double { Double(remaining) / imagesPerSecond }

    /// Time of one device for the whole set, including what is done already.
    public var totalSeconds: Double { Double(total) / imagesPerSecond }

    public var totalBytes: Double { Double(total) * bytesPerImage }

    /// One line for people.
    public var text: String {
        let rate =
            imagesPerSecond < 10 ? String(format: "%.3g", imagesPerSecond) : String(format: "%.0f", imagesPerSecond)
        return
            "estimate: \(rate) images/s; the whole set of \(total) images takes \(Self.duration(totalSeconds)) on one such "
            + "device and \(Self.size(totalBytes)) on disk"
            + (shardCount > 1 ? "; this shard of \(shardCount) needs \(Self.duration(secondsLeft)) more" : "")
    }

    static func duration(_ seconds: Double) -> String {
        if seconds < 90 { return String(format: "%.0f s", seconds.rounded(.up)) }
        if seconds < 90 * 60 { return String(format: "%.0f min", seconds / 60) }
        return String(format: seconds < 36_000 ? "%.1f hours" : "%.0f hours", seconds / 3600)
    }

    static func size(_ bytes: Double) -> String {
        let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB")]
        for (size, unit) in units where bytes >= size { return String(format: "%.1f %@", bytes / size, unit) }
        return String(format: "%.0f kB", (bytes / 1e3).rounded(.up))
    }
}

/// Rate and size of finished batches. The first is left out once there is another, because it includes the set-up of
/// kernels and memory.
struct SynthesisMeter {
    private var batches: [(images: Int, seconds: Double)] = []
    private var bytes = 0
    private var files = 0

    var batchCount: Int { batches.count }

    mutating func add(images: Int, seconds: Double) { batches.append((images, seconds)) }

    mutating func add(bytes: Int) {
        self.bytes += bytes
        files += 1
    }

    /// nil before the first batch.
    func estimate(plan: SynthesisPlan, remaining: Int) -> SynthesisEstimate? {
        let counted = batches.count > 1 ? batches.dropFirst() : batches[...]
        let seconds = counted.reduce(0) { $0 + $1.seconds }
        let images = counted.reduce(0) { $0 + $1.images }
        guard images > 0, seconds > 0 else { return nil }
        return SynthesisEstimate(
            imagesPerSecond: Double(images) / seconds, bytesPerImage: files > 0 ? Double(bytes) / Double(files) : 0,
            remaining: remaining, total: plan.totalCount, shardCount: plan.shard.count)
    }
}
