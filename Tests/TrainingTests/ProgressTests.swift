import Terminal
import Testing

@testable import Training

@Suite struct ProgressTests {
    private func rate() -> RateMeter {
        var rate = RateMeter(window: 2)
        rate.add(seconds: 100, waited: 100, pairs: 1)
        rate.add(seconds: 1, waited: 0.5, pairs: 30)
        rate.add(seconds: 3, waited: 0.5, pairs: 10)
        return rate
    }

    @Test func ratesAreThoseOfTheLastSteps() {
        let rate = rate()
        #expect(rate.pairsPerSecond == 10)
        #expect(rate.waitShare == 0.25)
        #expect(rate.secondsLeft(steps: 50) == 100)
        #expect(RateMeter().secondsLeft(steps: 5) == nil)
    }

    @Test func plainLinesComeWithLoggedSteps() {
        var text = ""
        let progress = ProgressReporter(style: .lines, total: 100) { text += $0 }
        progress.update(step: 49, loss: 0.25, rate: rate(), isLogged: false)
        progress.update(step: 50, loss: 0.12345678, rate: rate(), isLogged: true)
        progress.note("done")
        #expect(text == "step 50/100, loss 0.1235, 10 pairs/s, data wait 25 %, ETA 1:40\ndone\n")
    }

    @Test func theBarStaysOnItsLine() {
        var text = ""
        let progress = ProgressReporter(style: .bar, total: 4) { text += $0 }
        progress.update(step: 1, loss: 1, rate: rate(), isLogged: true)
        progress.update(step: 2, loss: 1, rate: rate(), isLogged: true)
        progress.note("validation")
        progress.update(step: 4, loss: 1, rate: rate(), isLogged: true)
        progress.finish()
        #expect(text.split(separator: "\n").count == 2)
        #expect(text.contains("step 1/4") && !text.contains("step 2/4"), "redrawn at most ten times a second")
        #expect(text.hasSuffix("ETA 0:00\u{1B}[K\n"))
    }

    @Test func quietIsQuiet() {
        let progress = ProgressReporter(style: .quiet, total: 4) { _ in Issue.record("something was written") }
        progress.update(step: 1, loss: 1, rate: rate(), isLogged: true)
        progress.note("x")
        progress.finish()
    }

    @Test func timesReadAsClocks() {
        #expect(ProgressLine.clock(59.2) == "1:00")
        #expect(ProgressLine.clock(3661) == "1:01:01")
    }
}
