import Files

/// What a file of captions says, read front to back by the layout that its shape shows.
struct CaptionContent: Sendable {
    private(set) var format = CaptionFile.Format.list
    private(set) var entries: [CaptionFile.Entry] = []
    private(set) var images: [CaptionFile.Image] = []
    private(set) var lines: [Int] = []

    private let path: String
    private let withImages: Bool
    private let lineKeys: [String]?
    private var fileNames: [ImageID: String] = [:]
    /// Of COCO's `images`, when they are read: annotations are of these.
    private var known: Set<ImageID>?

    /// Where an entry takes its image from.
    private enum Naming {
        /// COCO's annotations: `image_id` alone, since `image` and `id` are other things there.
        case identifier
        /// Lists: `image_id` or `image`.
        case identifierOrFile
        /// JSON Lines: `image_id`, `image` or `id`.
        case any

        var words: String {
            switch self {
            case .identifier: "'image_id'"
            case .identifierOrFile: "'image_id' or 'image'"
            case .any: "'image_id', 'image' or 'id'"
            }
        }
    }

    /// A member of the object that the file is.
    private struct Member {
        let key: String
        let position: Int
    }

    init(_ bytes: UnsafeRawBufferPointer, path: String, withImages: Bool, lineKeys: [String]?) throws {
        self.path = path
        self.withImages = withImages
        self.lineKeys = lineKeys
        var reader = JSONReader(bytes.bindMemory(to: UInt8.self), path: path)
        switch reader.peek() {
        case UInt8(ascii: "["):
            try readList(&reader, "", .identifierOrFile)
            try reader.finish()
        case UInt8(ascii: "{"):
            try readObject(&reader)
        default:
            try PlaceholderFile.refuse(bytes, path: path)
            throw CaptionFileError.unknownLayout(path: path, got: reader.kind)
        }
    }

    private mutating func readObject(_ reader: inout JSONReader) throws {
        let start = reader.position
        var members: [Member] = []
        try reader.readObject { reader, key in
            _ = reader.peek()
            members.append(Member(key: key, position: reader.position))
            try reader.skip()
        }
        // Of equal keys the last counts, as in Python.
        func find(_ key: String) -> Member? { members.last { $0.key == key } }
        if reader.peek() == UInt8(ascii: "{") || find("caption") != nil {
            reader.position = start
            return try readLines(&reader)
        }
        try reader.finish()
        if let annotations = find("annotations") {
            format = .coco
            if withImages, let images = find("images") {
                reader.position = images.position
                try readImages(&reader)
            }
            reader.position = annotations.position
            try readList(&reader, "annotations", .identifier)
        } else if let images = find("images") {
            format = .karpathy
            reader.position = images.position
            try readKarpathy(&reader)
        } else if let results = find("results") {
            reader.position = results.position
            try readList(&reader, "results", .identifierOrFile)
        } else {
            format = .byImage
            var seen = Set<ImageID>(minimumCapacity: members.count)
            for member in members {
                let id = ImageID(key: member.key)
                reader.position = member.position
                guard seen.insert(id).inserted else {
                    throw bad(reader, "image \(id)", "each image once", "it again")
                }
                try readCaptions(&reader, id, isFirst: seen.count == 1)
            }
        }
    }

    // MARK: - Layouts

    private mutating func readList(_ reader: inout JSONReader, _ name: String, _ naming: Naming) throws {
        try requireArray(&reader, name)
        try reader.readArray { reader, index in try readEntry(&reader, naming, "\(name)[\(index)]") }
    }

    private mutating func readLines(_ reader: inout JSONReader) throws {
        format = .lines
        var line = 1
        var counted = 0
        while reader.peek() != 0 {
            line += reader.lineBreaks(from: counted)
            counted = reader.position
            let before = entries.count
            let number = line
            try readEntry(&reader, .any, "line \(number)")
            lines += Array(repeating: number, count: entries.count - before)
            try reader.finishLine()
        }
    }

    private mutating func readImages(_ reader: inout JSONReader) throws {
        try requireArray(&reader, "images")
        var images: [CaptionFile.Image] = []
        var seen: Set<ImageID> = []
        try reader.readArray { reader, index in
            var id: ImageID?
            var name: String?
            try requireObject(&reader, "images[\(index)]", "an object with 'id' and 'file_name'")
            try reader.readObject { reader, key in
                switch key {
                case "id": id = try readID(&reader, "images[\(index)].id")
                case "file_name": name = try readName(&reader, "images[\(index)].file_name")
                default: try reader.skip()
                }
            }
            guard let id else { throw bad(reader, "images[\(index)].id", "an image id", "nothing") }
            guard let name else { throw bad(reader, "images[\(index)].file_name", "a string", "nothing") }
            guard seen.insert(id).inserted else {
                throw bad(reader, "images[\(index)].id", "an id of its own", "\(id) again")
            }
            images.append(CaptionFile.Image(id: id, fileName: name))
        }
        self.images = images
        known = seen
    }

