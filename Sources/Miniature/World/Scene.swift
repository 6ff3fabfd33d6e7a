import Files
import Safetensors

// The scene graph: what is on the table. Pictures (`SceneRenderer`) and captions (`CaptionGrammar`) are made from it.
//
// Table coordinates: x to the viewer's right, y up, z away from the viewer; the middle of the table is the origin.

/// The graph of one tabletop scene.
public struct Scene: Codable, Sendable, Hashable {
    public enum Shape: String, Codable, Sendable, CaseIterable { case sphere, cube, cylinder, cone, ring }
    public enum Colour: String, Codable, Sendable, CaseIterable {
        case red, orange, yellow, green, blue, purple, white, black
    }
    public enum Finish: String, Codable, Sendable, CaseIterable { case matt, shiny }
    public enum Size: String, Codable, Sendable, CaseIterable { case small, large }
    public enum Surface: String, Codable, Sendable, CaseIterable { case wood, marble, slate, felt, cloth }

    /// Where the light is, and its tint.
    public struct Light: Codable, Sendable, Hashable {
        public enum Side: String, Codable, Sendable, CaseIterable { case left, right, front }
        public enum Tone: String, Codable, Sendable, CaseIterable { case warm, neutral, cool }

        public var side: Side
        public var tone: Tone
    }

    public struct Object: Codable, Sendable, Hashable {
        public var shape: Shape
        public var colour: Colour
        public var finish: Finish
        public var size: Size
        /// Cell of the table: column 0 to 2 from the left, row 0 (front) or 1 (back). Captions speak of these cells.
        public var column: Int
        public var row: Int
        /// The exact position.
        public var x: Double
        public var z: Double
        /// Rotation about the vertical axis as tan(angle / 2), so that sine and cosine need no library function.
        public var turn: Double
    }

    /// From left to right, and within a column the nearer first.
    public var objects: [Object]
    public var surface: Surface
    public var light: Light
    /// Shade of the wall behind the table, in [0, 1]; captions do not mention it.
    public var wall: Double

    /// What a caption could say about the scene, without small shifts of an object, its rotation and the wall.
    public var signature: String {
        let things = objects.map {
            "\($0.column).\($0.row) \($0.size.rawValue) \($0.finish.rawValue) \($0.colour.rawValue) \($0.shape.rawValue)"
        }
        return "\(surface.rawValue) \(light.side.rawValue) \(light.tone.rawValue): \(things.joined(separator: ", "))"
    }

    /// SHA-256 of the signature, 64 hexadecimal digits; scenes with equal hashes count as the same scene.
    public var hash: String { ContentHash.sha256(of: signature) }
}

extension Scene {
    /// Combinations that no train or validation scene contains, so that no model can have memorised them.
    public static let heldOut: [(colour: Colour, shape: Shape)] = [
        (.red, .cylinder), (.yellow, .cone), (.blue, .ring), (.green, .sphere), (.purple, .cube),
    ]

    /// Whether an object has one of the combinations reserved for the test.
    public var hasHeldOutCombination: Bool {
        objects.contains { object in
            Self.heldOut.contains { $0.colour == object.colour && $0.shape == object.shape }
        }
    }
}
