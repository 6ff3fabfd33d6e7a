/// Lines about the progress of a long preparation: one every two seconds, none at its end.
public final class SlowNotes {
    private let note: (_ done: Int, _ total: Int) -> Void
    private var lastShown = ContinuousClock.now

    public init(_ note: @escaping (_ done: Int, _ total: Int) -> Void) { self.note = note }

    public func update(_ done: Int, _ total: Int) {
        let now = ContinuousClock.now
        guard done < total, now - lastShown > .seconds(2) else { return }
        lastShown = now
        note(done, total)
    }
}
