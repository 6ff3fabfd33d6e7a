/// The material of the table, as linear light at a point of its plane.
struct SurfaceTexture {
    let surface: Scene.Surface
    /// Shifts the pattern, so that two wooden tables are not the same plank.
    let offset: SIMD2<Float>

    func albedo(x: Float, z: Float) -> Vector {
        let u = x + offset.x
        let v = z + offset.y
        switch surface {
        case .wood:
            // Planks along x, with grain stretched along them.
            let plank = (v / 1.15).rounded(.down)
            let edge = abs(v / 1.15 - plank - 0.5)
            let shift = Self.lattice(Int32(plank), 7) * 9
            let grain = Self.noise(u * 0.9 + shift, v * 9) * 0.6 + Self.noise(u * 2.6 + shift, v * 22) * 0.4
            let base = mix(Vector(0.25, 0.115, 0.045), Vector(0.50, 0.265, 0.12), grain)
            let shade = 0.86 + 0.22 * Self.lattice(Int32(plank), 3)
            return base * (edge > 0.475 ? shade * 0.62 : shade)
        case .marble:
            let warp = Self.noise(u * 0.7, v * 0.7) * 3 + Self.noise(u * 2.1, v * 2.1)
            let vein = abs(Self.noise(u * 0.55 + warp, v * 0.8 - warp * 0.6) - 0.5) * 2
            let fine = abs(Self.noise(u * 1.6 - warp, v * 1.9 + warp) - 0.5) * 2
            let dark = max(0, 1 - vein * 5) * 0.55 + max(0, 1 - fine * 7) * 0.3
            return mix(Vector(0.74, 0.73, 0.70), Vector(0.30, 0.31, 0.33), min(1, dark))
        case .slate:
            let rough = Self.noise(u * 3, v * 3) * 0.5 + Self.noise(u * 9, v * 9) * 0.5
            return mix(Vector(0.055, 0.065, 0.08), Vector(0.115, 0.13, 0.15), rough)
        case .felt:
            let fluff = Self.noise(u * 12, v * 12) * 0.5 + Self.noise(u * 2, v * 2) * 0.5
            return mix(Vector(0.035, 0.20, 0.15), Vector(0.06, 0.29, 0.21), fluff)
        case .cloth:
            let a = (u / 0.62).rounded(.down)
            let b = (v / 0.62).rounded(.down)
            let columns = Int32(a) & 1
            let rows = Int32(b) & 1
            let weave = 0.94 + 0.06 * Self.noise(u * 20, v * 20)
            let colours = [Vector(0.80, 0.78, 0.72), Vector(0.62, 0.45, 0.44), Vector(0.48, 0.20, 0.22)]
            return colours[Int(columns + rows)] * weave
        }
    }

    /// A number in [0, 1) for every lattice point.
    private static func lattice(_ x: Int32, _ y: Int32) -> Float {
        var h = UInt32(bitPattern: x) &* 0x85EB_CA6B ^ UInt32(bitPattern: y) &* 0xC2B2_AE35
        h ^= h >> 15
        h = h &* 0x2C1B_3C6D
        h ^= h >> 12
        h = h &* 0x297A_2D39
        h ^= h >> 15
        return Float(h >> 8) * 0x1p-24
    }

    /// Value noise in [0, 1), smooth between lattice points.
    private static func noise(_ x: Float, _ y: Float) -> Float {
        let fx = x.rounded(.down)
        let fy = y.rounded(.down)
        var u = x - fx
        var v = y - fy
        u = u * u * (3 - 2 * u)
        v = v * v * (3 - 2 * v)
        let i = Int32(fx)
        let j = Int32(fy)
        let a = lattice(i, j) + (lattice(i + 1, j) - lattice(i, j)) * u
        let b = lattice(i, j + 1) + (lattice(i + 1, j + 1) - lattice(i, j + 1)) * u
        return a + (b - a) * v
    }
}
