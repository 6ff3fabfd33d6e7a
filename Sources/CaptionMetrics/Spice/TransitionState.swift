/// A partial unlabelled parse under the arc-hybrid transitions (Kuhlmann, Gómez-Rodríguez and Satta, ACL 2011).
///
/// Words are 0..<n; the root is n and stands after the last word. The stack holds words whose governor is open, the
/// buffer the words that are not read yet.
@_spi(Training) public struct TransitionState {
    @_spi(Training) public enum Transition: Int, CaseIterable, Sendable {
        /// The first word of the buffer goes onto the stack.
        case shift = 0
        /// The first word of the buffer governs the top of the stack.
        case left = 1
        /// The second word of the stack governs the top.
        case right = 2
    }

    @_spi(Training) public let count: Int
    @_spi(Training) public private(set) var stack: [Int] = []
    @_spi(Training) public private(set) var next = 0
    /// Governors found so far; -1 where open.
    @_spi(Training) public private(set) var heads: [Int]
    private(set) var leftmost: [Int]
    private(set) var leftmost2: [Int]
    private(set) var rightmost: [Int]
    private(set) var leftValency: [UInt8]
    private(set) var rightValency: [UInt8]

    @_spi(Training) public init(count: Int) {
        self.count = count
        heads = Array(repeating: -1, count: count)
        leftmost = Array(repeating: -1, count: count + 1)
        leftmost2 = leftmost
        rightmost = leftmost
        leftValency = Array(repeating: 0, count: count + 1)
        rightValency = leftValency
        stack.reserveCapacity(count)
    }

    @_spi(Training) public var isFinal: Bool { stack.isEmpty && next >= count }

    /// Whether a transition keeps the parse a tree with one word below the root.
    @_spi(Training) public func allows(_ transition: Transition) -> Bool {
        switch transition {
        case .shift: next < count
        case .left: !stack.isEmpty && (next < count || stack.count == 1)
        case .right: stack.count > 1
        }
    }

    @_spi(Training) public mutating func apply(_ transition: Transition) {
        switch transition {
        case .shift:
            stack.append(next)
            next += 1
        case .left:
            let dependent = stack.removeLast()
            heads[dependent] = next
            leftmost2[next] = leftmost[next]
            leftmost[next] = dependent
            leftValency[next] += leftValency[next] < 250 ? 1 : 0
        case .right:
            let dependent = stack.removeLast()
            let governor = stack[stack.count - 1]
            heads[dependent] = governor
            rightmost[governor] = dependent
            rightValency[governor] += rightValency[governor] < 250 ? 1 : 0
        }
    }

    /// How many arcs of the gold tree a transition makes unreachable (Goldberg and Nivre, TACL 2013).
    @_spi(Training) public func cost(of transition: Transition, gold: [Int]) -> Int {
        var cost = 0
        switch transition {
        case .shift:
            for word in stack.dropLast() where gold[next] == word { cost += 1 }
            for word in stack where gold[word] == next { cost += 1 }
        case .left:
            let top = stack[stack.count - 1]
            if stack.count > 1, gold[top] == stack[stack.count - 2] { cost += 1 }
            if gold[top] > next { cost += 1 }
            for word in next..<max(next, count) where gold[word] == top { cost += 1 }
        case .right:
            let top = stack[stack.count - 1]
            if gold[top] >= next { cost += 1 }
            for word in next..<max(next, count) where gold[word] == top { cost += 1 }
        }
        return cost
    }

