import Testing

@testable import Alignment

@Suite struct PartingWatchTests {
    @Test func `a cosine that falls while the centroids part is named`() throws {
        var watch = PartingWatch()
        #expect(watch.warning(cosine: 0.79, distance: 0.20) == nil)
        #expect(watch.warning(cosine: 0.80, distance: 0.21) == nil)
        // Noise; then a fall with nearer centroids; then both.
        #expect(watch.warning(cosine: 0.796, distance: 0.30) == nil)
        #expect(watch.warning(cosine: 0.76, distance: 0.21) == nil)
        let warning = try #require(watch.warning(cosine: 0.76, distance: 0.25))
        #expect(
            warning.hasPrefix("warning: the validation cosine has fallen from 0.800 to 0.760 while the centroids of "))
        #expect(warning.contains("went from 0.210 to 0.250 apart"))
        // A new height is the new mark.
        #expect(watch.warning(cosine: 0.81, distance: 0.40) == nil)
        #expect(watch.warning(cosine: 0.79, distance: 0.39) == nil)
    }
}
