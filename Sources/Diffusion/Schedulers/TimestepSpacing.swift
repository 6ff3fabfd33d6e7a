// The training steps for which the inference steps stand, as diffusers computes them with NumPy: the same doubles,
// rounded half to even.

extension SchedulerConfiguration.Spacing {
    /// `count` timesteps, ascending.
    /// - Parameters:
    ///   - trainSteps: the number of training steps of the model.
    ///   - offset: added under leading spacing.
    /// - Note: for some counts with trailing spacing (61, 103, …) NumPy's `arange` overshoots, and diffusers makes an
    ///   additional step at training step -1; here there are always `count`.
    func timesteps(_ count: Int, of trainSteps: Int, offset: Int) -> [Int] {
        switch self {
        case .linspace:
            return evenlySpaced(0, Double(trainSteps - 1), count).map(halfEven)
        case .leading:
            let ratio = trainSteps / count
            return (0..<count).map { $0 * ratio + offset }
        case .trailing:
            return descending(from: Double(trainSteps), by: Double(trainSteps) / Double(count), count)
                .map { halfEven($0) - 1 }.reversed()
        }
    }
}

/// `numpy.linspace`
func evenlySpaced(_ first: Double, _ last: Double, _ count: Int) -> [Double] {
    guard count > 1 else { return [first] }
    let step = (last - first) / Double(count - 1)
    return (0..<count).map { $0 == count - 1 ? last : Double($0) * step + first }
}

/// The first `count` values of `numpy.arange(first, 0, -step)`.
func descending(from first: Double, by step: Double, _ count: Int) -> [Double] {
    // NumPy derives the step from its first two values.
    let delta = (first - step) - first
    return (0..<count).map { first + Double($0) * delta }
}

func halfEven(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }

extension NoiseScheduler {
    /// Refuses numbers of steps for which there are no timesteps.
    func check(steps: Int) throws {
        let most = configuration.trainSteps
        guard (1...most).contains(steps) else {
            throw SchedulerError.badStepCount(
                scheduler: Self.kind.className, expected: "1 to \(most) (num_train_timesteps)", got: steps)
        }
    }

    /// Refuses timesteps beyond the tables, which a steps_offset with very many steps produces.
    func check(timesteps: [Int], steps: Int) throws {
        if let beyond = timesteps.first(where: { !(0..<configuration.trainSteps).contains($0) }) {
            throw SchedulerError.badStepCount(
                scheduler: Self.kind.className,
                expected: "so few that steps_offset \(configuration.stepsOffset) leads to no timestep beyond "
                    + "\(configuration.trainSteps - 1) (one is \(beyond))", got: steps)
        }
    }
}
