import Testing
import Torch

@testable import LanguageModels

@Suite struct AttentionPatternTests {
    /// Queries 1 and 2 of three positions: a row that masks its first, and one that masks all but its last.
    @Test func whatIsMaskedAttendsToItselfAlone() throws {
        let mask = Tensor([0, 1, 1, 0, 0, 1] as [Int64], shape: [2, 3])
        func allowed(past: Int) throws -> [Bool] {
            try #require(AttentionPattern(mask: mask, past: past, newCount: 3 - past, device: .cpu).mask)
                .to(.int64).array(of: Int64.self).map { $0 == 1 }
        }
        let (o, x) = (false, true)
        #expect(try allowed(past: 0) == [x, o, o, o, x, o, o, x, x, x, o, o, o, x, o, o, o, x])
        #expect(try allowed(past: 1) == [o, x, o, o, x, x, o, x, o, o, o, x])
        // One new position reads what its row allows.
        #expect(try allowed(past: 2) == [o, x, x, o, o, x])
        #expect(AttentionPattern(mask: nil, past: 0, newCount: 3, device: .cpu).isCausal)
        #expect(!AttentionPattern(mask: nil, past: 0, newCount: 1, device: .cpu).isCausal)
        #expect(AttentionPattern(mask: nil, past: 2, newCount: 1, device: .cpu).mask == nil)
    }
}
