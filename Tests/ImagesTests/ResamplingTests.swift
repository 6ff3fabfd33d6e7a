import Foundation
import Testing

@testable import Images

@Suite struct ResamplingTests {
    @Test(arguments: Fixtures.all.resize.indices)
    func equalsPillow(index: Int) throws {
        let expected = Fixtures.all.resize[index]
        let image = try synthetic(expected.source.width, expected.source.height)
        let whole = PixelRectangle(left: 0, top: 0, width: expected.target.width, height: expected.target.height)
        for portable in [false, true] {
            let resized = try image.resized(
                to: expected.target, filter: expected.filter, part: whole, portable: portable)
            #expect(resized.size == expected.target)
            #expect(
                fnv(resized.pixels) == expected.pixels,
                "\(expected.source) to \(expected.target), \(expected.filter), portable \(portable)")
        }
    }

    /// A part of a resized image is that part of the whole, with and without AVX2.
    @Test(arguments: ResampleFilter.allCases)
    func partEqualsCropOfWhole(filter: ResampleFilter) throws {
        let image = try synthetic(61, 43, seed: 4)
        for target in [
            ImageSize(width: 40, height: 30), ImageSize(width: 61, height: 20), ImageSize(width: 33, height: 43),
            ImageSize(width: 90, height: 70), ImageSize(width: 61, height: 43),
        ] {
            let whole = try image.resized(to: target, filter: filter)
            for part in [
                PixelRectangle(left: 0, top: 0, width: 1, height: 1),
                PixelRectangle(left: 5, top: 7, width: 23, height: 11),
                PixelRectangle(left: target.width - 13, top: target.height - 4, width: 13, height: 4),
            ] {
                var pixels: [UInt8] = []
                for y in part.top..<part.top + part.height {
                    let start = (y * target.width + part.left) * 3
                    pixels += whole.pixels[start..<start + part.width * 3]
                }
                for portable in [false, true] {
                    let resized = try image.resized(to: target, filter: filter, part: part, portable: portable)
                    #expect(resized.pixels == pixels, "\(target) \(part) portable \(portable)")
                }
            }
        }
    }

    @Test func sizesThatCannotBeServed() throws {
        let image = try synthetic(7, 5)
        for target in [
            ImageSize(width: 0, height: 5), ImageSize(width: 5, height: -1), ImageSize(width: 65536, height: 1),
            ImageSize(width: 65535, height: 65535), ImageSize(width: .max, height: .max),
        ] {
            #expect(throws: ImageError.self) { try image.resized(to: target) }
        }
    }
}
