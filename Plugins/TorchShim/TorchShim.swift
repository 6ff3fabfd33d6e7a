import Foundation
import PackagePlugin

/// `swift package torch-shim`: builds libgmail-torch.so for a package that depends on ours.
///
/// The work is done by `scripts/install-torch-shim.sh` of our own sources, wherever SwiftPM has put them; options go to it as
/// they are.
@main struct TorchShim: CommandPlugin {
    func performCommand(context: PluginContext, arguments: [String]) throws {
        guard let home = Self.home(of: context.package) else {
            throw Failure(
                message: "no package with the target CTorch among the dependencies of '\(context.package.displayName)'")
        }
        let script = Process()
        script.executableURL = URL(filePath: "/usr/bin/env")
        script.arguments =
            ["bash", home.appending(path: "scripts/install-torch-shim.sh").path(percentEncoded: false)]
            // Checkouts of SwiftPM come and go; this folder stays while the package is built.
            + ["--objects", context.pluginWorkDirectoryURL.path(percentEncoded: false)] + arguments
        try script.run()
        script.waitUntilExit()
        guard script.terminationReason == .exit, script.terminationStatus == 0 else {
            throw Failure(message: "the shim was not built; what went wrong stands above")
        }
    }

    /// Where our own package lies: the one that is being worked on, or a dependency, at whatever depth.
    private static func home(of package: Package) -> URL? {
        if package.targets.contains(where: { $0.name == "CTorch" }) { return package.directoryURL }
        return package.dependencies.lazy.compactMap { home(of: $0.package) }.first
    }
}

struct Failure: Error, CustomStringConvertible {
    let message: String
    var description: String { message }
}
