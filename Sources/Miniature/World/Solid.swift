// The shapes for ray tracing. Only +, -, ·, / and √ are used, which IEEE 754 rounds alike everywhere. Library functions
// (sin, pow) are not, and would make pictures differ between machines.

typealias Vector = SIMD3<Float>

@inline(__always)
func dot(_ a: Vector, _ b: Vector) -> Float { a.x * b.x + a.y * b.y + a.z * b.z }

@inline(__always)
func normalize(_ a: Vector) -> Vector { a / dot(a, a).squareRoot() }

@inline(__always)
func mix(_ a: Vector, _ b: Vector, _ t: Float) -> Vector { a + (b - a) * t }

/// An object of the scene, prepared for rays.
struct Solid {
    let shape: Scene.Shape
    /// Middle of the body and of its bounding sphere.
    let centre: Vector
    let radius: Float  // of the bounding sphere
    /// Half the width of the body, and half its height.
    let half: Float
    let halfHeight: Float
    let cosine: Float
    let sine: Float
    let albedo: Vector
    let isShiny: Bool

    /// Half the width of a body of a size.
    static func half(_ size: Scene.Size) -> Float { size == .small ? 0.47 : 0.78 }

    init(_ object: Scene.Object) {
        shape = object.shape
        let width = Self.half(object.size)
        switch object.shape {
        case .sphere: (half, halfHeight) = (width, width)
        case .cube: (half, halfHeight) = (width * 0.78, width * 0.78)
        case .cylinder: (half, halfHeight) = (width * 0.72, width * 1.08)
        case .cone: (half, halfHeight) = (width * 0.95, width * 1.12)
        case .ring: (half, halfHeight) = (width * 0.84, width * 0.30)  // radius of the circle, and of the tube
        }
        centre = Vector(Float(object.x), halfHeight, Float(object.z))
        switch object.shape {
        case .sphere: radius = half
        case .cube: radius = half * 1.7321
        case .ring: radius = half + halfHeight
        case .cylinder, .cone: radius = (half * half + halfHeight * halfHeight).squareRoot()
        }
        let t = Float(object.turn)
        cosine = (1 - t * t) / (1 + t * t)
        sine = 2 * t / (1 + t * t)
        albedo = Palette.albedo(object.colour)
        isShiny = object.finish == .shiny
    }

    /// The nearest hit between 0 and `limit` along a unit ray: distance and outward normal.
    @inline(__always)
    func hit(_ origin: Vector, _ direction: Vector, limit: Float) -> (distance: Float, normal: Vector)? {
        let toOrigin = origin - centre
        let along = dot(toOrigin, direction)
        let gap = dot(toOrigin, toOrigin) - radius * radius
        let discriminant = along * along - gap
        guard discriminant > 0, along < 0 || gap < 0 else { return nil }
        let found: (distance: Float, normal: Vector)?
        switch shape {
        case .sphere:
            let t = -along - discriminant.squareRoot()
            found = t > 1e-3 ? (t, (toOrigin + direction * t) / radius) : nil
        case .cube: found = cube(toOrigin, direction)
        case .cylinder: found = cylinder(toOrigin, direction)
        case .cone: found = cone(toOrigin, direction)
        case .ring: found = ring(toOrigin, direction, from: max(1e-3, -along - discriminant.squareRoot()))
        }
        guard let found, found.distance < limit else { return nil }
        return found
    }

    private func cube(_ origin: Vector, _ direction: Vector) -> (distance: Float, normal: Vector)? {
        // Converts to the cube's own axes.
        let o = Vector(cosine * origin.x - sine * origin.z, origin.y, sine * origin.x + cosine * origin.z)
        let d = Vector(
            cosine * direction.x - sine * direction.z, direction.y, sine * direction.x + cosine * direction.z)
        var near = -Float.infinity
        var far = Float.infinity
        var axis = 0
        for k in 0..<3 {
            guard d[k] != 0 else {
                if o[k] < -half || o[k] > half { return nil }
                continue
            }
            let a = (-half - o[k]) / d[k]
            let b = (half - o[k]) / d[k]
            if min(a, b) > near {
                near = min(a, b)
                axis = k
            }
            far = min(far, max(a, b))
        }
        guard near < far, near > 1e-3 else { return nil }
        var n = Vector.zero
        n[axis] = d[axis] > 0 ? -1 : 1
        return (near, Vector(cosine * n.x + sine * n.z, n.y, -sine * n.x + cosine * n.z))
    }

