import Foundation
import Testing

/// Where the program looks for the library that binds libtorch: a library that is opened runs its code.
@Suite(.serialized) struct ShimSearchTests {
    private let folder: TemporaryFolder
    private let nowhere: [String: String]

    init() throws {
        folder = try TemporaryFolder()
        nowhere = ["XDG_DATA_HOME": folder.path("data"), "GMAIL_TORCH_SHIM": ""]
    }

    /// A copy of the program, away from any checkout.
    private func copy(to name: String) throws -> URL {
        let url = folder.url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try FileManager.default.copyItem(at: Gmail.program, to: url)
        return url
    }

    /// A file under the library's name that no program can open.
    private func bait(in name: String) throws {
        let place = folder.url.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        try Data("no library".utf8).write(to: place.appendingPathComponent("libgmail-torch.so"))
    }

    /// The line of `gmail doctor` about the shim, and why there is none.
    private func doctor(_ program: URL, environment: [String: String], in place: URL? = nil) throws -> String {
        let outcome = try Gmail.run(program, ["doctor"], environment: environment, in: place)
        return outcome.stdout + outcome.stderr
    }

    /// The current folder and every folder above it are nobody's promise, however the program was started.
    @Test func theCurrentFolderIsNotLookedAt() throws {
        let program = try copy(to: "bin/gmail")
        let hostile = folder.url.appendingPathComponent("hostile")
        for place in ["hostile", "hostile/.build/torch-shim", ".build/torch-shim"] { try bait(in: place) }
        try Data().write(to: hostile.appendingPathComponent("gmail"))
        let shell = URL(fileURLWithPath: "/bin/bash")
        let path = "\(program.deletingLastPathComponent().path):\(ProcessInfo.processInfo.environment["PATH"] ?? "")"
        for command in ["gmail doctor", "exec -a ./gmail gmail doctor", "exec -a gmail ../bin/gmail doctor"] {
            let outcome = try Gmail.run(
                shell, ["-c", command], environment: nowhere.merging(["PATH": path]) { $1 }, in: hostile)
            let text = outcome.stdout + outcome.stderr
            #expect(text.contains("was not found; looked for \(folder.url.path)/bin/libgmail-torch.so,"), "\(text)")
            #expect(!text.contains("hostile") && !text.contains("cannot open"), "\(command): \(text)")
            #expect(!text.contains(".build"), "\(command): \(text)")
        }
    }

    @Test func placesInTheirOrder() throws {
        let program = try copy(to: "bin/gmail")
        let version = try Self.interfaceVersion()
        let expected = ["bin", "bin/../lib", "data/gmail/\(version)"]
        let places = expected.map { "\(folder.url.path)/\($0)/libgmail-torch.so" }
        let text = try doctor(program, environment: nowhere)
        #expect(
            text.contains(
                "the libtorch shim libgmail-torch.so was not found; looked for \(places.joined(separator: ", ")); build it "
                    + "with `make build` in a checkout of gmail, with `swift package torch-shim` in a package that depends on "
                    + "it, or name it in GMAIL_TORCH_SHIM"), "\(text)")
        // The first that is there is taken, and its faults are not passed over.
        for place in expected.reversed() {
            try bait(in: place)
            let named = URL(fileURLWithPath: "\(folder.url.path)/\(place)/libgmail-torch.so").resolvingSymlinksInPath()
                .path
            let text = try doctor(program, environment: nowhere)
            #expect(text.contains("cannot open the libtorch shim \(named): "), "\(text)")
        }
        // A relative data folder counts as none.
        let home = folder.url.appendingPathComponent("home")
        let relative = try doctor(
            copy(to: "plain/gmail"),
            environment: ["XDG_DATA_HOME": "data", "HOME": home.path, "GMAIL_TORCH_SHIM": ""], in: folder.url)
        #expect(
            relative.contains("\(home.path)/.local/share/gmail/\(version)/libgmail-torch.so"),
            "\(relative)")
        #expect(!relative.contains("/lib/"), "beside a folder bin only: \(relative)")
    }

    /// `.build/torch-shim` of the checkout that the program lies in, and of no other.
    @Test func aCheckoutsOwn() throws {
        let here = try doctor(Gmail.program, environment: nowhere, in: folder.url)
        let line = try #require(here.split(separator: "\n").first { $0.contains("/torch-shim/libgmail-torch.so") })
        #expect(line.hasPrefix("shim"), "\(here)")
        // A folder .build that is no checkout's.
        let program = try copy(to: "project/.build/debug/gmail")
        try bait(in: "project/.build/torch-shim")
        let text = try doctor(program, environment: nowhere)
        #expect(text.contains("was not found") && !text.contains("torch-shim/libgmail-torch.so"), "\(text)")
        try FileManager.default.createDirectory(
            atPath: folder.path("project/Sources/CTorch/include"), withIntermediateDirectories: true)
        try folder.write("", to: "project/Sources/CTorch/include/ctorch.h")
        #expect(try doctor(program, environment: nowhere).contains("cannot open the libtorch shim"))
    }

    @Test func aGivenPathIsUsedOrComplainedAbout() throws {
        let text = try doctor(Gmail.program, environment: ["GMAIL_TORCH_SHIM": folder.path("none.so")])
        #expect(text.contains("GMAIL_TORCH_SHIM names '\(folder.path("none.so"))', which is no file"), "\(text)")
    }

    private static func interfaceVersion() throws -> String {
        let header = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Sources/CTorch/include/ctorch.h")
        let text = try String(contentsOf: header, encoding: .utf8)
        return String(try #require(text.firstMatch(of: /#define CT_ABI_VERSION (\d+)/)).1)
    }
}
