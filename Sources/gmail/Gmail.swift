import ArgumentParser
import Foundation
import Terminal
import Torch

/// The command `gmail`.
struct Gmail: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gmail",
        abstract: "Train vision-language models on generated images, serve them on real ones.",
        version: "0.1.0",
        subcommands: [
            DemoCommand.self, GenerateCommand.self, EmbedCommand.self, AlignCommand.self, TrainCommand.self,
            CaptionCommand.self, ExportCommand.self, ModelCommand.self, Evaluate.self, ReportCommand.self,
            CompareCommand.self,
            MiniatureCommand.self,
            DataCommand.self, DoctorCommand.self,
        ])
}

/// `gmail evaluate …`: every subcommand writes a metrics file that says by which protocol each number was computed.
struct Evaluate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compute metrics; every number carries the protocol that made it.",
        subcommands: [EvaluateCaptions.self, EvaluateCaptioning.self, EvaluateRetrieval.self, EvaluateGap.self])
}

/// Runs the command and sets its exit code: 0; 1 for bad input, with the reason on standard error; 2 for wrong usage.
@main
enum Main {
    static func main() async {
        Terminal.reserveDescriptors()
        // What neither a file nor an option bounds: the machine's end is an error too, wherever a tensor meets it.
        TorchRuntime.whenResourcesFail { error in
            Terminal.note("error: \(error)")
            _exit(1)
        }
        do {
            var command = try Gmail.parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            // A command that has printed everything itself ends with its own code.
            if let code = error as? ExitCode { exit(code.rawValue) }
            let code = Gmail.exitCode(for: error)
            // Help and version are not errors; the parser prints them and exits with 0.
            if code == .success { Gmail.exit(withError: error) }
            if code == .validationFailure {
                Terminal.note(Gmail.fullMessage(for: error))
                exit(2)
            }
            Terminal.note("error: \(text(of: error))")
            exit(1)
        }
    }

    /// Usually one line; errors that list several findings (a checkpoint's keys) keep their lines.
    private static func text(of error: any Error) -> String {
        let text =
            SystemError.text(of: error) ?? (error as? any LocalizedError)?.errorDescription ?? "\(error)"
        return text.trimmingCharacters(in: .newlines)
    }
}
