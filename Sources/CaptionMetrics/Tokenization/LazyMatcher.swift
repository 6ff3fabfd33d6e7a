/// Runs an `Automaton` as a deterministic one whose states are made when they are first reached.
///
/// One value per thread, because reaching new states changes it. Only the states that real text visits are ever built,
/// so a rule set of thousands of automaton states costs a few milliseconds.
struct LazyMatcher {
    /// No continuation.
    static let dead: Int32 = -1
    private static let unknown: Int32 = -2

    private let automaton: Automaton
    private let classes: UnitClasses
    /// `[set * classes + class]`: does the set hold the class?
    private let holds: [Bool]
    /// `[state * classes + class]`.
    private var transitions: [Int32] = []
    /// Lowest pattern number accepted in a state, or -1.
    private var acceptedRules: [Int32] = []
    /// The automaton states (readers only) behind each deterministic state.
    private var members: [[Int32]] = []
    private var stateOfMembers: [[Int32]: Int32] = [:]
    private var mark: [Int32]
    private var generation: Int32 = 0
    let start: Int32

    init(_ automaton: Automaton, classes: UnitClasses) {
        self.automaton = automaton
        self.classes = classes
        var holds = [Bool](repeating: false, count: automaton.sets.count * classes.count)
        for (index, set) in automaton.sets.enumerated() {
            for unitClass in 0..<classes.count {
                holds[index * classes.count + unitClass] = set.contains(classes.representative[unitClass])
            }
        }
        self.holds = holds
        mark = [Int32](repeating: 0, count: automaton.states.count)
        start = 0
        generation = 1
        var readers: [Int32] = []
        var accept: Int32 = -1
        Self.close(automaton.start, automaton, &mark, generation, &readers, &accept)
        _ = intern(readers, accept)
    }

    /// The state after reading a unit of class `unitClass` in `state`, or `dead`.
    @inline(__always)
    mutating func step(_ state: Int32, _ unitClass: UInt8) -> Int32 {
        let index = Int(state) &* classes.count &+ Int(unitClass)
        let next = transitions[index]
        return next == Self.unknown ? build(state, unitClass, at: index) : next
    }

    /// The class of a code unit.
    @inline(__always)
    func classOf(_ unit: UInt16) -> UInt8 { classes.classOfUnit[Int(unit)] }

    /// The lowest number of a pattern that has matched when `state` is reached, or -1.
    @inline(__always)
    func accepted(_ state: Int32) -> Int32 { acceptedRules[Int(state)] }

    var stateCount: Int { members.count }

    @inline(never)
    private mutating func build(_ state: Int32, _ unitClass: UInt8, at index: Int) -> Int32 {
        generation += 1
        var readers: [Int32] = []
        var accept: Int32 = -1
        for member in members[Int(state)] {
            guard case .read(let reader) = automaton.states[Int(member)] else { continue }
            if holds[Int(reader.set) * classes.count + Int(unitClass)] {
                Self.close(reader.next, automaton, &mark, generation, &readers, &accept)
            }
        }
        let next = readers.isEmpty && accept < 0 ? Self.dead : intern(readers, accept)
        transitions[index] = next
        return next
    }

    private mutating func intern(_ readers: [Int32], _ accept: Int32) -> Int32 {
        let key = readers.sorted() + [accept]
        if let known = stateOfMembers[key] { return known }
        let state = Int32(members.count)
        stateOfMembers[key] = state
        members.append(readers)
        acceptedRules.append(accept)
        transitions.append(contentsOf: repeatElement(Self.unknown, count: classes.count))
        return state
    }

    /// Adds to `readers` every reading state that `state` reaches without reading, and lowers `accept` to the lowest
    /// pattern number on the way.
    private static func close(
        _ state: Int32, _ automaton: Automaton, _ mark: inout [Int32], _ generation: Int32, _ readers: inout [Int32],
        _ accept: inout Int32
    ) {
        var stack = [state]
        while let top = stack.popLast() {
            if mark[Int(top)] == generation { continue }
            mark[Int(top)] = generation
            switch automaton.states[Int(top)] {
            case .read: readers.append(top)
            case .branch(let next): stack.append(contentsOf: next)
            case .accept(let number): accept = accept < 0 ? number : min(accept, number)
            }
        }
    }
}
