import Files
import Safetensors

// What stands on the table: the scene graph. Pictures (`SceneRenderer`) and captions (`CaptionGrammar`) both follow from it.
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

    /// Where the light stands and its tint.
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
        /// Cell of the table: column 0 to 2 from the left, row 0 (front) or 1 (back). What relations are spoken of.
        public var column: Int
        public var row: Int
        /// Where exactly it stands.
        public var x: Double
        public var z: Double
        /// Rotation about the vertical as tan(angle / 2), so that sine and cosine need no library function.
        public var turn: Double
    }

    /// From left to right, the nearer first within a column.
    public var objects: [Object]
    public var surface: Surface
    public var light: Light
    /// Shade of the wall behind the table, in [0, 1]; nobody speaks of it.
    public var wall: Double

    /// What a caption could say of the scene: small moves of an object, its rotation and the wall are left out.
    public var signature: String {
        let things = objects.map {
            "\($0.column).\($0.row) \($0.size.rawValue) \($0.finish.rawValue) \($0.colour.rawValue) \($0.shape.rawValue)"
        }
        return "\(surface.rawValue) \(light.side.rawValue) \(light.tone.rawValue): \(things.joined(separator: ", "))"
    }

    /// SHA-256 of the signature, 64 hexadecimal digits; scenes of equal hash count as the same scene.
    public var hash: String { ContentHash.sha256(of: signature) }
}

extension Scene {
    /// Combinations that no train or validation scene contains: what a model cannot have learnt by heart.
    public static let heldOut: [(colour: Colour, shape: Shape)] = [
        (.red, .cylinder), (.yellow, .cone), (.blue, .ring), (.green, .sphere), (.purple, .cube),
    ]

    /// Whether an object has one of the combinations kept for the test.
    public var hasHeldOutCombination: Bool {
        objects.contains { object in
            Self.heldOut.contains { $0.colour == object.colour && $0.shape == object.shape }
        }
    }
}
