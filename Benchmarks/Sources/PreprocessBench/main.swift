// Decode, resize, crop and normalise a folder of JPEGs on one thread; files are read before the clock starts.
//
//     PreprocessBench FOLDER [--only 640x480] [--passes 3] [--reduced 2] [--dump FILE]
//
// Prints one line of JSON: images per second of the best pass and milliseconds per image of each stage. `--dump` writes
// the float32 tensors of all images, for a comparison with the peer's.

import Foundation
import Images

struct Arguments {
    var folder = ""
    var only: ImageSize?
    var passes = 3
    var reduced: Double?
    var dump: String?

    init(_ words: [String]) {
        var words = words[...]
        while let word = words.popFirst() {
            switch word {
            case "--only":
                let sides = (words.popFirst() ?? "").split(separator: "x").compactMap { Int($0) }
                guard sides.count == 2 else { Self.stop("--only takes WIDTHxHEIGHT") }
                only = ImageSize(width: sides[0], height: sides[1])
            case "--passes":
                guard let count = words.popFirst().flatMap(Int.init), count > 0 else {
                    Self.stop("--passes takes a positive number")
                }
                passes = count
            case "--reduced":
                guard let ratio = words.popFirst().flatMap(Double.init) else { Self.stop("--reduced takes a number") }
                reduced = ratio
            case "--dump":
                guard let path = words.popFirst() else { Self.stop("--dump takes a file") }
                dump = path
            default:
                guard folder.isEmpty, !word.hasPrefix("-") else { Self.stop("unexpected '\(word)'") }
                folder = word
            }
        }
        if folder.isEmpty {
            Self.stop("PreprocessBench FOLDER [--only 640x480] [--passes 3] [--reduced 2] [--dump FILE]")
        }
    }

    static func stop(_ message: String) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(2)
    }
}

func milliseconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) * 1e3 + Double(duration.components.attoseconds) * 1e-15
}

func run() throws {
    let arguments = Arguments(Array(CommandLine.arguments.dropFirst()))
    var settings = try ImagePreprocessing.clip()
    if let ratio = arguments.reduced { settings.decodeScale = try .reduced(ratio: ratio) }
    let names = try FileManager.default.contentsOfDirectory(atPath: arguments.folder).filter { $0.hasSuffix(".jpg") }
    var files: [(name: String, bytes: [UInt8])] = []
    for name in names.sorted() {
        let bytes = try readImageFile(arguments.folder + "/" + name)
        let size = try bytes.withUnsafeBytes { try ImageHeader($0, name: name) }.storedSize
        if arguments.only == nil || size == arguments.only { files.append((name, bytes)) }
    }
    guard !files.isEmpty else { Arguments.stop("no JPEG of that size in '\(arguments.folder)'") }

    var output = [Float](repeating: 0, count: 3 * 224 * 224)
    var best = PreprocessingTimes()
    var fastest = Duration.seconds(1_000_000)
    let clock = ContinuousClock()
    for _ in 0..<arguments.passes {
        var times = PreprocessingTimes()
        let start = clock.now
        for (name, bytes) in files {
            try output.withUnsafeMutableBufferPointer {
                times += try settings.preprocess(bytes, name: name, into: $0)
            }
        }
        let elapsed = clock.now - start
        if elapsed < fastest {
            fastest = elapsed
            best = times
        }
    }
    guard output.allSatisfy(\.isFinite) else { Arguments.stop("a value is not finite") }
    if let dump = arguments.dump {
        var all = Data()
        for (name, bytes) in files {
            try settings.tensor(bytes, name: name).values.withUnsafeBytes { all.append(contentsOf: $0) }
        }
        try all.write(to: URL(fileURLWithPath: dump))
    }
    let count = Double(files.count)
    let line =
        #"{"program":"gmail","images":\#(files.count),"images_per_second":\#(count / milliseconds(fastest) * 1e3),"#
        + #""decode_ms":\#(milliseconds(best.decode) / count),"resize_ms":\#(milliseconds(best.resize) / count),"#
        + #""normalize_ms":\#(milliseconds(best.normalize) / count)}"#
    print(line)
}

do {
    try run()
} catch {
    Arguments.stop("\(error)")
}
