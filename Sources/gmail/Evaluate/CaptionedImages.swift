import Foundation

/// Images with their captions, as retrieval needs them: read from COCO's captions file or Karpathy's `dataset_coco.json`.
struct CaptionedImages {
    /// Paths below the images folder, in the file's order.
    var images: [String]
    /// All captions, those of one image together, in the file's order.
    var captions: [String]
    /// Index into `images` for every caption.
    var imageOfCaption: [Int]
    /// `coco` or `karpathy`.
    var format: String
    /// Karpathy's split, where the file has them.
    var split: String?

    /// - Parameters:
    ///   - folder: where the images are; Karpathy's `filepath` (val2014) is looked for below it, then left out.
    ///   - split: of Karpathy's file, `test` when nil; a COCO file has none.
    /// - Throws: `CommandError` naming the file and what is wrong; missing images are listed, the first ten by name.
    init(file: String, folder: String, split: String?) throws {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw CommandError("--captions: '\(file)' cannot be read")
        }
        let document: Document
        do {
            document = try JSONDecoder().decode(Document.self, from: data)
        } catch let error as DecodingError {
            throw CommandError(
                "--captions: '\(file)' is neither COCO's captions JSON nor Karpathy's: \(Self.explain(error))")
        }
        if let annotations = document.annotations {
            if let split {
                throw CommandError(
                    "--split \(split): '\(file)' is a COCO captions file, which has no splits; leave --split out")
            }
            try self.init(coco: document.images, annotations, file: file)
        } else {
            try self.init(karpathy: document.images, split: split ?? "test", file: file, folder: folder)
        }
        let missing = images.filter { !FileManager.default.fileExists(atPath: "\(folder)/\($0)") }
        guard missing.isEmpty else {
            let names = missing.prefix(10).joined(separator: ", ")
            throw CommandError(
                "--images: \(missing.count) of \(images.count) images of '\(file)' are not in '\(folder)': \(names)\(missing.count > 10 ? ", …" : ""); "
                    + "every image must be there, or recall would be over another set")
        }
    }

    private init(coco images: [Document.Image], _ annotations: [Document.Annotation], file: String) throws {
        var index: [Int: Int] = [:]
        var names: [String] = []
        for image in images {
            guard let id = image.id, let name = image.fileName else {
                throw CommandError("--captions: '\(file)': image \(names.count) has no 'id' or no 'file_name'")
            }
            guard index.updateValue(names.count, forKey: id) == nil else {
                throw CommandError("--captions: '\(file)': image id \(id) stands twice")
            }
            names.append(name)
        }
        var texts = [[String]](repeating: [], count: names.count)
        for (number, annotation) in annotations.enumerated() {
            guard let image = index[annotation.imageID] else {
                throw CommandError(
                    "--captions: '\(file)': annotation \(number) belongs to image id \(annotation.imageID), which 'images' does not have"
                )
            }
            texts[image].append(annotation.caption)
        }
        try self.init(names, texts, format: "coco", split: nil, file: file)
    }

    private init(karpathy images: [Document.Image], split: String, file: String, folder: String) throws {
        let chosen = images.filter { $0.split == split }
        guard !chosen.isEmpty else {
            let known = Set(images.compactMap(\.split)).sorted().joined(separator: ", ")
            throw CommandError(
                "--split: '\(file)' has no images of split '\(split)'; it has \(known.isEmpty ? "no splits at all" : known)"
            )
        }
        var names: [String] = []
        var texts: [[String]] = []
        for image in chosen {
            guard let name = image.karpathyName, let sentences = image.sentences else {
                throw CommandError(
                    "--captions: '\(file)': image \(names.count) of split '\(split)' has no 'filename' or no 'sentences'"
                )
            }
            let below = image.filePath.map { "\($0)/\(name)" } ?? name
            names.append(
                FileManager.default.fileExists(atPath: "\(folder)/\(below)")
                    || !FileManager.default.fileExists(atPath: "\(folder)/\(name)") ? below : name)
            texts.append(sentences.map(\.raw))
        }
        try self.init(names, texts, format: "karpathy", split: split, file: file)
    }

    private init(_ names: [String], _ texts: [[String]], format: String, split: String?, file: String) throws {
        guard !names.isEmpty else { throw CommandError("--captions: '\(file)' has no images") }
        let silent = names.indices.filter { texts[$0].isEmpty }
        guard silent.isEmpty else {
            let first = silent.prefix(10).map { names[$0] }.joined(separator: ", ")
            throw CommandError(
                "--captions: \(silent.count) images of '\(file)' have no caption and could never be found: \(first)\(silent.count > 10 ? ", …" : "")"
            )
        }
        images = names
        captions = texts.flatMap { $0 }
        imageOfCaption = texts.enumerated().flatMap { Array(repeating: $0, count: $1.count) }
        self.format = format
        self.split = split
    }

    private struct Document: Decodable {
        struct Image: Decodable {
            struct Sentence: Decodable { var raw: String }

            var id: Int?
            var fileName: String?
            var karpathyName: String?
            var filePath: String?
            var split: String?
            var sentences: [Sentence]?

            enum CodingKeys: String, CodingKey {
                case id
                case fileName = "file_name"
                case karpathyName = "filename"
                case filePath = "filepath"
                case split, sentences
            }
        }
        struct Annotation: Decodable {
            var imageID: Int
            var caption: String

            enum CodingKeys: String, CodingKey {
                case imageID = "image_id"
                case caption
            }
        }

        var images: [Image]
        var annotations: [Annotation]?
    }

    private static func explain(_ error: DecodingError) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
            return path.isEmpty ? "" : " at \(path.drop { $0 == "." })"
        }
        return switch error {
        case .keyNotFound(let key, let context): "'\(key.stringValue)' is missing\(place(context))"
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            "expected \(type)\(place(context))"
        case .dataCorrupted(let context): "no valid JSON\(place(context))"
        @unknown default: "\(error)"
        }
    }
}
