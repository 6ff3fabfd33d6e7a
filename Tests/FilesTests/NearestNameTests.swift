import Files
import Testing

@Suite struct NearestNameTests {
    @Test(arguments: [
        ("learningRat", "learningRate"), ("learningrate", "learningRate"), ("bta", "beta"), ("betaEnd", "beta_end"),
        ("weights", nil), ("x", "a"), ("layer.0.wieght", "layer.0.weight"),
    ])
    func mistypedNames(name: String, meant: String?) {
        let known = ["beta", "beta_end", "learningRate", "LEARNINGRATES", "a", "layer.0.weight"]
        #expect(NearestName.find(name, in: known) == meant)
    }

    /// A wrong capital is nearer than a wrong letter, and the first of two at the same distance wins.
    @Test func capitalsCountHalf() {
        #expect(NearestName.find("Rate", in: ["Rats", "rate"]) == "rate")
        #expect(NearestName.find("Rate", in: ["Rata", "Rats"]) == "Rata")
        // Half of "@`" differs in the same bit as a capital does, but these are no letters.
        #expect(NearestName.find("a@bcde", in: ["a`bcde", "A@bcde"]) == "A@bcde")
    }

    @Test func theLimitIsAThirdOfTheLettersOrTwo() {
        #expect(NearestName.find("abcdef", in: ["abcxyf"]) == "abcxyf")
        #expect(NearestName.find("abcdef", in: ["abwxyf"]) == nil)
        #expect(NearestName.find("abcdefghi", in: ["abcdefxyz"]) == "abcdefxyz")
        #expect(NearestName.find("abcdefghi", in: ["abcdewxyz"]) == nil)
        #expect(NearestName.find("", in: [String]()) == nil)
    }
}
