import Files
import Foundation

/// Photos with the captions of each setting's captioner.
struct Gallery {
    struct Entry {
        let imageID: ExactString
        /// The file's name, for people.
        let name: String
        /// Where the file may be: the first of these that exists and lies below one of `roots`.
        let candidates: [String]
        /// The folders that pictures are taken from: that of `--images`, and those of the runs. A page is passed on; a run
        /// from elsewhere must not put other files of its reader's machine into it.
        let roots: [String]
        let references: [String]
        let captions: [Caption]
    }

    struct Caption {
        let setting: Int
        let text: String
        let score: (name: String, value: Double)?
    }

    let entries: [Entry]
    /// The number of images from which was chosen.
    let total: Int

    /// Chooses `count` images, evenly spread over those for which every setting with predictions has captions (or any
    /// has, if there is no common image), in the order of the first such setting.
    /// - Parameter folder: where the predictions' `file` names are looked up first.
    init(_ settings: [RunSet.Setting], count: Int, folder: String?) {
        let speaking = settings.indices.filter { settings[$0].representative.predictions?.isEmpty == false }
        let tables = speaking.map { index in
            Dictionary(
                (settings[index].representative.predictions ?? []).map { ($0.imageID, $0) },
                uniquingKeysWith: { first, _ in first })
        }
        var order: [ExactString] = []
        var seen = Set<ExactString>()
        for index in speaking {
            for prediction in settings[index].representative.predictions ?? []
            where seen.insert(prediction.imageID).inserted {
                order.append(prediction.imageID)
            }
        }
        let common = order.filter { id in tables.allSatisfy { $0[id] != nil } }
        let pool = common.isEmpty ? order : common
        total = pool.count
        entries = Self.spread(count, over: pool.count).map { pool[$0] }.map { id in
            let found = zip(speaking, tables).compactMap { setting, table in
                table[id].map { (setting: setting, run: settings[setting].representative, prediction: $0) }
            }
            var candidates: [String] = []
            for entry in found {
                let file = entry.prediction.file
                let path = entry.prediction.path
                if let folder, let file { candidates.append("\(folder)/\(file)") }
                if let folder, let path { candidates.append("\(folder)/\((path as NSString).lastPathComponent)") }
                for name in [path, file].compactMap({ $0 }) {
                    candidates.append(name)
                    if !name.hasPrefix("/") { candidates.append("\(entry.run.path)/\(name)") }
                }
            }
            let first = found[0].prediction
            return Entry(
                imageID: id, name: first.file ?? first.path.map { ($0 as NSString).lastPathComponent } ?? "image \(id)",
                candidates: candidates, roots: [folder].compactMap { $0 } + found.map(\.run.path),
                references: found.first { !$0.prediction.references.isEmpty }?.prediction.references ?? [],
                captions: found.map { entry in
                    let scores = entry.prediction.scores
                    let score = scores.first { MetricName.isSame($0.name, "CIDEr") } ?? scores.first
                    return Caption(setting: entry.setting, text: entry.prediction.caption, score: score)
                })
        }
    }

    /// `count` numbers from 0 to `total - 1`, evenly spread, the middle of each stretch.
    static func spread(_ count: Int, over total: Int) -> [Int] {
        guard count < total else { return Array(0..<total) }
        return (0..<count).map { ($0 * 2 + 1) * total / (count * 2) }
    }
}

extension Gallery.Entry {
    enum Picture {
        case address(String)
        /// Why there is no gallery.
        case missing(String)
    }

    func picture() -> Picture {
        let existing = candidates.filter(FileSystem.exists)
        guard !existing.isEmpty else {
            return .missing(candidates.isEmpty ? "predictions.jsonl names no file" : "not found: \(candidates[0])")
        }
        guard let path = existing.first(where: isBelowARoot) else {
            return .missing(
                "'\(existing[0])' lies outside the run's folder; name the folder of the images with --images")
        }
        do {
            return .address(try Thumbnail.dataAddress(path))
        } catch {
            return .missing("\(error)")
        }
    }

    /// Links are followed before the places are compared.
    private func isBelowARoot(_ path: String) -> Bool {
        let real = FileSystem.resolved(path)
        return roots.contains { root in
            let folder = FileSystem.resolved(root)
            return real.utf8.starts(with: (folder == "/" ? folder : folder + "/").utf8)
        }
    }
}
