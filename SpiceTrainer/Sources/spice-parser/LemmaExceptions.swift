@_spi(Training) import CaptionMetrics

/// Finds the words whose base form the rules miss.
enum LemmaExceptions {
    /// Irregular forms common in captions that a treebank may not hold.
    private static let irregular = [
        "n men": "man", "n women": "woman", "n children": "child", "n people": "people", "n feet": "foot",
        "n teeth": "tooth", "n geese": "goose", "n mice": "mouse", "n knives": "knife", "n leaves": "leaf",
        "n loaves": "loaf", "n shelves": "shelf", "n calves": "calf", "n halves": "half", "n wolves": "wolf",
        "n scarves": "scarf", "n skis": "ski", "n sheep": "sheep", "n policemen": "policeman",
        "n firemen": "fireman", "n fishermen": "fisherman", "n snowmen": "snowman", "n clothes": "clothes",
        "n buses": "bus", "n movies": "movie", "n cookies": "cookie", "n pies": "pie", "n ties": "tie",
        "n hoodies": "hoodie", "n brownies": "brownie", "n veggies": "veggie", "n selfies": "selfie",
        "n smoothies": "smoothie", "n doggies": "doggie", "n tennis": "tennis", "n bus": "bus", "n glasses": "glass",
        "n horses": "horse", "n houses": "house", "n shorts": "shorts", "n fries": "fries", "n goods": "goods",
        "n bookshelves": "bookshelf", "n sunglasses": "sunglass", "n pants": "pants", "n scissors": "scissors",
        "n jeans": "jeans", "n vases": "vase", "n dresses": "dress", "n cases": "case",
        "v has": "have", "v staring": "stare", "v stared": "stare", "v using": "use", "v used": "use", "v had": "have",
        "v is": "be", "v are": "be", "v was": "be", "v were": "be", "v been": "be",
        "v being": "be", "v am": "be", "v 's": "be", "v 're": "be", "v 'm": "be", "v does": "do", "v lying": "lie",
        "v lies": "lie", "v tying": "tie", "v ties": "tie", "v dying": "die", "v laid": "lay", "v lain": "lie",
        "v ridden": "ride", "v rode": "ride", "v held": "hold", "v hung": "hang", "v stood": "stand", "v sat": "sit",
        "v worn": "wear", "v flown": "fly", "v thrown": "throw", "v lit": "light", "v led": "lead", "v shown": "show",
    ]

    static func find(in sentences: [TrainingSentence], words: Set<String>) -> [String: String] {
        var votes: [String: [String: Int]] = [:]
        for sentence in sentences {
            for i in sentence.forms.indices {
                let tag = sentence.tags[i]
                let kind: String
                if tag == "NNS" {
                    kind = "n"
                } else if tag.hasPrefix("VB") {
                    kind = "v"
                } else {
                    continue
                }
                if sentence.forms[i].contains("\t") || sentence.lemmas[i].contains("\t") { continue }
                votes["\(kind) \(sentence.forms[i])", default: [:]][sentence.lemmas[i], default: 0] += 1
            }
        }
        var result: [String: String] = [:]
        for (key, lemmas) in votes {
            guard let best = lemmas.max(by: { ($0.value, $1.key) < ($1.value, $0.key) })?.key else { continue }
            let form = String(key.dropFirst(2))
            let rule =
                key.hasPrefix("n")
                ? Lemmatizer.singular(form)
                : Lemmatizer.base(form, tag: form.hasSuffix("ing") ? "VBG" : form.hasSuffix("ed") ? "VBD" : "VBZ")
            if rule != best || (key.hasPrefix("v") && !form.hasSuffix("ing") && !form.hasSuffix("ed")) {
                result[key] = best
            }
        }
        // Participles of verbs the treebank does not hold: the candidate that is itself a word of the captions.
        for word in words where word.hasSuffix("ing") || word.hasSuffix("ed") {
            let key = "v \(word)"
            if votes[key] != nil { continue }
            let stem = String(word.dropLast(word.hasSuffix("ing") ? 3 : 2))
            let rule = Lemmatizer.base(word, tag: word.hasSuffix("ing") ? "VBG" : "VBD")
            if words.contains(rule) || stem.utf8.count < 3 { continue }
            let candidates = [stem + "e", stem, String(stem.dropLast())]
            if let known = candidates.first(where: words.contains), known != rule { result[key] = known }
        }
        return result.merging(irregular) { _, listed in listed }
    }
}
