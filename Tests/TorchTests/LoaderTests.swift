import Foundation
import Testing

@testable import Torch

@Suite struct LoaderTests {
    /// Long waits of OpenMP's threads cost a busy machine many times its work; see loader.c.
    @Test func loadingShortensTheWaitsOfThreads() throws {
        try TorchRuntime.load()
        let set = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"].filter { getenv($0) != nil }
        #expect(!set.isEmpty)
    }
}
