@_spi(Training) import CaptionMetrics
import Files
import Foundation

/// A sentence to learn from: lower-case words, Penn tags, governors (the count stands for the root), UD v1 labels.
struct TrainingSentence {
    var forms: [String]
    var tags: [String]
    var lemmas: [String]
    var heads: [Int]
    var labels: [String]

    var count: Int { forms.count }
}

/// Reads CoNLL-U with Universal Dependencies v2 labels and rewrites it to what SPICE's parser prints.
enum Treebank {
    /// Reads a `.conllu` file, through `xz -dc` or `gzip -dc` where its name says so.
    static func read(_ path: String) throws -> [TrainingSentence] {
        var sentences: [TrainingSentence] = []
        var names: [[Bool]] = []
        var rows: [Row] = []
        for row in TextLines([UInt8](try contents(of: path)), path: path) {
            let line = try row.text
            if line.isEmpty {
                if !rows.isEmpty, let (sentence, isName) = convert(rows) {
                    sentences.append(sentence)
                    names.append(isName)
                }
                rows = []
            } else if !line.hasPrefix("#") {
                let fields = line.split(separator: "\t", omittingEmptySubsequences: false)
                guard fields.count == 10 else {
                    throw ToolError(
                        "'\(path)' line \(row.number): a CoNLL-U line has \(fields.count) fields, expected 10: \(line)")
                }
                // Ranges (1-2) and empty nodes (1.1) are no words of the basic tree.
                guard let id = Int(fields[0]), let head = Int(fields[6]) else { continue }
                guard id == rows.count + 1 else {
                    throw ToolError("'\(path)' line \(row.number): word \(id) follows word \(rows.count): \(line)")
                }
                rows.append(
                    Row(
                        form: fields[1].lowercased(), lemma: fields[2].lowercased(), tag: String(fields[4]), head: head,
                        label: String(fields[7])))
            }
        }
        if !rows.isEmpty, let (sentence, isName) = convert(rows) {
            sentences.append(sentence)
            names.append(isName)
        }
        retagNames(&sentences, names: names)
        return sentences
    }

    private struct Row {
        var form: String
        var lemma: String
        var tag: String
        var head: Int
        var label: String
    }

    private static let labels: [String: String] = [
        "obj": "dobj", "obl": "nmod", "obl:agent": "nmod", "obl:unmarked": "nmod:npmod", "nmod:unmarked": "nmod:npmod",
        "obl:tmod": "nmod:tmod", "obl:npmod": "nmod:npmod", "nmod:desc": "compound", "nsubj:pass": "nsubjpass",
        "nsubj:outer": "nsubj", "aux:pass": "auxpass", "csubj:pass": "csubjpass", "csubj:outer": "csubj",
        "fixed": "mwe", "flat": "compound", "flat:foreign": "compound", "advcl:relcl": "advcl", "vocative": "discourse",
        "reparandum": "dep", "orphan": "dep", "dislocated": "dep", "goeswith": "compound", "list": "dep",
        "appos": "dep", "parataxis": "dep",
    ]

    /// One sentence, its punctuation dropped (captions reach the parser without any) and labels of version 1.
    private static func convert(_ source: [Row]) -> (TrainingSentence, isName: [Bool])? {
        var rows = source
        moveHeadsOfNames(&rows)
        // Version 1 hangs the conjunction on the first conjunct.
        for i in rows.indices where rows[i].label == "cc" && rows[i].head > 0 && rows[rows[i].head - 1].label == "conj"
        {
            rows[i].head = rows[rows[i].head - 1].head
        }
        for i in rows.indices {
            if rows[i].label == "advmod" && ["not", "n't", "never", "nt"].contains(rows[i].form) {
                rows[i].label = "neg"
            }
            rows[i].label = labels[rows[i].label] ?? rows[i].label
            switch rows[i].tag {
            case "NNP": rows[i].tag = "NN"
            case "NNPS": rows[i].tag = "NNS"
            // The older scheme has one tag for `to`, preposition or not.
            case "IN" where rows[i].form == "to": rows[i].tag = "TO"
            default: break
            }
        }
        var place = [Int](repeating: -1, count: rows.count + 1)
        var kept: [Int] = []
        for i in rows.indices where rows[i].label != "punct" {
            place[i + 1] = kept.count
            kept.append(i)
        }
        if kept.isEmpty { return nil }
        let known = Set(ArcLabeler.labels)
        var sentence = TrainingSentence(forms: [], tags: [], lemmas: [], heads: [], labels: [])
        for i in kept {
            var head = rows[i].head
            while head > 0, place[head] < 0 { head = rows[head - 1].head }
            sentence.forms.append(rows[i].form)
            sentence.tags.append(rows[i].tag)
            sentence.lemmas.append(rows[i].lemma)
            sentence.heads.append(head == 0 ? kept.count : place[head])
            sentence.labels.append(known.contains(rows[i].label) ? rows[i].label : "dep")
        }
        return sentence.heads.count { $0 == kept.count } == 1
            ? (sentence, kept.map { source[$0].tag.hasPrefix("NNP") }) : nil
    }

    /// Lower-cased names look like common words, so they are tagged as these are tagged elsewhere (`white` in the name
    /// of a house is an adjective again).
    private static func retagNames(_ sentences: inout [TrainingSentence], names: [[Bool]]) {
        var votes: [String: [String: Int]] = [:]
        for (sentence, isName) in zip(sentences, names) {
            for i in sentence.forms.indices where !isName[i] {
                votes[sentence.forms[i], default: [:]][sentence.tags[i], default: 0] += 1
            }
        }
        for s in sentences.indices {
            for i in sentences[s].forms.indices where names[s][i] {
                guard let tags = votes[sentences[s].forms[i]],
                    let best = tags.max(by: { ($0.value, $1.key) < ($1.value, $0.key) }),
                    best.value > 1
                else { continue }
                if ["JJ", "NNS", "NN", "CD", "VBG"].contains(best.key) { sentences[s].tags[i] = best.key }
            }
        }
    }

    /// `flat` names are headed by their first word in version 2, by their last in the older scheme.
    private static func moveHeadsOfNames(_ rows: inout [Row]) {
        for first in rows.indices {
            let parts = rows.indices.filter { rows[$0].label.hasPrefix("flat") && rows[$0].head == first + 1 }
            guard let last = parts.last, last > first else { continue }
            for i in rows.indices where rows[i].head == first + 1 && i != last { rows[i].head = last + 1 }
            (rows[last].head, rows[last].label) = (rows[first].head, rows[first].label)
            (rows[first].head, rows[first].label) = (last + 1, "compound")
        }
    }
}
