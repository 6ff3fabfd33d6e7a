import Foundation
import Testing

@testable import Report

@Suite struct RecipeTextTests {
    @Test func leavesAreDottedKeys() throws {
        let recipe = try RecipeText(yaml: RunFolders.recipe("gmail"), path: "r.yaml")
        #expect(recipe.name == "gmail")
        #expect(recipe.description == "A test.")
        #expect(recipe.entries.map(\.key) == ["adapter.rank", "adapter.targets", "training.steps", "training.seed"])
        #expect(recipe["adapter.targets"] == "[q_proj, v_proj]")
        #expect(recipe["no.such"] == nil)
        #expect(recipe.published?.row == "alignment on")
        #expect(recipe.published?.numbers.map(\.metric) == ["BLEU-4", "CIDEr"])
        #expect(recipe.published?.numbers.map(\.value) == [38.12, 119.53])
    }

    @Test func textsThatLookLikeNullStayTexts() throws {
        let recipe = try RecipeText(yaml: "a: null\nb: \"null\"\nc: ~\nd: {e: {f: 1}}\ng: {}\n", path: "r.yaml")
        #expect(recipe.entries.map(\.key) == ["a", "b", "c", "d.e.f", "g"])
        #expect(recipe.entries.map(\.value) == ["null", "null", "null", "1", "{}"])
        #expect(recipe.published == nil)
    }

    @Test func differencesNameOnlyWhatDiffers() throws {
        let a = try RecipeText(yaml: RunFolders.recipe("a", rank: 4), path: "a")
        let b = try RecipeText(yaml: RunFolders.recipe("b", seed: 3, rank: 8), path: "b")
        let rows = RecipeDifferences([a, b]).rows
        #expect(rows.map(\.key) == ["adapter.rank", "training.seed"])
        #expect(rows.map(\.values) == [["4", "8"], ["0", "3"]])
        #expect(RecipeDifferences([a, a]).rows.isEmpty)
    }

    @Test func aKeyThatOnlyALaterRecipeHasStandsInItsPlace() throws {
        let a = try RecipeText(yaml: "x: {p: 1, q: 2}\ny: 3\n", path: "a")
        let b = try RecipeText(yaml: "x: {p: 2, new: 5, q: 2}\ny: 4\n", path: "b")
        let rows = RecipeDifferences([a, b]).rows
        #expect(rows.map(\.key) == ["x.p", "x.new", "y"])
        #expect(rows[1].values == [nil, "5"])
    }
}

@Suite struct RunSetTests {
    @Test func labelsAreTheShortestEndsThatDiffer() {
        #expect(RunSet.labels([["runs", "a"], ["runs", "b"]]) == ["a", "b"])
        #expect(
            RunSet.labels([["x", "one", "gmail"], ["x", "two", "gmail"], ["x", "two", "real"]])
                == ["one/gmail", "two/gmail", "real"])
        #expect(RunSet.labels([["a", "r", "run"], ["b", "r", "run"]]) == ["a/r/run", "b/r/run"])
        #expect(RunSet.labels([["gmail"], ["x", "gmail"]]) == ["gmail", "x/gmail"])
        #expect(RunSet.labels([["only"]]) == ["only"])
    }

    @Test func seedsOfOneRecipeAreOneSetting() throws {
        let folders = try RunFolders()
        var paths: [String] = []
        for (name, seed, rank) in [("b2", 2, 4), ("other", 0, 8), ("b0", 0, 4), ("b1", 1, 4)] {
            try folders.write(RunFolders.recipe("base", seed: seed, rank: rank), "\(name)/recipe.yaml")
            try folders.write(RunFolders.manifest, "\(name)/manifest.json")
            paths.append(folders.path(name))
        }
        let set = try RunSet(paths: paths)
        #expect(set.runs.map(\.label) == ["b2", "other", "b0", "b1"])
        #expect(set.settings.map(\.label) == ["base", "other"])
        #expect(set.settings[0].seeds == [0, 1, 2])
        #expect(set.settings[0].representative.label == "b0")
        #expect(set.settings[0].seedText == "3 runs, seeds 0, 1, 2")
    }

    @Test func otherDataAreAnotherSetting() throws {
        let folders = try RunFolders()
        for (name, seed, hash) in [("a", 0, "1f77ca5f49aac198"), ("b", 1, "ffffffffffffffff")] {
            try folders.write(RunFolders.recipe("base", seed: seed), "\(name)/recipe.yaml")
            try folders.write(
                RunFolders.manifest.replacingOccurrences(of: "1f77ca5f49aac198", with: hash), "\(name)/manifest.json")
        }
        #expect(try RunSet(paths: [folders.path("a"), folders.path("b")]).settings.map(\.label) == ["a", "b"])
    }

    @Test func aRunGivenTwiceIsRefused() throws {
        let folders = try RunFolders()
        try folders.write(RunFolders.recipe("a"), "a/recipe.yaml")
        #expect(throws: ReportError.repeatedRun(path: folders.path("a") + "/")) {
            try RunSet(paths: [folders.path("a"), folders.path("a") + "/"])
        }
        #expect(throws: ReportError.noRuns) { try RunSet(paths: []) }
    }
}