    /// The features of the next decision.
    @_spi(Training) public func features(shapes: [TokenShape], tags: [UInt8], into buffer: inout FeatureBuffer) {
        let depth = stack.count
        let s0 = depth > 0 ? stack[depth - 1] : -1
        let s1 = depth > 1 ? stack[depth - 2] : -1
        let s2 = depth > 2 ? stack[depth - 3] : -1
        let b0 = next
        @inline(__always) func w(_ i: Int) -> UInt64 { i >= 0 && i < count ? shapes[i].word : (i < 0 ? 11 : 13) }
        @inline(__always) func t(_ i: Int) -> UInt64 { i >= 0 && i < count ? UInt64(tags[i]) : (i < 0 ? 101 : 103) }
        @inline(__always) func child(_ table: [Int], _ i: Int) -> Int { i >= 0 ? table[i] : -1 }
        let (s0w, s0t, s1w, s1t, b0w, b0t) = (w(s0), t(s0), w(s1), t(s1), w(b0), t(b0))
        let (b1, b2) = (min(b0 + 1, count), min(b0 + 2, count))
        let (b1t, b2t, b1w) = (t(b1), t(b2), w(b1))
        let s2t = t(s2)
        let (s0l, s0r) = (child(leftmost, s0), child(rightmost, s0))
        let (s1l, s1r) = (child(leftmost, s1), child(rightmost, s1))
        let b0l = child(leftmost, b0)
        let (s0lt, s0rt, s1lt, s1rt, b0lt) = (t(s0l), t(s0r), t(s1l), t(s1r), t(b0l))
        let (s0lw, s1lw, s0rw, s1rw) = (w(s0l), w(s1l), w(s0r), w(s1r))
        let distance = UInt64(s0 < 0 ? 0 : min(b0 - s0, 6))
        let between = UInt64(s1 < 0 ? 0 : min(s0 - s1, 6))
        let s0v = UInt64(s0 < 0 ? 0 : Int(leftValency[s0]) * 16 + min(Int(rightValency[s0]), 15))
        let s1v = UInt64(s1 < 0 ? 0 : Int(leftValency[s1]) * 16 + min(Int(rightValency[s1]), 15))
        let b0v = UInt64(leftValency[b0])
        buffer.reset()
        buffer.add(1)
        buffer.add(s0w, s0t)
        buffer.add(s0t)
        buffer.add(s1w, s1t)
        buffer.add(s1t)
        buffer.add(b0w, b0t)
        buffer.add(b0t)
        buffer.add(b1w, b1t)
        buffer.add(w(b2), b2t)
        buffer.add(s0t, b0t)
        buffer.add(s0w, b0w)
        buffer.add(s0w, b0t)
        buffer.add(s0t, b0w)
        buffer.add(s0w, s0t, b0t)
        buffer.add(s0t, b0w, b0t)
        buffer.add(s1t, s0t)
        buffer.add(s1w, s0w)
        buffer.add(s1w, s0t)
        buffer.add(s1t, s0w)
        buffer.add(s1w, b0w)
        buffer.add(s1t, s0t, b0t)
        buffer.add(s1w, s0t, b0t)
        buffer.add(s1t, s0w, b0t)
        buffer.add(s1t, s0t, b0w)
        buffer.add(s1w, s0t, b0w)
        buffer.add(s1t, s0w, b0w)
        buffer.add(s0t, b0t, b1t)
        buffer.add(s0t, b0w, b1t)
        buffer.add(s0w, b0t, b1t)
        buffer.add(s0t, b0t, b1w)
        buffer.add(s1t, s0t, b0t, b1t)
        buffer.add(b0t, b1t, b2t)
        buffer.add(s0t, FeatureHash.mix(b0t, b1t), b2t)
        buffer.add(s1t, s0t, FeatureHash.mix(b0w, b1t), b2t)
        buffer.add(s2t, s1t, s0t)
        buffer.add(s2t, s1t, s0t, b0t)
        buffer.add(s0t, s0lt, s0rt)
        buffer.add(s0t, s0lt, b0t)
        buffer.add(s0t, s0rt, b0t)
        buffer.add(s1t, s1rt, s0t)
        buffer.add(s1t, s1rt, s0t, b0t)
        buffer.add(s1t, s1lt, s0t)
        buffer.add(s1t, s0t, s0lt)
        buffer.add(s1t, s0t, s0rt)
        buffer.add(s1t, s0t, s0lw)
        buffer.add(s1w, s0lw, s0t)
        buffer.add(s1w, s0lw, s0w)
        buffer.add(s1t, s0lw, s0w)
        buffer.add(s1t, s0lw, s0t, b0t)
        buffer.add(s0t, b0t, b0lt)
        buffer.add(s0t, s0lw, b0w)
        buffer.add(s1t, s1lw, s0t, b0w)
        buffer.add(s1rw, s0t, b0w)
        buffer.add(s0rw, s0t, b0w)
        buffer.add(s0t, s0v)
        buffer.add(s1t, s1v)
        buffer.add(b0t, b0v)
        buffer.add(s0w, s0v)
        buffer.add(s1w, s1v)
        buffer.add(s0t, b0t, distance)
        buffer.add(s1t, s0t, between)
        buffer.add(s0t, b0t, s0v, b0v)
        buffer.add(s1t, s0t, s1v, s0v)
        buffer.add(s2t, t(child(rightmost, s2)), s1t, s0t)
    }
}
