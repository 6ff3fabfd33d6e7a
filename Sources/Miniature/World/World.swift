/// An unlimited supply of scenes, the same for the same seed on every machine.
///
///     let scenes = World(seed: 0).scenes(.train, count: 2000)
///
/// The hash of a scene, not the seed, decides its part: train, validation and test are disjoint within a world and
/// across worlds. Scenes with a combination of `Scene.heldOut` occur only in the test, where they are about a quarter.
public struct World: Sendable {
    public enum Split: String, Codable, Sendable, CaseIterable {
        case train, validation, test

        /// The part of a scene by its hash: eight, one and one of ten equal parts.
        static func of(hash: String) -> Split {
            switch hash.utf8.prefix(8).reduce(UInt64(0), { $0 * 16 + Self.digit($1) }) % 10 {
            case 0...7: .train
            case 8: .validation
            default: .test
            }
        }

        private static func digit(_ character: UInt8) -> UInt64 {
            UInt64(character <= UInt8(ascii: "9") ? character - UInt8(ascii: "0") : character - UInt8(ascii: "a") + 10)
        }
    }

    public let seed: UInt64

    public init(seed: UInt64) { self.seed = seed }

    /// The first `count` scenes of a part, no two with the same hash; a larger count begins with the same scenes.
    public func scenes(_ split: Split, count: Int) -> [Scene] {
        let stream: UInt64 =
            switch split {
            case .train: 1
            case .validation: 2
            case .test: 3
            }
        var random = SplitMix(seed: seed, stream: stream)
        var seen: Set<String> = []
        var scenes: [Scene] = []
        scenes.reserveCapacity(count)
        while scenes.count < count {
            let scene = Self.draw(&random)
            let hash = scene.hash
            guard Split.of(hash: hash) == split, split == .test || !scene.hasHeldOutCombination,
                !Self.hidesSomething(scene), seen.insert(hash).inserted
            else { continue }
            scenes.append(scene)
        }
        return scenes
    }

    /// Columns and rows are so far apart that two large objects never touch.
    private static let columnSpacing = 2.0
    private static let rowSpacing = 2.0

    /// Whether a large body hides something behind it, so that a caption would mention what is not visible.
    private static func hidesSomething(_ scene: Scene) -> Bool {
        scene.objects.contains { front in
            front.size == .large && front.shape != .ring
                && scene.objects.contains { back in
                    back.column == front.column && back.row > front.row && (back.size == .small || back.shape == .ring)
                }
        }
    }

    private static func draw(_ random: inout SplitMix) -> Scene {
        let count = [1, 2, 2, 2, 3, 3, 3, 4][random.integer(below: 8)]
        var cells = (0..<6).map { (column: $0 / 2, row: $0 % 2) }
        random.shuffle(&cells)
        var objects = cells.prefix(count).map { cell in
            Scene.Object(
                shape: random.pick(Scene.Shape.allCases), colour: random.pick(Scene.Colour.allCases),
                finish: random.pick(Scene.Finish.allCases), size: random.pick(Scene.Size.allCases),
                column: cell.column, row: cell.row,
                x: (Double(cell.column) - 1) * columnSpacing + random.uniform(-0.13, 0.13),
                z: (Double(cell.row) - 0.5) * rowSpacing + random.uniform(-0.13, 0.13), turn: random.uniform(-0.4, 0.4))
        }
        objects.sort { ($0.column, $0.row) < ($1.column, $1.row) }
        return Scene(
            objects: objects, surface: random.pick(Scene.Surface.allCases),
            light: .init(side: random.pick(Scene.Light.Side.allCases), tone: random.pick(Scene.Light.Tone.allCases)),
            wall: random.uniform())
    }
}
