import Foundation
import Testing

@testable import Report

@Suite struct ComparisonTests {
    /// A run with a CIDEr for every image.
    @discardableResult
    private func run(
        _ folders: RunFolders, _ name: String, seed: Int, scores: [Double], rank: Int = 4, tokenizer: String = "PTB"
    ) throws -> String {
        try folders.write(RunFolders.recipe("setting \(rank)", seed: seed, rank: rank), "\(name)/recipe.yaml")
        try folders.write(RunFolders.manifest, "\(name)/manifest.json")
        let mean = scores.reduce(0, +) / Double(scores.count)
        try folders.write(RunFolders.scores([("CIDEr", mean)], tokenizer: tokenizer), "\(name)/metrics.json")
        let lines = scores.enumerated().map {
            #"{"image_id": \#($0), "caption": "a", "references": ["b"], "scores": {"CIDEr": \#($1)}}"#
        }
        try folders.write(lines.joined(separator: "\n") + "\n", "\(name)/predictions.jsonl")
        return folders.path(name)
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch { return "\(error)" }
    }

    /// Four seeds: image differences around 0.1, 0.2, 0.3, 0.4.
    private func four(_ folders: RunFolders) throws -> RunSet {
        var paths: [String] = []
        for seed in 0..<4 {
            let base = (0..<50).map { Double($0 % 7) / 10 }
            let better = base.enumerated().map { $1 + Double(seed + 1) / 10 + ($0 % 2 == 0 ? 0.05 : -0.05) }
            paths.append(try run(folders, "base-\(seed)", seed: seed, scores: base))
            paths.append(try run(folders, "better-\(seed)", seed: seed, scores: better, rank: 8))
        }
        return try RunSet(paths: paths)
    }

    @Test func `seeds and images are paired`() throws {
        let comparison = try RunComparison(four(RunFolders()), compares: ["adapter.rank"], difference: 0.25)
        #expect(comparison.settings == ["setting 4", "setting 8"])
        let contrast = try #require(comparison.contrasts.first)
        #expect(comparison.contrasts.count == 1 && contrast.metric == "CIDEr" && contrast.setting == "setting 8")
        #expect(abs(contrast.difference - 0.25) < 1e-9)
        #expect(contrast.seeds == [0, 1, 2, 3] && contrast.images == [50, 50, 50, 50])
        // Of 0.1, 0.2, 0.3, 0.4: sd 0.1291, t(3) 3.1824.
        #expect(abs(try #require(contrast.standardDeviation) - 0.129_099) < 1e-6)
        let bounds = try #require(contrast.tInterval)
        #expect(abs(bounds[0] - (0.25 - 3.182_446 * 0.129_099 / 2)) < 1e-5)
        #expect(abs(bounds[1] - (0.25 + 3.182_446 * 0.129_099 / 2)) < 1e-5)
        // The bootstrap over four seeds is narrower than t, and contains the mean.
        #expect(contrast.interval[0] > 0.1 && contrast.interval[0] < 0.2)
        #expect(contrast.interval[1] > 0.3 && contrast.interval[1] < 0.4)
        #expect(contrast.seedsNeeded == 5)
        #expect(contrast.notes.isEmpty)
        #expect(comparison.text.contains("CIDEr: setting 8 - setting 4 +0.2500 ["))
        #expect(comparison.text.contains("to find a difference of 0.25 in four of five cases: 5 seeds"))
    }

