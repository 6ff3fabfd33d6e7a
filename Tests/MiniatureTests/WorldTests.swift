import Files
import Foundation
import Images
import Safetensors
import Testing

@testable import Miniature

@Suite struct WorldTests {
    @Test func generatorEqualsItsReference() {
        // First outputs of the reference implementation for state 1234567.
        var random = SplitMix(seed: 1_234_567)
        #expect([random.next(), random.next()] == [6_457_827_717_110_365_317, 3_203_168_211_198_807_973])
    }

    @Test(arguments: [
        (World.Split.train, "a9ce23adc356fcfc3edc96a608e6e99ea7acee46ada3a870847fa18ca3492003"),
        (.validation, "2eec25f3555bff8246872791a7ccec1371e7a1ff75a80ed61cbc194b3d73b15e"),
        (.test, "78674dab2bb89134c3eb5087c92a4aa6e8d5fd7b6a2163db48c5d5200ae99ee6"),
    ])
    func firstPictureOfEverySplitIsFixed(split: World.Split, expected: String) {
        let scene = World(seed: 0).scenes(split, count: 1)[0]
        #expect(ContentHash.sha256(of: SceneRenderer().render(scene).pixels) == expected)
    }

    @Test func aLongerDrawBeginsWithTheSameScenes() {
        let world = World(seed: 3)
        #expect(Array(world.scenes(.train, count: 40).prefix(15)) == world.scenes(.train, count: 15))
        #expect(World(seed: 4).scenes(.train, count: 15) != world.scenes(.train, count: 15))
    }

    @Test func splitsAreDisjointAlsoAcrossSeeds() {
        var seen: [String: World.Split] = [:]
        for seed in [0, 1] as [UInt64] {
            for split in World.Split.allCases {
                let hashes = World(seed: seed).scenes(split, count: 300).map(\.hash)
                #expect(Set(hashes).count == 300)
                for hash in hashes { #expect(seen.updateValue(split, forKey: hash) ?? split == split) }
            }
        }
    }

    @Test func heldOutCombinationsAreInTheTestAlone() {
        let world = World(seed: 0)
        #expect(world.scenes(.train, count: 500).allSatisfy { !$0.hasHeldOutCombination })
        #expect(world.scenes(.validation, count: 200).allSatisfy { !$0.hasHeldOutCombination })
        let share = Double(world.scenes(.test, count: 400).count(where: \.hasHeldOutCombination)) / 400
        #expect((0.15...0.45).contains(share))
    }

    @Test func sceneGraphSurvivesJSON() throws {
        for scene in World(seed: 2).scenes(.test, count: 20) {
            #expect(try JSONDecoder().decode(Scene.self, from: JSONEncoder().encode(scene)) == scene)
        }
    }

    @Test func picturesShowTheirObjects() throws {
        // Without its objects a scene has another picture, and every object changes some pixels.
        let renderer = SceneRenderer()
        for scene in World(seed: 5).scenes(.train, count: 8) {
            let whole = renderer.render(scene)
            for index in scene.objects.indices {
                var without = scene
                without.objects.remove(at: index)
                let changed = zip(whole.pixels, renderer.render(without).pixels).count { $0 != $1 }
                #expect(changed > 60)
            }
        }
        let scenes = World(seed: 5).scenes(.train, count: 8)
        #expect(renderer.render(scenes) == scenes.map { renderer.render($0) })
    }
}

@Suite struct CaptionTests {
    private let scenes = World(seed: 1).scenes(.test, count: 400)

    @Test func fiveDifferentCaptions() {
        for scene in scenes {
            let captions = CaptionGrammar.captions(for: scene)
            #expect(captions.count == 5)
            #expect(Set(captions).count == 5)
            #expect(captions == CaptionGrammar.captions(for: scene))
        }
    }

    @Test func captionsAreGrammatical() {
        let nouns = ["ball", "sphere", "cube", "block", "cylinder", "can", "cone", "ring", "hoop"]
        for caption in scenes.flatMap(CaptionGrammar.captions(for:)) {
            #expect(caption.first?.isUppercase == true && caption.hasSuffix("."), "\(caption)")
            #expect(!caption.contains("  ") && !caption.contains(" ,") && !caption.contains(" ."), "\(caption)")
            let words = caption.lowercased().split { !$0.isLetter }.map(String.init)
            for (word, next) in zip(words, words.dropFirst()) {
                let startsWithVowel = "aeiou".contains(next.first!)
                if word == "a" { #expect(!startsWithVowel, "\(caption)") }
                if word == "an" { #expect(startsWithVowel, "\(caption)") }
                if word == "is" && words.first == "there" { #expect(["a", "an"].contains(next), "\(caption)") }
            }
            // After a number above one the noun is a plural, after an article a singular.
            for (index, word) in words.enumerated()
            where nouns.contains(word) || nouns.contains(String(word.dropLast())) {
                let determiner = words[..<index].last {
                    ["a", "an", "one", "single", "two", "three", "four", "the"].contains($0)
                }
                let isPlural = !nouns.contains(word)
                #expect(isPlural == ["two", "three", "four"].contains(determiner ?? ""), "\(caption)")
            }
        }
    }

    @Test func captionsTellTheTruth() {
        for scene in scenes {
            for caption in CaptionGrammar.captions(for: scene) {
                let words = Set(caption.lowercased().split { !$0.isLetter }.map(String.init))
                for colour in Scene.Colour.allCases where words.contains(colour.rawValue) {
                    let isSurface =
                        (colour == .green && scene.surface == .felt) || (colour == .white && scene.surface == .marble)
                    #expect(isSurface || scene.objects.contains { $0.colour == colour }, "\(caption)")
                }
                if words.contains("cone") || words.contains("cones") {
                    #expect(scene.objects.contains { $0.shape == .cone })
                }
                if words.contains("wooden") { #expect(scene.surface == .wood) }
            }
        }
    }

    @Test func relationsAreTheViewers() {
        func object(_ colour: Scene.Colour, _ column: Int, _ row: Int) -> Scene.Object {
            .init(
                shape: .sphere, colour: colour, finish: .matt, size: .small, column: column, row: row,
                x: Double(column - 1) * 2, z: Double(row) * 2 - 1, turn: 0)
        }
        let scene = Scene(
            objects: [object(.red, 0, 0), object(.blue, 2, 0)], surface: .wood, light: .init(side: .left, tone: .warm),
            wall: 0)
        let relation = CaptionGrammar.captions(for: scene)[1].lowercased()
        let isRedFirst = relation.range(of: "red")!.lowerBound < relation.range(of: "blue")!.lowerBound
        #expect(relation.contains(isRedFirst ? "left of" : "right of"))
        // And the picture agrees: the red ball is in its left half.
        let picture = SceneRenderer().render(scene)
        func redness(_ columns: Range<Int>) -> Int {
            columns.reduce(0) { sum, x in
                sum
                    + (0..<64).count { y in
                        let at = (y * 64 + x) * 3
                        return picture.pixels[at] > 150 && picture.pixels[at + 1] < 90 && picture.pixels[at + 2] < 90
                    }
            }
        }
        #expect(redness(0..<32) > 10)
        #expect(redness(32..<64) == 0)
    }
}
