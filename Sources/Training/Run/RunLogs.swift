import Files

/// The files that a training appends to as it goes: `metrics.jsonl`, which belongs to the result, and `timings.jsonl` and
/// TensorBoard's events, which tell about it.
///
/// None of them stops the training when the disk is full. Metrics wait in memory for the next checkpoint, which fails
/// without them; timings and events that cannot be written are lost. Either is said once.
final class RunLogs {
    let metrics: MetricsLog
    private var timings: MetricsLog?
    private var events: EventFile?
    private let note: (String) -> Void
    private var hasNotedMetrics = false

    /// - Parameters:
    ///   - step: the first step of a resumed run; nil for one that begins.
    ///   - note: takes lines for the user.
    init(metrics: MetricsLog, folder: RunFolder, resumedAt step: Int?, note: @escaping (String) -> Void) {
        self.metrics = metrics
        self.note = note
        do {
            timings = try MetricsLog(path: folder.timingsPath)
            events = try EventFile(folder: folder.path, resumedAt: step)
        } catch {
            giveUp(error)
        }
    }

    /// What was measured at a step.
    func append(step: Int, _ numbers: [Metric]) {
        if let error = metrics.append(step: step, numbers), !hasNotedMetrics {
            hasNotedMetrics = true
            note("warning: \(error). The training goes on; metrics are kept in memory until the next checkpoint")
        }
        appendEvents(step: step, numbers)
    }

    /// How fast a step was.
    func append(step: Int, timings numbers: [Metric]) {
        if let error = timings?.append(step: step, numbers) { giveUp(error) }
        appendEvents(step: step, numbers.map { Metric("time/\($0.name)", $0.value) })
    }

    private func appendEvents(step: Int, _ numbers: [Metric]) {
        do {
            try events?.append(step: step, numbers)
        } catch {
            giveUp(error)
        }
    }

    /// Timings and events end here; what follows would have gaps.
    private func giveUp(_ error: any Error) {
        note("warning: \(error). The training goes on without timings.jsonl and TensorBoard's events")
        timings = nil
        events = nil
    }
}
