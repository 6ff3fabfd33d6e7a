import Testing

@testable import CaptionMetrics

/// The texts of METEOR's errors, as users see them.
@Suite struct MeteorMessageTests {
    static let table: [(MeteorError, String)] = [
        (
            .dataMissing(path: "/d/meteor-en.bin"),
            "METEOR's data file '/d/meteor-en.bin' does not exist; make it once with: pip download --no-deps "
                + "pycocoevalcap==1.2 && gmail data meteor --from pycocoevalcap-1.2-py3-none-any.whl "
                + "(without it only --meteor exact,stem can be computed)"
        ),
        (
            .dataUnreadable(path: "/d", reason: "Permission denied"),
            "METEOR's data file '/d' cannot be read: Permission denied."
        ),
        (
            .dataFormat(path: "/d", problem: "format version 9, expected 1"),
            "METEOR's data file '/d' is not usable: format version 9, expected 1. Make it again with: "
                + "gmail data meteor --from PATH"
        ),
        (
            .modulesNeedData([.synonym, .paraphrase]),
            "METEOR's synonym and paraphrase matching needs the data file, and none was given. Make it with: "
                + "gmail data meteor --from PATH, or ask for the variant exact,stem."
        ),
        (
            .unknownModule("stemm"),
            "unknown METEOR module 'stemm'. Expected some of: exact, stem, synonym, paraphrase"
        ),
        (.repeatedModule("stem"), "METEOR module 'stem' is named twice."),
        (.noModules, "an empty list of METEOR modules. Expected some of: exact, stem, synonym, paraphrase"),
        (
            .sourceNotFound(path: "/x", expected: ["a wheel", "a jar"]),
            "'/x' holds no METEOR tables. Expected one of: a wheel; a jar. "
                + "pip download --no-deps pycocoevalcap==1.2 gives a .whl that does."
        ),
        (
            .toolMissing(tool: "unzip", purpose: "unpack METEOR's tables"),
            "the program 'unzip' was not found on PATH; it is needed once, to unpack METEOR's tables. "
                + "Install it (Debian: apt install unzip)."
        ),
        (
            .toolFailed(command: "gzip -dc x.gz", status: 1, message: "not in gzip format"),
            "'gzip -dc x.gz' ended with status 1: not in gzip format"
        ),
        (.toolFailed(command: "unzip -p a b", status: 9, message: ""), "'unzip -p a b' ended with status 9."),
        (
            .malformedTable(table: "english.synsets", line: 2, expected: "synset numbers", got: "'x'"),
            "METEOR table english.synsets, line 2: expected synset numbers, got 'x'."
        ),
        (
            .writeFailed(path: "/d", reason: "No space left on device"),
            "METEOR's data file '/d' cannot be written: No space left on device."
        ),
        (
            .noReferences(image: 3),
            "image 3 (counted from 0) has no references; METEOR needs at least one, which may be empty."
        ),
        (
            .countMismatch(candidates: 2, references: 3),
            "2 candidates but references for 3 images; METEOR expects one candidate an image."
        ),
        (.statisticsCount(22), "METEOR has 23 statistics a pair, got 22."),
        (
            .captionTooLong(image: 0, words: 10_001, limit: 10_000),
            "image 0 (counted from 0) has a caption of 10001 words; METEOR's aligner takes at most 10000."
        ),
        (
            .tooManyMatches(image: 2, testWords: 5, referenceWords: 7, limit: 4),
            "image 2 (counted from 0) has captions of 5 and 7 words with more than 4 possible word matches; "
                + "METEOR's aligner takes no more."
        ),
    ]

    @Test(arguments: table.indices)
    func text(row: Int) {
        let (error, text) = Self.table[row]
        #expect(error.description == text)
        #expect(error.localizedDescription == text)
    }

    @Test func moduleLists() throws {
        #expect(try MeteorModule.list("stem, exact") == [.exact, .stem])
        #expect(try MeteorModule.list("exact,stem,synonym,paraphrase") == MeteorModule.allCases)
        #expect(throws: MeteorError.unknownModule("stemm")) { try MeteorModule.list("exact,stemm") }
        #expect(throws: MeteorError.repeatedModule("exact")) { try MeteorModule.list("exact,exact") }
        #expect(throws: MeteorError.noModules) { try MeteorModule.list(" , ") }
    }

    @Test func wrongUseIsReported() throws {
        #expect(throws: MeteorError.modulesNeedData([.synonym, .paraphrase])) { try MeteorScorer(data: nil) }
        #expect(throws: MeteorError.modulesNeedData([.synonym])) {
            try MeteorScorer(data: nil, modules: [.synonym, .exact])
        }
        #expect(throws: MeteorError.repeatedModule("exact")) {
            try MeteorScorer(data: nil, modules: [.exact, .exact])
        }
        #expect(throws: MeteorError.noModules) { try MeteorScorer(data: nil, modules: []) }
        let scorer = try MeteorScorer(data: nil, modules: [.exact])
        #expect(throws: MeteorError.noReferences(image: 0)) { try scorer.score(test: "a", references: []) }
        #expect(throws: MeteorError.noReferences(image: 1)) {
            try scorer.evaluate(candidates: ["a", "b", "c"], references: [["a"], [], []])
        }
        #expect(throws: MeteorError.countMismatch(candidates: 1, references: 2)) {
            try scorer.evaluate(candidates: ["a"], references: [["a"], ["b"]])
        }
        #expect(throws: MeteorError.statisticsCount(2)) { try MeteorStatistics(values: [1, 2]) }
        let values = (0..<23).map(Double.init)
        #expect(try MeteorStatistics(values: values).values == values)
    }
}
