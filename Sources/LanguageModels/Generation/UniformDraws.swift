import Torch

/// The uniform numbers that sampling consumes, one per sequence and token.
///
/// Sequence i reads its own numbers. So a sequence depends neither on when others end nor on how prompts are batched,
/// as long as its place among them is the same.
public struct UniformDraws {
    private enum Source {
        case generator(Generator)
        case values([[Double]])
    }

    private let source: Source

    /// Numbers from a CPU generator: one table `[sequences, maximumNewTokens]` per call of `generate`.
    public init(_ generator: Generator) {
        precondition(generator.device == .cpu, "uniform draws come from a CPU generator")
        source = .generator(generator)
    }

    /// Given numbers in [0, 1): row i is for sequence i, in the order of the prompts and, within a prompt, of its
    /// sequences.
    public init(_ values: [[Double]]) { source = .values(values) }

    func table(sequences: Int, tokens: Int) throws(LanguageModelError) -> [[Double]] {
        switch source {
        case .generator(let generator):
            let numbers = Tensor.rand([sequences, tokens], dtype: .float64, generator: generator).array(of: Double.self)
            return (0..<sequences).map { Array(numbers[$0 * tokens..<($0 + 1) * tokens]) }
        case .values(let values):
            for sequence in 0..<sequences {
                let got = sequence < values.count ? values[sequence].count : 0
                guard got >= tokens else { throw .tooFewDraws(sequence: sequence, needed: tokens, got: got) }
            }
            return values
        }
    }
}