    private func cylinder(_ o: Vector, _ d: Vector) -> (distance: Float, normal: Vector)? {
        var best: (distance: Float, normal: Vector)?
        let a = d.x * d.x + d.z * d.z
        let b = o.x * d.x + o.z * d.z
        let c = o.x * o.x + o.z * o.z - half * half
        let discriminant = b * b - a * c
        if a > 0, discriminant > 0 {
            let t = (-b - discriminant.squareRoot()) / a
            let y = o.y + d.y * t
            if t > 1e-3, y > -halfHeight, y < halfHeight {
                best = (t, Vector(o.x + d.x * t, 0, o.z + d.z * t) / half)
            }
        }
        if d.y != 0 {
            let top: Float = d.y < 0 ? halfHeight : -halfHeight
            let t = (top - o.y) / d.y
            let x = o.x + d.x * t
            let z = o.z + d.z * t
            if t > 1e-3, x * x + z * z < half * half, t < best?.distance ?? .infinity {
                best = (t, Vector(0, d.y < 0 ? 1 : -1, 0))
            }
        }
        return best
    }

    private func cone(_ o: Vector, _ d: Vector) -> (distance: Float, normal: Vector)? {
        // Surface x² + z² = k² (h - y)², with the apex at height h above the middle.
        let k = half / (2 * halfHeight)
        let down = halfHeight - o.y
        let a = d.x * d.x + d.z * d.z - k * k * d.y * d.y
        let b = o.x * d.x + o.z * d.z + k * k * down * d.y
        let c = o.x * o.x + o.z * o.z - k * k * down * down
        var best: (distance: Float, normal: Vector)?
        let discriminant = b * b - a * c
        if discriminant > 0, a != 0 {
            let root = discriminant.squareRoot()
            for t in [(-b - root) / a, (-b + root) / a] where t > 1e-3 && t < best?.distance ?? .infinity {
                let y = o.y + d.y * t
                guard y > -halfHeight, y < halfHeight else { continue }
                let p = Vector(o.x + d.x * t, 0, o.z + d.z * t)
                best = (t, normalize(Vector(p.x, k * k * (halfHeight - y), p.z)))
            }
        }
        if d.y > 0 {
            let t = (-halfHeight - o.y) / d.y
            let x = o.x + d.x * t
            let z = o.z + d.z * t
            if t > 1e-3, x * x + z * z < half * half, t < best?.distance ?? .infinity {
                best = (t, Vector(0, -1, 0))
            }
        }
        return best
    }

    /// A torus lying on the table; the ray advances in steps as long as the distance to it.
    private func ring(_ o: Vector, _ d: Vector, from start: Float) -> (distance: Float, normal: Vector)? {
        var t = start
        let end = start + 2 * radius
        for _ in 0..<48 where t < end {
            let p = o + d * t
            let flat = (p.x * p.x + p.z * p.z).squareRoot()
            let out = flat - half
            let across = (out * out + p.y * p.y).squareRoot()
            let gap = across - halfHeight
            if gap < 2e-3 {
                // A shadow ray starts on the surface and may leave it.
                let n = normalize(Vector(p.x / flat * out, p.y, p.z / flat * out))
                return dot(n, d) < 0 ? (t, n) : nil
            }
            t += gap
        }
        return nil
    }
}

/// Colours as linear light.
enum Palette {
    static func albedo(_ colour: Scene.Colour) -> Vector {
        switch colour {
        case .red: Vector(0.72, 0.045, 0.05)
        case .orange: Vector(0.88, 0.25, 0.02)
        case .yellow: Vector(0.88, 0.66, 0.04)
        case .green: Vector(0.05, 0.42, 0.10)
        case .blue: Vector(0.03, 0.13, 0.68)
        case .purple: Vector(0.32, 0.06, 0.52)
        case .white: Vector(0.84, 0.84, 0.82)
        case .black: Vector(0.022, 0.022, 0.026)
        }
    }
}
