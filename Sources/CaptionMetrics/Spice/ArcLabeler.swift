/// Labels the arcs of an unlabelled tree, each by itself, looking at the tree around it.
@_spi(Training) public struct ArcLabeler: Sendable {
    @_spi(Training) public static let labels = [
        "root", "nsubj", "nsubjpass", "dobj", "iobj", "nmod", "nmod:poss", "nmod:npmod", "nmod:tmod", "amod",
        "compound", "compound:prt", "det", "det:predet", "case", "cc", "cc:preconj", "conj", "aux", "auxpass", "cop",
        "advmod", "neg", "nummod", "acl", "acl:relcl", "advcl", "xcomp", "ccomp", "csubj", "csubjpass", "mark", "mwe",
        "expl", "appos", "parataxis", "discourse", "dep", "punct", "list", "foreign", "goeswith",
    ]

    @_spi(Training) public let model: SparseLinearModel

    @_spi(Training) public init(model: SparseLinearModel) {
        self.model = model
    }

    /// One label per word; `heads` counts from 0, with `heads.count` for the root.
    @_spi(Training) public func label(shapes: [TokenShape], tags: [UInt8], heads: [Int]) -> [UInt8] {
        let tree = LabelingTree(heads: heads)
        var features = FeatureBuffer()
        var scores = [Int32](repeating: 0, count: model.classCount)
        return heads.indices.map { dependent in
            if heads[dependent] == heads.count { return 0 }
            Self.features(of: dependent, in: tree, shapes: shapes, tags: tags, into: &features)
            for c in scores.indices { scores[c] = 0 }
            model.addScores(of: features, to: &scores)
            // Only the word below the root is called root.
            scores[0] = .min
            return UInt8(scores.indexOfLargest())
        }
    }

    /// A tree, prepared for the questions that the labeller asks.
    @_spi(Training) public struct LabelingTree {
        let heads: [Int]
        let firstChild: [Int]
        let lastChild: [Int]
        let rightChildren: [Int]

        @_spi(Training) public init(heads: [Int]) {
            self.heads = heads
            var first = [Int](repeating: -1, count: heads.count + 1)
            var last = first
            var right = [Int](repeating: 0, count: heads.count + 1)
            for (dependent, head) in heads.enumerated() {
                if first[head] < 0 { first[head] = dependent }
                last[head] = dependent
                if head < dependent { right[head] += 1 }
            }
            firstChild = first
            lastChild = last
            rightChildren = right
        }
    }

    @_spi(Training) public static func features(
        of d: Int, in tree: LabelingTree, shapes: [TokenShape], tags: [UInt8], into buffer: inout FeatureBuffer
    ) {
        let count = shapes.count
        let h = tree.heads[d]
        func w(_ i: Int) -> UInt64 { i >= 0 && i < count ? shapes[i].word : (i < 0 ? 11 : 13) }
        func t(_ i: Int) -> UInt64 { i >= 0 && i < count ? UInt64(tags[i]) : (i < 0 ? 101 : 103) }
        let (hw, ht, dw, dt) = (w(h), t(h), w(d), t(d))
        let side: UInt64 = h < d ? 1 : 2
        let distance = UInt64(min(abs(h - d), 5)) * 4 + side
        let (first, last) = (tree.firstChild[d], tree.lastChild[d])
        let (headFirst, headLast) = (tree.firstChild[h], tree.lastChild[h])
        let grand = h < count ? tree.heads[h] : -1
        // The sibling just before: it distinguishes an object from what follows it.
        var sibling = -1
        var s = d - 1
        while s > (h < d ? h : -1) {
            if tree.heads[s] == h {
                sibling = s
                break
            }
            s -= 1
        }
        var beforeHead: UInt64 = 0
        if h < count {
            for i in max(0, h - 3)..<h where tree.heads[i] == h { beforeHead = FeatureHash.mix(beforeHead, w(i)) }
        }
        buffer.reset()
        buffer.add(side)
        buffer.add(ht, dt, side)
        buffer.add(hw, dt, side)
        buffer.add(ht, dw, side)
        buffer.add(hw, dw, side)
        buffer.add(dw)
        buffer.add(dt, side)
        buffer.add(hw, side)
        buffer.add(ht, dt, distance)
        buffer.add(ht, dt, t(first), side)
        buffer.add(ht, dt, w(first), side)
        buffer.add(dt, w(first), side)
        buffer.add(hw, dt, t(first), side)
        buffer.add(ht, dt, t(last), side)
        buffer.add(ht, dt, t(headFirst), side)
        buffer.add(ht, dt, w(headFirst), side)
        buffer.add(ht, dt, t(headLast), side)
        buffer.add(ht, dt, t(sibling), side)
        buffer.add(ht, dt, w(sibling), side)
        buffer.add(ht, dt, UInt64(min(tree.rightChildren[h], 3)), side)
        buffer.add(ht, dt, beforeHead, side)
        buffer.add(dt, beforeHead, side)
        buffer.add(ht, dt, t(grand), side)
        buffer.add(t(d - 1), dt, t(d + 1 < count ? d + 1 : -1), side)
        buffer.add(ht, dt, t(d - 1), side)
        buffer.add(ht, dt, w(d - 1), side)
        buffer.add(ht, dt, t(d + 1 < count ? d + 1 : -1), side)
        buffer.add(d < shapes.count ? shapes[d].suffix3 : 0, ht, side)
        buffer.add(d < shapes.count ? shapes[d].suffix3 : 0, dt, t(first), side)
        buffer.add(h < count ? shapes[h].suffix3 : 0, ht, dt, side)
    }
}
