/// A step of the demo: a command of this program, as one would type it.
struct DemoStage {
    /// File name of its marker.
    let name: String
    /// What a reader is told.
    let title: String
    let arguments: [String]
    /// The folder or file that the command makes; what a killed attempt left there is removed before another one, unless
    /// the command goes on by itself.
    let makes: String
    let continuation: Continuation

    enum Continuation {
        /// Starts over.
        case none
        /// Goes on when it is run again (`gmail generate`).
        case automatic
        /// Goes on with `--resume` once there is a checkpoint.
        case resumeFlag
    }

    init(
        _ name: String, _ title: String, makes: String, continuation: Continuation = .none, _ arguments: [String]
    ) {
        self.name = name
        self.title = title
        self.makes = makes
        self.continuation = continuation
        self.arguments = arguments
    }
}

/// Where things lie in a demo's folder.
struct DemoLayout {
    let folder: String

    var settings: String { "\(folder)/demo.json" }
    var markers: String { "\(folder)/stages" }
    var world: String { "\(folder)/world" }
    var alignment: String { "\(folder)/runs/alignment" }
    var runs: String { "\(folder)/runs" }
    var report: String { "\(folder)/report.html" }
    var results: String { "\(folder)/results.json" }
    var table: String { "\(folder)/results.md" }

    func generated(_ split: String) -> String { "\(folder)/generated/\(split)" }
    func captioner(_ recipe: String) -> String { "\(folder)/runs/\(recipe)" }
}

/// The data settings of the captioner that are compared, in the order of the table.
enum DemoCaptioner: String, CaseIterable {
    case real, generated, mixed, gmail
    case gmailPlusReal = "gmail-plus-real"

    /// The row's name, and the paper's row that it stands for.
    var title: String {
        switch self {
        case .real: "real images (upper bound)"
        case .generated: "generated, no alignment"
        case .mixed: "real and generated mixed"
        case .gmail: "GMAIL: generated, aligned"
        case .gmailPlusReal: "GMAIL + real"
        }
    }

    var needsAlignment: Bool { self == .gmail || self == .gmailPlusReal }
}
