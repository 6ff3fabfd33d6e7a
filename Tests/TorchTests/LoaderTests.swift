import Foundation
import Testing

@testable import Torch

@Suite struct LoaderTests {
    /// Long waits of OpenMP's threads cost a busy machine many times its work; see loader.c.
    @Test func loadingShortensTheWaitsOfThreads() throws {
        try TorchRuntime.load()
        #expect(getenv("GOMP_SPINCOUNT") != nil || getenv("OMP_WAIT_POLICY") != nil)
    }
}
