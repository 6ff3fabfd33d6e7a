import Foundation
import Images

// A small ray tracer: an area light with soft shadows, ambient light that darkens near contacts, highlights and
// reflections of the room on shiny objects. Nine rays per pixel, each to another point of the light, smooth both edges
// and shadows.

/// Draws scenes.
public struct SceneRenderer: Sendable {
    /// Side of the square picture in pixels.
    public let side: Int

    public init(side: Int = 64) {
        precondition(side > 0)
        self.side = side
    }

    /// The picture of a scene; the same bytes on every machine.
    public func render(_ scene: Scene) -> RGBImage {
        let stage = Stage(scene)
        var pixels = [UInt8](repeating: 0, count: side * side * 3)
        let step = 2 / Float(side * Self.grid)
        for y in 0..<side {
            for x in 0..<side {
                var sum = Vector.zero
                for sample in 0..<Self.grid * Self.grid {
                    let column = x * Self.grid + sample % Self.grid
                    let row = y * Self.grid + sample / Self.grid
                    // The light point of a sample changes from pixel to pixel, so that the steps of a shadow's edge do
                    // not line up.
                    let point = (sample * 4 + (x & 1) * 2 + (y & 1) * 5) % 9
                    sum += stage.colour(
                        u: (Float(column) + 0.5) * step - 1, v: 1 - (Float(row) + 0.5) * step, lightPoint: point)
                }
                let mean = sum / Float(Self.grid * Self.grid)
                for channel in 0..<3 {
                    // A soft shoulder for highlights, then a gamma of 2, which is close to sRGB's and exact on every
                    // machine.
                    let c = max(0, mean[channel])
                    let shown = min(1, c * (1 + c * 0.12) / (1 + c * 0.30)).squareRoot()
                    pixels[(y * side + x) * 3 + channel] = UInt8(shown * 255 + 0.5)
                }
            }
        }
        return try! RGBImage(width: side, height: side, pixels: pixels)  // as many bytes as the sides say
    }

    /// Several scenes on all cores, in order.
    public func render(_ scenes: [Scene]) -> [RGBImage] {
        let slots = ImageSlots(count: scenes.count)
        DispatchQueue.concurrentPerform(iterations: scenes.count) { index in
            slots.set(index, render(scenes[index]))
        }
        return slots.images
    }

    private static let grid = 3  // rays per pixel and side, and light points per side
}

/// Results of parallel work; each is written once under the lock.
private final class ImageSlots: @unchecked Sendable {
    private let lock = NSLock()
    private var slots: [RGBImage?]

    init(count: Int) { slots = Array(repeating: nil, count: count) }

    func set(_ index: Int, _ image: RGBImage) { lock.withLock { slots[index] = image } }

    var images: [RGBImage] { lock.withLock { slots.compactMap { $0 } } }
}

/// A scene with camera and lights.
private struct Stage {
    private let solids: [Solid]
    private let texture: SurfaceTexture
    private let eye: Vector
    private let forward: Vector
    private let right: Vector
    private let up: Vector
    private let lightCentre: Vector
    private let lightColour: Vector
    private let sky: Vector
    private let wall: Vector

    private static let halfView: Float = 0.43
    private static let tableEnd: Float = 2.9

    init(_ scene: Scene) {
        solids = scene.objects.map(Solid.init)
        let number = Float(scene.wall)
        texture = SurfaceTexture(surface: scene.surface, offset: [number * 37, number * 53])
        eye = Vector(0, 5.9, -5.5)
        forward = normalize(Vector(0, 0.42, 0.12) - eye)
        right = Vector(1, 0, 0)
        up = Vector(0, forward.z, -forward.y)
        switch scene.light.side {
        case .left: lightCentre = Vector(-6.0, 5.6, -1.6)
        case .right: lightCentre = Vector(6.0, 5.6, -1.6)
        case .front: lightCentre = Vector(0.9, 5.8, -5.6)
        }
        switch scene.light.tone {
        case .warm: (lightColour, sky) = (Vector(1.22, 0.92, 0.60) * 1.15, Vector(0.40, 0.34, 0.29))
        case .neutral: (lightColour, sky) = (Vector(1.02, 1.0, 0.97) * 1.12, Vector(0.36, 0.37, 0.39))
        case .cool: (lightColour, sky) = (Vector(0.74, 0.93, 1.26) * 1.12, Vector(0.29, 0.35, 0.43))
        }
        wall = mix(Vector(0.36, 0.38, 0.42), Vector(0.68, 0.64, 0.58), number)
    }

