extension DependencyParse {
    /// The tuples of this collapsed parse, in the order SPICE proposes them.
    public func sceneTuples() -> [SceneTuple] {
        SceneTupleExtractor.tuples(of: self)
    }

    public func collapsed() -> DependencyParse { self }
}
