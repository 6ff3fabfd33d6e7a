import Files
import Foundation
import Testing

@testable import Datasets

@Suite struct PairsHalfTests {
    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("halves-\(UUID().uuidString)")
        .path

    private func manifest(_ pairs: Int, images: Int) throws -> String {
        try FileSystem.createFolder(folder)
        let lines = (0..<pairs).map {
            #"{"id": "p\#($0)", "caption": "scene \#($0)", "real": "real/\#($0 % images).png", "generated": "g/\#($0).png"}"#
        }
        let path = "\(folder)/pairs.jsonl"
        try AtomicFile.write(lines.joined(separator: "\n") + "\n", to: path)
        return path
    }

    private func pairs(_ manifest: PairsManifest) throws -> [Pair] {
        try (0..<manifest.count).map { try manifest.pair(at: $0) }
    }

    @Test func `the halves are the whole, and share no image`() throws {
        defer { try? FileSystem.remove(folder) }
        let path = try manifest(300, images: 100)
        let all = try PairsManifest(path: path)
        let (first, second) = (
            try PairsManifest(path: path, half: .first), try PairsManifest(path: path, half: .second)
        )
        #expect(first.count + second.count == 300)
        #expect((90...210).contains(first.count))
        let (a, b) = (try pairs(first), try pairs(second))
        #expect(Set(a.map(\.id)).union(b.map(\.id)).count == 300)
        #expect(Set(a.compactMap(\.real)).isDisjoint(with: b.compactMap(\.real)))
        // Lines keep their numbers for errors, and each half its own identity.
        let line = try #require(Int(a[5].id.dropFirst()))
        #expect(first.line(of: 5) == line + 1)
        #expect(Set([all.contentHash, first.contentHash, second.contentHash]).count == 3)
    }

    @Test func `an image is in the same half of every manifest`() throws {
        defer { try? FileSystem.remove(folder) }
        let large = Set(try pairs(PairsManifest(path: manifest(300, images: 100), half: .first)).compactMap(\.real))
        let small = Set(try pairs(PairsManifest(path: manifest(40, images: 40), half: .first)).compactMap(\.real))
        #expect(!small.isEmpty && small.isSubset(of: large))
    }

    @Test func `a half without pairs is an error that names it`() throws {
        defer { try? FileSystem.remove(folder) }
        let path = try manifest(3, images: 1)
        let halves = [PairsHalf.first, .second].map { half in
            do { return try PairsManifest(path: path, half: half).count } catch {
                #expect(
                    "\(error)"
                        == "'\(path)': none of its 3 pairs is in the \(half.rawValue) half, which the path of the real image "
                        + "decides; take more pairs, or data.half all")
                return 0
            }
        }
        #expect(halves.sorted() == [0, 3])
    }
}
