import Files
import Foundation

/// Larger files are not images that could pass the pixel limit; refusing them keeps a stray disk image out of memory.
let maximumImageFileBytes = 1 << 30

/// The bytes of a regular file.
/// - Throws: `ImageError.unreadable`, also for folders, pipes and devices, which could block forever.
public func readImageFile(_ path: String) throws -> [UInt8] {
    do {
        return try RegularFile.bytes(path, atMost: maximumImageFileBytes)
    } catch .cannotOpen(_, let reason) {
        throw ImageError.unreadable(image: path, reason: reason)
    } catch .notRegularFile(_, let got) {
        throw ImageError.unreadable(image: path, reason: "it is \(got), expected a regular file")
    } catch .tooLarge(_, let size, let limit) {
        throw ImageError.unreadable(
            image: path, reason: "\(size) bytes; image files above \(limit) bytes are not read")
    }
}

/// The one rule for which files of a folder are images.
public enum ImageFiles {
    /// Endings (lower case) that count as images: those of every format that is decoded. Reading the bytes later
    /// decides what a file really is.
    public static let endings = Set(ImageFormat.allCases.flatMap(\.endings))

    /// Images that no decoder here reads; a listing names them instead of ignoring them.
    private static let foreign: [String: String] = [
        "jp2": "JPEG 2000", "j2k": "JPEG 2000", "jpf": "JPEG 2000", "jpx": "JPEG 2000", "jxl": "JPEG XL",
        "jxr": "JPEG XR", "wdp": "JPEG XR", "svg": "SVG", "svgz": "SVG", "psd": "Photoshop", "psb": "Photoshop",
        "xcf": "GIMP", "ico": "an icon", "icns": "an icon", "tga": "TGA", "pcx": "PCX",
        "pbm": "PNM", "pgm": "PNM", "ppm": "PNM", "pnm": "PNM", "pam": "PNM", "pfm": "PFM", "exr": "OpenEXR",
        "hdr": "Radiance", "qoi": "QOI", "dds": "DDS", "eps": "PostScript", "dng": "a raw photo",
        "cr2": "a raw photo", "cr3": "a raw photo", "nef": "a raw photo", "arw": "a raw photo", "orf": "a raw photo",
        "rw2": "a raw photo", "raf": "a raw photo", "srw": "a raw photo", "pef": "a raw photo", "bpg": "BPG",
        "sgi": "SGI", "ras": "Sun raster", "xbm": "XBM", "xpm": "XPM", "fits": "FITS", "dcm": "DICOM",
    ]

    /// How a command that wants images treats a file with this ending.
    public static func verdict(ending: String) -> FileList.Verdict {
        if endings.contains(ending) { return .wanted }
        guard let format = foreign[ending] else { return .other }
        return .refused(reason: "it is \(format), which is not decoded; expected \(ImageFormat.list). Convert it first")
    }

    /// The images that `paths` name: a file is taken whatever its ending; a folder stands for the images below it.
    /// ``FileList/skipped`` names images of formats that are not decoded, and what could not be listed.
    /// - Throws: `FileError` for a path that does not exist or a folder that cannot be listed.
    public static func list(_ paths: [String]) throws(FileError) -> FileList {
        try FileList(paths, verdict: verdict)
    }

    /// "no image in 'a', 'b'", and what counts as one.
    public static func nothingFound(in paths: [String], skipped: [FileList.Skipped]) -> String {
        let places = paths.map { "'\(printable($0))'" }.joined(separator: ", ")
        let passed = skipped.isEmpty ? "" : "; \(skipped.count) skipped, the first: \(skipped[0].reason)"
        let known = ImageFormat.allCases.map { ".\($0.endings[0])" }.joined(separator: ", ")
        return "no image (\(known)) in \(places)\(passed)"
    }
}