    @Test func `what differs besides is named`() throws {
        let folders = try RunFolders()
        let a = try run(folders, "a", seed: 0, scores: [0.1, 0.2])
        let b = try run(folders, "b", seed: 0, scores: [0.2, 0.4], rank: 8)
        try folders.write(
            RunFolders.manifest.replacingOccurrences(of: "1f77ca5f49aac198", with: "2e77ca5f49aac198")
                .replacingOccurrences(of: "2.13.0", with: "2.12.0"), "b/manifest.json")
        let comparison = try RunComparison(RunSet(paths: [a, b]), compares: ["adapter.rank"])
        #expect(comparison.differences.map(\.key) == ["adapter.rank", "source pairs", "version libtorch"])
        #expect(comparison.differences.map(\.isCompared) == [true, false, false])
        #expect(
            comparison.text.contains(
                "compared:\n  adapter.rank: a 4, b 8\ndiffers besides:\n  source pairs: "))
        #expect(comparison.text.contains("version libtorch: a 2.13.0, b 2.12.0"))
        #expect(
            comparison.contrasts[0].notes == [
                "one seed: the interval is over images alone, and says nothing of other seeds"
            ])
    }

    @Test func `an interval over images is near that of the normal distribution`() {
        let values = (0..<200).map { Double(($0 * 37) % 101) / 101 }
        let mean = values.reduce(0, +) / 200
        let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 200).squareRoot()
        let interval = PairedBootstrap.interval([values], isShared: true)
        let half = 1.96 * deviation / 200.0.squareRoot()
        #expect(abs(interval.low - (mean - half)) < 0.1 * half && abs(interval.high - (mean + half)) < 0.1 * half)
        // Shared images do not average out over seeds, images drawn apart do.
        let same = [[Double]](repeating: values, count: 9)
        let shared = PairedBootstrap.interval(same, isShared: true)
        let apart = PairedBootstrap.interval(same, isShared: false)
        #expect(abs((shared.high - shared.low) / (interval.high - interval.low) - 1) < 0.15)
        #expect(abs((apart.high - apart.low) / (interval.high - interval.low) - 1.0 / 3) < 0.08)
        let constant = PairedBootstrap.interval([[2, 2, 2], [2, 2, 2]], isShared: true)
        #expect(constant.low == 2 && constant.high == 2)
    }

    /// From printed tables.
    @Test(arguments: [
        (0.975, 1, 12.7062), (0.975, 3, 3.1824), (0.975, 10, 2.2281), (0.975, 120, 1.9799), (0.8, 1, 1.3764),
        (0.8, 3, 0.9785), (0.95, 7, 1.8946), (0.025, 3, -3.1824),
    ])
    func `Student's quantiles are those of the tables`(share: Double, degrees: Int, expected: Double) {
        #expect(abs(StudentT.quantile(share, degrees: degrees) - expected) < 1e-4)
    }

    @Test func `what cannot be compared is refused with its reason`() throws {
        let folders = try RunFolders()
        let a = try run(folders, "a", seed: 0, scores: [0.1, 0.2])
        let b = try run(folders, "b", seed: 1, scores: [0.1, 0.2])
        let other = try run(folders, "c", seed: 0, scores: [0.1, 0.2], rank: 8, tokenizer: "plain")
        let same = try run(folders, "d", seed: 0, scores: [0.1, 0.2], rank: 16)
        let bare = try run(folders, "e", seed: 0, scores: [0.1, 0.2], rank: 2)
        try FileManager.default.removeItem(atPath: folders.path("e/predictions.jsonl"))
        let table: [([String], [String], Set<String>, String)] = [
            ([a, b], [], [], "differ in nothing but the seed"),
            ([a, other], [], [], "CIDEr of 'c' and 'a' was computed by two protocols"),
            ([a, same], ["SPICE"], [], "not every run has 'SPICE' per image; all have CIDEr"),
            ([a, same], [], ["adapter.alpha"], "do not differ in 'adapter.alpha', which --compares names"),
            ([a, bare], [], [], "run 'e' has no scores per image"),
        ]
        for (paths, metrics, compares, expected) in table {
            let text = message { _ = try RunComparison(RunSet(paths: paths), metrics: metrics, compares: compares) }
            #expect(text.contains(expected), "\(text)")
        }
    }

    @Test func `images and seeds that only one side has are left out, and it is said`() throws {
        let folders = try RunFolders()
        let a = try run(folders, "a", seed: 0, scores: [0.1, 0.2, 0.3])
        let b = try run(folders, "b", seed: 0, scores: [0.2, 0.3], rank: 8)
        let c = try run(folders, "c", seed: 5, scores: [0.9, 0.9, 0.9])
        let contrast = try #require(try RunComparison(RunSet(paths: [a, c, b])).contrasts.first)
        #expect(abs(contrast.difference - 0.1) < 1e-9 && contrast.images == [2])
        #expect(contrast.notes.contains("1 runs whose seed the other setting lacks are left out"))
        #expect(contrast.notes.contains("1 images that only one of 'b', 'a' has are left out"))
    }
}