@Suite struct ReadingTests {
    private func error(_ files: [(String, String)]) throws -> String {
        let folders = try RunFolders()
        try folders.write(RunFolders.recipe("a"), "a/recipe.yaml")
        for (name, text) in files { try folders.write(text, "a/\(name)") }
        do {
            _ = try RunRecord(path: folders.path("a"))
            return "no error"
        } catch {
            return "\(error)".replacingOccurrences(of: folders.path("a"), with: "RUN")
        }
    }

    static let badFiles: [(String, String, String)] = [
        (
            "metrics.jsonl", "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": }\n{\"step\": 3}\n",
            "'RUN/metrics.jsonl', line 2 is not valid JSON: expected a value at column 21. Write the file again with the command that made it"
        ),
        (
            "metrics.jsonl", "{\"loss\": 2}\n",
            "'RUN/metrics.jsonl', line 1: expected a whole number of 0 or more under 'step', got no such key"
        ),
        ("metrics.jsonl", "{\"step\": 1}\n[1]\n", "'RUN/metrics.jsonl', line 2: expected an object, got an array"),
        (
            "metrics.json", "{\n\"metrics\": [\n{]\n}",
            "'RUN/metrics.json', line 3 is not valid JSON: expected a key in quotes at line 3, column 2. Write the file again with the command that made it"
        ),
        (
            "metrics.json", "{\"CIDEr\": 1.0}",
            "'RUN/metrics.json': expected a list under 'metrics', as gmail evaluate captions writes it, got no such key"
        ),
        (
            "metrics.json", #"{"metrics": [{"name": "CIDEr", "value": "high"}]}"#,
            "'RUN/metrics.json': expected a number or null under 'value' of CIDEr, got a string"
        ),
        ("manifest.json", "[]", "'RUN/manifest.json': expected an object, got an array"),
        ("retrieval.json", #"{"protocol": "x"}"#, "'RUN/retrieval.json': expected 'metrics', got nothing"),
        ("gap.json", #"{"counts": {"pairs": 1}, "protocol": {}}"#, "'RUN/gap.json': expected 'before', got nothing"),
        (
            "predictions.jsonl", #"{"image_id": 1}"# + "\n",
            "'RUN/predictions.jsonl', line 1: expected a text under 'caption', got no such key"
        ),
        (
            "predictions.jsonl", #"{"caption": "x"}"# + "\n",
            "'RUN/predictions.jsonl', line 1: expected a number or a text under 'image_id', got no such key"
        ),
        (
            "predictions.jsonl", "{\"image_id\": 7, \"caption\": \"x\"}\n\n{\"image_id\": \"7\", \"caption\": \"y\"}\n",
            "'RUN/predictions.jsonl', line 3: expected every image once, got image 7 again (first on line 1)"
        ),
        (
            "recipe.yaml", "a: [1\nb: 2\n",
            "'RUN/recipe.yaml', line 2 is not a recipe: did not find expected ',' or ']'"
        ),
        ("recipe.yaml", "- a\n", "'RUN/recipe.yaml' is not a recipe: expected a mapping of settings"),
    ]

    @Test(arguments: Self.badFiles)
    func badFilesAreNamed(file: String, text: String, expected: String) throws {
        #expect(try error([(file, text)]) == expected)
    }

    @Test func mapsWhosePointsDoNotPairAreRefused() throws {
        let map = RunFolders.gapMap.replacingOccurrences(
            of: "\"real_row\": [0, 1], \"generated\": [[3", with: "\"real_row\": [0, 2], \"generated\": [[3")
        #expect(map != RunFolders.gapMap)
        let text = try error([("gap.json", RunFolders.gap(before: 0.5, after: 0.8)), ("gap-map.json", map)])
        #expect(
            text
                == "'RUN/gap-map.json': expected points [x, y], and one 'real_row' for each generated image, got points that do not pair"
        )
    }

    @Test func notARun() throws {
        let folders = try RunFolders()
        try folders.write("x", "file")
        try folders.write("x", "empty/readme.txt")
        for (name, reason) in [
            ("no", "it does not exist"), ("file", "it is a file"), ("empty", "it has no recipe.yaml"),
        ] {
            #expect(throws: ReportError.notARun(path: folders.path(name), reason: reason)) {
                try RunRecord(path: folders.path(name))
            }
        }
    }