    private mutating func readKarpathy(_ reader: inout JSONReader) throws {
        try requireArray(&reader, "images")
        var entries: [CaptionFile.Entry] = []
        var images: [CaptionFile.Image] = []
        var seen: Set<ImageID> = []
        try reader.readArray { reader, index in
            let place = { (key: String) in "images[\(index)]" + key }
            var (coco, running): (ImageID?, ImageID?) = (nil, nil)
            var (name, folder, split): (String?, String?, String?) = (nil, nil, nil)
            var captions: [String]?
            try requireObject(&reader, place(""), "an object with 'filename' and 'sentences'")
            try reader.readObject { reader, key in
                switch key {
                case "cocoid": coco = try readID(&reader, place(".cocoid"))
                case "imgid": running = try readID(&reader, place(".imgid"))
                case "filename": name = try readName(&reader, place(".filename"))
                case "filepath": folder = try readName(&reader, place(".filepath"))
                case "split": split = try readString(&reader, place(".split"))
                case "sentences": captions = try readSentences(&reader, place(".sentences"))
                default: try reader.skip()
                }
            }
            guard let captions else {
                throw bad(
                    reader, place(""), "'sentences' (Karpathy's layout), or 'annotations' beside 'images' (COCO's)",
                    "neither")
            }
            guard let id = coco ?? running else { throw bad(reader, place(".imgid"), "an image id", "nothing") }
            guard seen.insert(id).inserted else {
                throw bad(reader, place(coco == nil ? ".imgid" : ".cocoid"), "an id of its own", "\(id) again")
            }
            for caption in captions { entries.append(CaptionFile.Entry(imageID: id, caption: caption)) }
            guard withImages else { return }
            guard let name else { throw bad(reader, place(".filename"), "a string", "nothing") }
            guard let split else { throw bad(reader, place(".split"), "a string", "nothing") }
            let whole = folder.map { $0.isEmpty ? name : "\($0)/\(name)" } ?? name
            images.append(CaptionFile.Image(id: id, fileName: whole, split: split))
        }
        self.entries = entries
        self.images = images
    }

    private func readSentences(_ reader: inout JSONReader, _ place: String) throws -> [String] {
        var captions: [String] = []
        try requireArray(&reader, place)
        try reader.readArray { reader, number in
            var raw: String?
            try requireObject(&reader, "\(place)[\(number)]", "an object with 'raw'")
            try reader.readObject { reader, key in
                if key == "raw" {
                    raw = try readString(&reader, "\(place)[\(number)].raw")
                } else {
                    try reader.skip()
                }
            }
            guard let raw else { throw bad(reader, "\(place)[\(number)].raw", "a string", "nothing") }
            captions.append(raw)
        }
        return captions
    }

    /// The captions of one image, by image.
    private mutating func readCaptions(_ reader: inout JSONReader, _ id: ImageID, isFirst: Bool) throws {
        var captions: [String] = []
        func failure(_ reader: JSONReader) -> CaptionFileError {
            // A file of something else shows itself at the first member.
            isFirst
                ? .unknownLayout(path: path, got: "an object whose '\(id)' holds \(reader.kind)")
                : bad(reader, "image \(id)", "captions: strings, or objects with 'caption'", reader.kind)
        }
        func readOne(_ reader: inout JSONReader) throws {
            switch reader.peek() {
            case UInt8(ascii: "\""): captions.append(try readString(&reader, "image \(id)"))
            case UInt8(ascii: "{"):
                let start = reader
                var caption: String?
                try reader.readObject { reader, key in
                    if key == "caption", reader.peek() == UInt8(ascii: "\"") {
                        caption = try readString(&reader, "image \(id)")
                    } else {
                        try reader.skip()
                    }
                }
                guard let caption else { throw failure(start) }
                captions.append(caption)
            default: throw failure(reader)
            }
        }
        if reader.peek() == UInt8(ascii: "[") {
            try reader.readArray { reader, _ in try readOne(&reader) }
        } else {
            try readOne(&reader)
        }
        for caption in captions { entries.append(CaptionFile.Entry(imageID: id, caption: caption)) }
    }

    // MARK: - Entries