    /// Linear light along the ray through a point of the picture, both coordinates in [-1, 1].
    func colour(u: Float, v: Float, lightPoint: Int) -> Vector {
        let direction = normalize(forward + right * (u * Self.halfView) + up * (v * Self.halfView))
        let light = lightCentre + Vector(Float(lightPoint % 3 - 1), 0, Float(lightPoint / 3 - 1)) * 0.85

        var distance = Float.infinity
        var normal = Vector(0, 1, 0)
        var nearest = -1
        for index in solids.indices {
            if let found = solids[index].hit(eye, direction, limit: distance) {
                (distance, normal) = found
                nearest = index
            }
        }
        if nearest < 0 {
            let t = -eye.y / direction.y
            let point = eye + direction * t
            guard direction.y < 0, point.z < Self.tableEnd else { return backdrop(direction) }
            let albedo = texture.albedo(x: point.x, z: point.z)
            let lit = shade(point, Vector(0, 1, 0), albedo, light, skipping: -1)
            // Polished stone mirrors a little of the wall.
            return texture.surface == .marble ? mix(lit, wall, 0.06) : lit
        }
        let solid = solids[nearest]
        let point = eye + direction * distance
        let diffuse = shade(point, normal, solid.albedo, light, skipping: nearest)
        guard solid.isShiny else { return diffuse }
        let facing = max(0, -dot(normal, direction))
        let grazing = 1 - facing
        let fresnel = 0.07 + 0.75 * grazing * grazing * grazing * grazing * grazing
        let mirrored = direction + normal * (2 * facing)
        return diffuse * 0.92 + room(mirrored) * fresnel + highlight(point, mirrored)
    }

    private func shade(_ point: Vector, _ normal: Vector, _ albedo: Vector, _ light: Vector, skipping own: Int)
        -> Vector
    {
        let toLight = light - point
        let distance = dot(toLight, toLight).squareRoot()
        let direction = toLight / distance
        let facing = dot(normal, direction)
        var direct: Float = 0
        if facing > 0 {
            let origin = point + normal * 4e-3
            var isLit = true
            for index in solids.indices where solids[index].hit(origin, direction, limit: distance) != nil {
                isLit = false
                break
            }
            // The light falls off gently, as from a distant source.
            if isLit { direct = facing * 72 / (distance * distance + 14) }
        }
        // How much of the room another body hides: its solid angle, seen from a point that faces it.
        var open: Float = 1
        for index in solids.indices where index != own {
            let away = solids[index].centre - point
            let square = dot(away, away)
            let cosine = max(0, dot(normal, away) / square.squareRoot())
            let size = solids[index].radius * solids[index].radius
            open *= 1 - 0.75 * cosine * min(1, size / square)
        }
        // The lower half of a body sees the nearby table; so does the foot of its side.
        if own >= 0 { open *= 0.62 + 0.38 * min(1, point.y / 0.5) }
        let ambient = sky * ((0.62 + 0.38 * normal.y) * open)
        return albedo * (lightColour * direct + ambient)
    }

    /// What a mirror shows: the table below, the wall in front, a bright window above.
    private func room(_ direction: Vector) -> Vector {
        guard direction.y > 0 else { return sky * 0.5 }
        let window = direction.y > 0.62 && direction.y < 0.9 && abs(direction.x) < 0.42
        return mix(wall * 0.8, sky * 1.6, direction.y) + (window ? lightColour * 0.9 : .zero)
    }

    private func highlight(_ point: Vector, _ mirrored: Vector) -> Vector {
        let aim = max(0, dot(normalize(lightCentre - point), mirrored))
        let a2 = aim * aim
        let a4 = a2 * a2
        let a8 = a4 * a4
        let a16 = a8 * a8
        return lightColour * (a16 * a16 * a8 * 1.5 + a8 * 0.06)
    }

    private func backdrop(_ direction: Vector) -> Vector {
        // The wall is some way behind the table and lighter towards the light.
        let t = 8.2 / direction.z
        let x = eye.x + direction.x * t
        let side = lightCentre.x > 1 ? x : lightCentre.x < -1 ? -x : 0
        return wall * (lightColour * 0.42 + sky * 0.55) * (0.92 + 0.055 * side + 0.6 * (direction.y + 0.5))
    }
}
