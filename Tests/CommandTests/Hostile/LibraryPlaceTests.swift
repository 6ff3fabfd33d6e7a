import Files
import Foundation
import Testing

/// Which folder the program takes its library from: that of the program itself, whatever it was called by.
@Suite struct LibraryPlaceTests {
    static let compiler = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang", "/opt/swift/usr/bin/clang"]
        .first(where: FileSystem.exists)

    /// A folder with an empty file `gmail` and a library of the shim's name, whose code leaves a mark when it is loaded.
    @Test(.enabled(if: compiler != nil), arguments: ["gmail", "./gmail", "FOLDER/gmail", ""])
    func theFolderOneStandsInIsNoPlace(calledBy name: String) throws {
        let folder = try TemporaryFolder()
        let mark = folder.path("mark")
        try folder.write("", to: "gmail")
        chmod(folder.path("gmail"), 0o755)
        try folder.write(
            """
            #include <fcntl.h>
            __attribute__((constructor)) static void run(void) { open("\(mark)", O_CREAT | O_WRONLY, 0600); }
            """, to: "library.c")
        let library = folder.path("libgmail-torch.so")
        let built = try Gmail.run(
            URL(fileURLWithPath: try #require(Self.compiler)),
            ["-shared", "-fPIC", "-o", library, folder.path("library.c")])
        #expect(built.status == 0, "\(built.stderr)")
        for place in [".build/torch-shim", "lib"] {
            try FileSystem.createFolder(folder.path(place))
            try FileSystem.copy(library, to: folder.path("\(place)/libgmail-torch.so"))
        }
        let called = name.replacingOccurrences(of: "FOLDER", with: folder.path(""))
        let outcome = try Gmail.run(
            URL(fileURLWithPath: "/bin/bash"), ["-c", "exec -a \"$0\" \"$1\" doctor", called, Gmail.program.path],
            environment: ["PATH": "\(folder.url.path):/usr/bin:/bin", "LD_LIBRARY_PATH": "", "GMAIL_TORCH_SHIM": ""],
            in: folder.url)
        #expect(outcome.status == 0, "\(outcome.stderr)")
        #expect(outcome.stdout.contains("libtorch "), "\(outcome.stdout)")
        #expect(!FileSystem.exists(mark), "foreign code ran")
        // The same library does leave its mark where a user names it.
        _ = try Gmail.run(["doctor"], environment: ["GMAIL_TORCH_SHIM": library], in: folder.url)
        #expect(FileSystem.exists(mark))
    }
}
