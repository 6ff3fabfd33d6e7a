import CImageCodecs
import Foundation
import TestSupport
import Testing

@testable import Images

@Suite struct TransparencyTests {
    /// transformers' processor on pictures with transparency, as it is today and with alpha dropped before it.
    @Test(arguments: Fixtures.all.alpha.indices.filter { isDecodable(Fixtures.all.alpha[$0].file) })
    func equalsTransformers(index: Int) throws {
        let expected = Fixtures.all.alpha[index]
        var settings = try ImagePreprocessing(
            resize: .shortestEdge(12), crop: ImageSize(width: 11, height: 11), mean: ImagePreprocessing.clipMean,
            std: ImagePreprocessing.clipDeviation)
        #expect(settings.transparency == .white)
        settings.transparency = expected.transparency
        let values = try settings.tensor(imageFixture(expected.file), name: expected.file).values
        #expect(values.withUnsafeBytes { fastFNV($0) } == expected.digest, "\(expected.file)")
    }

    /// open_clip resizes in the file's own mode and converts then.
    @Test(arguments: Fixtures.all.openCLIPModes.indices.filter { isDecodable(Fixtures.all.openCLIPModes[$0].file) })
    func equalsOpenCLIP(index: Int) throws {
        let expected = Fixtures.all.openCLIPModes[index]
        let side = expected.side
        let settings = try ImagePreprocessing(
            resize: .shortestEdge(side), crop: ImageSize(width: side, height: side), cropRounding: .torchvision,
            rescaleFactor: nil, mean: nil, std: nil, orientation: .ignore, transparency: .openCLIP)
        let values = try settings.tensor(imageFixture(expected.file), name: expected.file).values
        let bytes = (0..<3 * side * side).map { UInt8(values[$0 % 3 * side * side + $0 / 3]) }
        #expect(fnv(bytes) == expected.pixels, "\(expected.file) to \(side)")
    }

    /// The three rules differ where they should, and nowhere else.
    @Test func rulesDifferOnTransparentPicturesOnly() throws {
        func values(_ file: String, _ rule: Transparency) throws -> [Float] {
            var settings = try ImagePreprocessing.clip(side: 7)
            settings.transparency = rule
            return try settings.tensor(imageFixture(file), name: file).values
        }
        for file in ["rgba8.png", "lossless_alpha.webp", "palette8_trns.png"] {
            let all = try Transparency.allCases.map { try values(file, $0) }
            #expect(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "\(file)")
        }
        for file in ["rgb8.png", "420.jpg", "grey8.png"] {
            let all = try Transparency.allCases.map { try values(file, $0) }
            #expect(all[0] == all[1] && all[1] == all[2], "\(file)")
        }
        // An opaque palette is still resized by nearest neighbour in open_clip.
        #expect(try values("palette8.png", .openCLIP) != values("palette8.png", .drop))
        #expect(try values("palette8.png", .white) == values("palette8.png", .drop))
    }

    @Test func greyOfMoreThanEightBitsIsRefusedUnderOpenCLIPsRule() throws {
        var settings = try ImagePreprocessing.clip(side: 7)
        settings.transparency = .openCLIP
        let bytes = try imageFixture("grey16.png")
        #expect(message { _ = try settings.tensor(bytes, name: "x") }.contains("with transparency 'drop' or 'white'"))
        settings.transparency = .drop
        _ = try settings.tensor(bytes, name: "x")
    }

    /// Every colour with every alpha, by the definition of each rule; the rounding is compared with Pillow by fixtures.
    @Test func compositionByDefinition() {
        for alpha in 0..<256 {
            for colour in stride(from: 0, to: 256, by: 5) {
                let pixel = [UInt8(colour), UInt8(255 - colour), 0, UInt8(alpha)]
                var white: [UInt8] = [0, 0, 0], dropped: [UInt8] = [0, 0, 0]
                gic_to_rgb(pixel, 1, GIC_MODE_ALPHA, GIC_ALPHA_WHITE, &white)
                gic_to_rgb(pixel, 1, GIC_MODE_ALPHA, GIC_ALPHA_DROP, &dropped)
                #expect(dropped == Array(pixel[..<3]))
                for channel in 0..<3 {
                    let exact = (Double(pixel[channel]) * Double(alpha) + 255 * Double(255 - alpha)) / 255
                    #expect(abs(Double(white[channel]) - exact) <= 0.5 + 1e-9)
                }
            }
        }
    }

    @Test func headersSayWhetherTransparencyMatters() throws {
        for (file, expected) in [
            ("rgba8.png", true), ("rgb8.png", false), ("key_rgb.png", true), ("palette8.png", false),
            ("palette8_trns.png", true), ("cmyk.jpg", false), ("lossy_alpha.webp", true), ("lossy.webp", false),
            ("palette4.gif", false), ("palette4_clear.gif", true), ("rgba.bmp", true), ("rgb32.bmp", false),
        ] {
            let bytes = try imageFixture(file)
            let header = try bytes.withUnsafeBytes { try ImageHeader($0, name: file) }
            #expect(header.hasTransparency == expected, "\(file)")
        }
    }
}
