import ArgumentParser
import Files
import Images

/// How image files are read, where a command may differ from the model's folder.
struct ImageOptions: ParsableArguments {
    @Option(help: "Refuse images of more pixels than this.")
    var maxPixels = ImageLimits.standard.maximumPixels

    @Option(
        help: """
            What becomes of transparency: white (transformers today), drop (transformers before, Pillow's convert) or \
            open_clip (dropped after resizing in the file's own colours). Default: as the library of the model's folder.
            """)
    var transparency: Transparency?

    @Option(
        help: """
            Whether images are turned upright by their EXIF orientation: exif or ignore (what open_clip sees). \
            Default: exif.
            """)
    var orientation: ImageDecodingOptions.Orientation?

    func validate() throws { try Check.range("--max-pixels", maxPixels, ImageLimits.range) }

    /// The folder's settings, replaced by these where given.
    func applied(to settings: ImagePreprocessing) throws -> ImagePreprocessing {
        var settings = settings
        settings.limits = try ImageLimits(maximumPixels: maxPixels)
        if let transparency { settings.transparency = transparency }
        if let orientation { settings.orientation = orientation }
        return settings
    }

    /// The images that the arguments of a command name.
    /// - Throws: `FileError` for a path that does not exist; `CommandError` if paths were given but contain no image.
    static func images(_ paths: [String]) throws -> FileList {
        let found = try ImageFiles.list(paths)
        guard paths.isEmpty || !found.files.isEmpty else {
            throw CommandError(ImageFiles.nothingFound(in: paths, skipped: found.skipped))
        }
        return found
    }
}

extension Transparency: ExpressibleByArgument {}
extension ImageDecodingOptions.Orientation: ExpressibleByArgument {}