    private mutating func readEntry(
        _ reader: inout JSONReader, _ naming: Naming, _ place: @autoclosure () -> String
    ) throws {
        try requireObject(&reader, place(), "an object with \(naming.words) and 'caption'")
        var (identifier, own): (ImageID?, ImageID?) = (nil, nil)
        var image: String?
        var caption: String?
        var others: [String]?
        try reader.readObject { reader, key in
            switch key {
            case "image_id": identifier = try readID(&reader, field(place(), "image_id"))
            case "caption":
                (caption, others) = (nil, nil)
                if reader.peek() == UInt8(ascii: "[") {
                    var list: [String] = []
                    try reader.readArray { reader, number in
                        list.append(try readString(&reader, "\(field(place(), "caption"))[\(number)]"))
                    }
                    others = list
                } else {
                    caption = try readString(&reader, field(place(), "caption"))
                }
            case "image" where naming != .identifier && reader.peek() != UInt8(ascii: "n"):
                image = try readName(&reader, field(place(), "image"))
            case "id" where naming == .any: own = try readID(&reader, field(place(), "id"))
            default:
                if let lineKeys, naming == .any, !lineKeys.contains(key), key != "image" {
                    throw bad(
                        reader, place(), "no other keys than \(lineKeys.map { "'\($0)'" }.joined(separator: ", "))",
                        "'\(key)'")
                }
                try reader.skip()
            }
        }
        guard let id = identifier ?? image.map(ImageID.init(file:)) ?? own else {
            throw bad(reader, place(), naming.words, "an entry without it")
        }
        if let known, !known.contains(id) {
            throw bad(reader, field(place(), "image_id"), "the id of an image in the file", "\(id)")
        }
        guard caption != nil || others != nil else {
            throw bad(reader, "\(place()) (image \(id))", "'caption', a string", "an entry without it")
        }
        let row = own?.description
        if let caption { entries.append(CaptionFile.Entry(imageID: id, caption: caption, id: row)) }
        for caption in others ?? [] { entries.append(CaptionFile.Entry(imageID: id, caption: caption, id: row)) }
        guard withImages, let image else { return }
        guard let known = fileNames.updateValue(image, forKey: id) else {
            images.append(CaptionFile.Image(id: id, fileName: image))
            return
        }
        guard known.utf8.elementsEqual(image.utf8) else {
            throw bad(reader, field(place(), "image"), "'\(known)', which image \(id) has above", "'\(image)'")
        }
    }

    private func field(_ place: String, _ key: String) -> String {
        format == .lines ? "\(place): \(key)" : "\(place).\(key)"
    }

    private func readID(_ reader: inout JSONReader, _ place: @autoclosure () -> String) throws -> ImageID {
        _ = reader.peek()
        let start = reader.position
        if let id = try reader.readImageID() { return id }
        reader.position = start
        throw bad(reader, place(), "an image id (a whole number or a string)", reader.words)
    }

    private func readString(_ reader: inout JSONReader, _ place: @autoclosure () -> String) throws -> String {
        guard reader.peek() == UInt8(ascii: "\"") else { throw bad(reader, place(), "a string", reader.words) }
        let text = try reader.readString()
        if let excess = TextLimit.excess(of: text) { throw bad(reader, place(), TextLimit.expectation, excess) }
        return text
    }

    /// The name of a file.
    private func readName(_ reader: inout JSONReader, _ place: @autoclosure () -> String) throws -> String {
        let name = try readString(&reader, place())
        guard !name.utf8.contains(0) else {
            throw bad(reader, place(), "a file's name", "a text with a NUL character")
        }
        return name
    }

    private func requireArray(_ reader: inout JSONReader, _ place: String) throws {
        guard reader.peek() == UInt8(ascii: "[") else { throw bad(reader, place, "an array", reader.words) }
    }

    private func requireObject(
        _ reader: inout JSONReader, _ place: @autoclosure () -> String, _ expected: @autoclosure () -> String
    ) throws {
        guard reader.peek() == UInt8(ascii: "{") else { throw bad(reader, place(), expected(), reader.words) }
    }

    /// The error at the reader's place: the entry by its index, and its line where the file has more than one.
    private func bad(_ reader: JSONReader, _ place: String, _ expected: String, _ got: String) -> CaptionFileError {
        let line = reader.line
        let name = place.isEmpty ? "top level" : place
        let shown = line == 1 || name.hasPrefix("line ") ? name : "\(name) (line \(line))"
        return .badEntry(path: path, place: printable(shown), expected: expected, got: printable(got))
    }
}