    static let texts: [(ReportError, String)] = [
        (
            ReportError.noRuns,
            "no run given: expected one or more run folders, as gmail align and gmail train captioner write them"
        ),
        (
            .notARun(path: "x", reason: "it is a file"),
            "'x' is not a run folder: it is a file. Expected the --out folder of gmail align or gmail train captioner"
        ),
        (.repeatedRun(path: "x"), "run 'x' is given twice; name each run once"),
        (
            .noImageFolder(path: "x"),
            "--images 'x' is not a folder; give the one that the file names in predictions.jsonl are below"
        ),
        (.unreadable(path: "x", reason: "Permission denied"), "'x' cannot be read: Permission denied"),
    ]

    @Test(arguments: Self.texts)
    func messages(error: ReportError, text: String) {
        #expect(error.description == text)
        #expect(error.errorDescription == text)
    }

    @Test func aLineThatIsBeingWrittenIsLeftOut() throws {
        let folders = try RunFolders()
        try folders.write(RunFolders.recipe("a"), "a/recipe.yaml")
        try folders.write(
            "{\"step\": 1, \"loss\": 2}\n{\"step\": 2, \"loss\": null}\n{\"step\": 3, \"lo", "a/metrics.jsonl")
        let run = try RunRecord(path: folders.path("a"))
        #expect(
            run.series == [MetricSeries(name: "loss", points: [.init(step: 1, value: 2), .init(step: 2, value: nil)])])
        #expect(
            run.notes == [
                "the last line of metrics.jsonl is not complete and was left out",
                "1 logged values are not finite; the curves have gaps there",
            ])
        #expect(run.absent == ["manifest.json", "metrics.json", "retrieval.json", "gap.json", "predictions.jsonl"])
    }

    @Test func perImageScoresAreReadFromTheirOwnFileToo() throws {
        let folders = try RunFolders()
        try folders.write(RunFolders.recipe("a"), "a/recipe.yaml")
        try folders.write(
            "{\"image_id\": 7, \"caption\": \"x\"}\n{\"image_id\": \"b\", \"caption\": \"y\"}\n", "a/predictions.jsonl")
        try folders.write("{\"image_id\": \"b\", \"CIDEr\": 0.5, \"SPICE\": null}\n", "a/per-image.jsonl")
        let predictions = try #require(try RunRecord(path: folders.path("a")).predictions)
        #expect(predictions.map(\.imageID) == ["7", "b"])
        #expect(predictions[0].scores.isEmpty)
        #expect(predictions[1].scores.map(\.name) == ["CIDEr"])
        #expect(predictions[1].scores.map(\.value) == [0.5])
    }
}
