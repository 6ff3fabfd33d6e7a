// training-crash-helper FOLDER STEPS [DELAY_MS]: trains a linear regression in FOLDER, from its latest checkpoint on. The
// delay after every batch gives whoever wants to kill it the time. Ends as `gmail align` does: 0, 130 or 143.

import Foundation
import Terminal
import Training
import TrainingTestSupport

let arguments = CommandLine.arguments
guard (3...4).contains(arguments.count), let steps = Int(arguments[2]) else {
    FileHandle.standardError.write(Data("usage: training-crash-helper FOLDER STEPS [DELAY_MS]\n".utf8))
    exit(2)
}
let delay = arguments.count == 4 ? (Double(arguments[3]) ?? 0) / 1000 : 0
let stop = StopSignal()
stop.listen()
do {
    let outcome = try LinearRegressionTask.run(folder: arguments[1], steps: steps, stop: stop) { _ in
        if delay > 0 { Thread.sleep(forTimeInterval: delay) }
    }
    exit(outcome.exitCode)
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
