import Testing

@testable import Tokenizers

@Suite struct TextRepairTests {
    private func scalars(_ text: String) -> [UInt32] { text.unicodeScalars.map(\.value) }

    /// 700 texts that ftfy 6.3.1 changes.
    @Test func equalsFtfy() throws {
        let rows = try decodeFixture("ftfy.json", as: [[String]].self)
        #expect(rows.count == 700)
        let wrong = rows.filter { TextRepair.fix(scalars($0[0])) != scalars($0[1]) }
        print("report: ftfy: \(wrong.count) of \(rows.count) repairs differ")
        #expect(wrong == [])
    }

    /// A repaired text stays as it is.
    @Test func isIdempotent() throws {
        for row in try decodeFixture("ftfy.json", as: [[String]].self) where !row[0].contains("<") {
            #expect(TextRepair.fix(scalars(row[1])) == scalars(row[1]) || row[1].contains("&"))
        }
    }

    @Test func equalsPythonsUnescape() throws {
        for row in try decodeFixture("html.json", as: [[String]].self) {
            #expect(HTMLEntities.unescape(scalars(row[0])) == scalars(row[1]), "\(row[0])")
        }
    }

    /// All 2,231 names, each directly before the next.
    @Test func everyEntity() throws {
        let expected = try decodeFixture("html-all.json", as: [String: UInt32].self)
        let names = TableReader.pairs(HTMLEntityTable.names).map { [UInt8(ascii: "&")] + $0.key }
        #expect(names.count == 2231)
        let text = HTMLEntities.unescape(names.flatMap { $0 }.map { UInt32($0) })
        var crc = CRC32()
        for byte in utf8(text) { crc.update(byte) }
        #expect(UInt32(text.count) == expected["length"])
        #expect(crc.value == expected["crc"])
    }

    @Test func sigmaAndOtherCase() {
        func lower(_ text: String) -> String { String(decoding: utf8(PythonText.lower(scalars(text))), as: UTF8.self) }
        #expect(lower("ΟΔΟΣ ΣΑΣ Σ ΑΣ. ΑΣ'Σ") == "οδος σας σ ας. ασ'ς")
        #expect(scalars(lower("İ")) == [0x69, 0x307])
        #expect(CLIPCleaning.huggingFace.clean("ΟΔΟΣ") == "οδοσ")
    }

    @Test func cleaning() {
        #expect(CLIPCleaning.openAI.clean("  A&amp;amp;B\u{A0} x\u{1F}y \n") == "a&b xy")
        #expect(CLIPCleaning.huggingFace.clean("  A&amp;B\u{A0} \n") == " a&amp;b ")
        #expect(CLIPCleaning.openAI.clean("schÃ¶n â€œhiâ€\u{9D}") == "schön \"hi\"")
    }

    @Test func composition() {
        for (text, composed) in [
            ("e\u{301}", [0xE9]), ("a\u{323}\u{302}", [0x1EAD]), ("a\u{302}\u{323}", [0x1EAD]),
            ("q\u{307}\u{323}", [0x71, 0x323, 0x307]),
            ("\u{1112}\u{1161}\u{11AB}", [0xD55C]), ("\u{212B}", [0xC5]), ("\u{958}", [0x915, 0x93C]),
            ("\u{344}", [0x308, 0x301]),
            ("\u{1100}\u{1161}\u{11A7}", [0xAC00, 0x11A7]), ("a\u{300}\u{300}", [0xE0, 0x300]),
            ("\u{301}\u{301}", [0x301, 0x301]),
        ] as [(String, [UInt32])] {
            #expect(Normalization.composed(scalars(text)) == composed)
        }
    }
}
