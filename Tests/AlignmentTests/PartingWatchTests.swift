import Testing

@testable import Alignment

@Suite struct PartingWatchTests {
    @Test func `a cosine that falls while the centroids part is named`() throws {
        var watch = PartingWatch()
        func isQuiet(_ cosine: Double, _ distance: Double) {
            let warning = watch.warning(cosine: cosine, distance: distance)
            #expect(warning == nil)
        }
        isQuiet(0.79, 0.20)
        isQuiet(0.80, 0.21)
        // Noise; then a fall with nearer centroids; then both.
        isQuiet(0.796, 0.30)
        isQuiet(0.76, 0.21)
        let text = watch.warning(cosine: 0.76, distance: 0.25)
        let warning = try #require(text)
        #expect(
            warning.hasPrefix("warning: the validation cosine has fallen from 0.800 to 0.760 while the centroids of "))
        #expect(warning.contains("went from 0.210 to 0.250 apart"))
        // A new height is the new mark.
        isQuiet(0.81, 0.40)
        isQuiet(0.79, 0.39)
    }
}
