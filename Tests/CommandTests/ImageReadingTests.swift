import Foundation
import Testing

/// What `gmail embed` makes of image files of every kind, and the options that say how they are read.
@Suite struct ImageReadingTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try TinyModel.write(to: folder.path("model"))
        try FileManager.default.createDirectory(atPath: folder.path("photos"), withIntermediateDirectories: true)
    }

    /// A file of ImagesTests under another name.
    private func place(_ fixture: String, as name: String) throws {
        let files = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("ImagesTests/Fixtures/files").path
        try FileManager.default.copyItem(atPath: "\(files)/\(fixture)", toPath: folder.path("photos/\(name)"))
    }

    private func embed(_ arguments: [String] = [], model: String = "model", out: String = "features") throws
        -> Gmail.Outcome
    {
        try Gmail.run(
            [
                "embed", "--model", folder.path(model), "--images", folder.path("photos"), "--out",
                folder.path("\(out).safetensors"), "--dtype", "float32",
            ] + arguments, environment: ["XDG_CACHE_HOME": folder.path("xdg")])
    }

    private func rows(_ out: String = "features") throws -> [[Float]] {
        try TinyModel.read(folder.path("\(out).safetensors"), "image_embeds")
    }

    private func sidecar(_ out: String = "features") throws -> [String: Any] {
        let data = try Data(contentsOf: URL(fileURLWithPath: folder.path("\(out).json")))
        return try #require(JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    @Test func everyFormatIsReadAndTheOthersAreNamed() throws {
        for (fixture, name) in [
            ("420.jpg", "a.jfif"), ("444.jpg", "b.jpe"), ("own_palette.gif", "c.gif"), ("rgb24.bmp", "d.bmp"),
            ("rgba8.png", "e.png"), ("lossy.webp", "f.webp"),
        ] { try place(fixture, as: name) }
        try folder.write("8BPS", to: "photos/g.psd")
        #expect(mkfifo(folder.path("photos/h.jpg"), 0o600) == 0)
        try folder.write("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", to: "photos/i.jpg")
        try folder.write("<!DOCTYPE html><html>", to: "photos/j.png")
        try folder.write("a note", to: "photos/k.txt")
        let outcome = try embed()
        #expect(outcome.status == 0, "\(outcome.stderr)")
        let sidecar = try sidecar()
        #expect((sidecar["images"] as? [String])?.map { String($0.suffix(6)) }.count == 6)
        let skipped = try #require(sidecar["skipped"] as? [[String: String]])
        #expect(
            skipped.map { $0["path"] } == ["g.psd", "h.jpg", "i.jpg", "j.png"].map { folder.path("photos/\($0)") })
        for (entry, words) in zip(
            skipped,
            [
                "it is Photoshop, which is not decoded", "it is a named pipe, expected a regular file",
                "is a git-lfs pointer, not the image itself", "is a web page, not the image itself",
            ])
        {
            let reason = try #require(entry["reason"])
            #expect(reason.contains(words))
            #expect(outcome.stderr.contains("skipped \(reason)"))
        }
        #expect(outcome.stdout.contains("4 files skipped"))
    }

    @Test func theLimitOfPixelsIsAnOption() throws {
        try place("420.jpg", as: "a.jpg")  // 37 x 29 = 1073
        try place("rgb8.png", as: "b.png")
        let tight = try embed(["--max-pixels", "1072"])
        #expect(tight.status == 0)
        #expect(tight.stderr.contains("37 x 29 pixels, the limit is 1072 pixels; raise it with --max-pixels"))
        #expect(try rows().count == 1)
        #expect(try embed(["--max-pixels", "1073"]).status == 0)
        #expect(try rows().count == 2)
    }

    /// What changes pixels stands in the sidecar, and so in the key of every cache.
    @Test func transparencyAndOrientationAreOptions() throws {
        try place("exif6.jpg", as: "a.jpg")
        try place("rgba8.png", as: "b.png")
        try place("444.jpg", as: "c.jpg")
        func settings(_ out: String) throws -> String {
            try #require((sidecar(out)["preprocessing"] as? [String: String])?["settings"])
        }
        #expect(try embed(out: "plain").status == 0)
        #expect(try settings("plain").contains(#""orientation":"exif""#))
        #expect(try settings("plain").contains(#""transparency":"white""#))
        for (option, value, changed) in [
            ("--transparency", "drop", 1), ("--transparency", "open_clip", 1), ("--orientation", "ignore", 0),
        ] {
            #expect(try embed([option, value], out: value).status == 0)
            #expect(try settings(value).contains(#""\#(option.dropFirst(2))":"\#(value)""#))
            for (row, pair) in try zip(rows("plain"), rows(value)).enumerated() {
                #expect((pair.0 == pair.1) == (row != changed), "\(option) \(value), row \(row)")
            }
        }
    }

    /// A folder that transformers 5 saved: the image processor lies inside `processor_config.json`.
    @Test func theProcessorOfTransformersFive() throws {
        try place("444.jpg", as: "a.jpg")
        #expect(try embed(out: "before").status == 0)
        let manager = FileManager.default
        try manager.copyItem(atPath: folder.path("model"), toPath: folder.path("five"))
        let own = folder.path("five/preprocessor_config.json")
        let text = try String(contentsOfFile: own, encoding: .utf8)
        try manager.removeItem(atPath: own)
        try folder.write(
            #"{"image_processor": \#(text), "processor_class": "CLIPProcessor"}"#, to: "five/processor_config.json")
        #expect(try embed(model: "five", out: "after").status == 0)
        #expect(try rows("after") == rows("before"))
        // It wins over a file beside it.
        try folder.write("{}", to: "five/preprocessor_config.json")
        #expect(try embed(model: "five", out: "both").status == 0)
        #expect(try rows("both") == rows("before"))
    }
}
