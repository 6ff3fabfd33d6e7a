// What five people might write under the same picture. Each of the five slots has its own view (all objects with their
// attributes; where they are; how many there are; one beside another; the light), and words vary by scene.

/// Writes captions.
public enum CaptionGrammar {
    /// Five captions of a scene, all different, and always the same ones.
    public static func captions(for scene: Scene) -> [String] {
        let seed = scene.hash.utf8.prefix(16).reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) }
        var writer = Writer(scene: scene, random: SplitMix(seed: seed))
        var captions: [String] = []
        for slot in 0..<5 {
            // A scene with one object can be described in few ways; another draw of words then gives another caption.
            var caption = writer.caption(slot)
            while captions.contains(caption) { caption = writer.caption(slot) }
            captions.append(caption)
        }
        return captions
    }
}

private struct Writer {
    let scene: Scene
    var random: SplitMix

    /// How much of an object is described.
    private struct Detail: OptionSet {
        let rawValue: Int
        static let size = Detail(rawValue: 1)
        static let finish = Detail(rawValue: 2)
    }

    mutating func caption(_ slot: Int) -> String {
        let sentence: String
        switch slot {
        case 0: sentence = inventory()
        case 1: sentence = relation()
        case 2: sentence = count()
        case 3: sentence = companion()
        default: sentence = lighting()
        }
        return sentence.prefix(1).uppercased() + sentence.dropFirst() + "."
    }

    // MARK: Sentences

    private mutating func inventory() -> String {
        let things = list([.size, .finish])
        let place = "on " + surface()
        switch random.integer(below: 4) {
        case 0: return "\(things) \(place)"
        case 1: return "there \(isSingular([.size, .finish]) ? "is" : "are") \(things) \(place)"
        case 2: return "a \(random.pick(["photo", "picture"])) of \(things) \(place)"
        default: return "\(things) \(verb(plural: scene.objects.count > 1)) \(place)"
        }
    }

    private mutating func relation() -> String {
        guard scene.objects.count > 1 else {
            let thing = phrase(scene.objects[0], detail())
            let place = "\(position(scene.objects[0])) of \(surface())"
            return random.chance(0.5) ? "\(thing) \(verb(plural: false)) \(place)" : "\(thing) \(place)"
        }
        guard let (a, b) = pair() else { return "\(list([])) side by side on \(surface())" }
        let first = phrase(a, detail())
        let second = phrase(b, detail())
        let tail = random.chance(0.4) ? " on \(surface())" : ""
        return random.chance(0.5)
            ? "\(first) \(verb(plural: false)) \(between(a, b)) \(second)\(tail)"
            : "\(first) \(between(a, b)) \(second)\(tail)"
    }

    private mutating func count() -> String {
        let number = scene.objects.count
        let place = "on " + surface()
        if number == 1 {
            let thing = adjectives(scene.objects[0], detail()) + noun(scene.objects[0].shape)
            return random.pick([
                "a single \(thing) \(place)", "just one \(thing) \(place)",
                "only one thing \(place): \(article(thing)) \(thing)",
            ])
        }
        let words = ["two", "three", "four"]
        let things = random.pick(["objects", "things", "shapes", "toys"])
        switch random.integer(below: 3) {
        case 0: return "\(words[number - 2]) \(things) \(place): \(list([]))"
        case 1: return "\(words[number - 2]) \(things), \(list([])), \(place)"
        default: return "\(shapes()) \(place)"
        }
    }

    private mutating func companion() -> String {
        if scene.objects.count > 1, let (a, b) = pair() {
            return "\(phrase(a, [.size, .finish])) with \(phrase(b, detail())) \(beside(b)) on \(surface())"
        }
        if scene.objects.count > 1 { return "\(list([.finish])) next to each other on \(surface())" }
        let object = scene.objects[0]
        let finish = finishWord(object.finish)
        let kind = phrase(object, .size)
        return random.pick([
            "\(kind) that is \(finish), on \(surface())",
            "\(kind) with \(article(finish)) \(finish) surface, on \(surface())",
            "on \(surface()), \(kind), \(finish) and alone",
        ])
    }

    private mutating func lighting() -> String {
        let things = list(random.chance(0.5) ? [] : .size)
        let light = lightPhrase()
        switch random.integer(below: 3) {
        case 0: return "\(things) on \(surface()), lit \(light)"
        case 1: return "\(surface()) with \(things), lit \(light)"
        default: return "\(random.pick(["a scene", "a still life"])) with \(things) on \(surface()), lit \(light)"
        }
    }

    // MARK: Phrases

    private mutating func detail() -> Detail {
        [.size, .finish, [], [.size, .finish]][random.integer(below: 4)]
    }

    private mutating func noun(_ shape: Scene.Shape, plural: Bool = false) -> String {
        let word =
            switch shape {
            case .sphere: random.pick(["ball", "sphere", "ball"])
            case .cube: random.pick(["cube", "block", "cube"])
            case .cylinder: random.pick(["cylinder", "can", "cylinder"])
            case .cone: "cone"
            case .ring: random.pick(["ring", "hoop", "ring"])
            }
        return plural ? word + "s" : word
    }

    private mutating func finishWord(_ finish: Scene.Finish) -> String {
        finish == .shiny ? random.pick(["shiny", "glossy", "polished"]) : random.pick(["matte", "dull"])
    }

    /// Size, finish and colour in their English order, each followed by a space.
    private mutating func adjectives(_ object: Scene.Object, _ detail: Detail) -> String {
        var words: [String] = []
        if detail.contains(.size) {
            words.append(
                object.size == .small ? random.pick(["small", "little", "tiny"]) : random.pick(["large", "big"]))
        }
        if detail.contains(.finish) { words.append(finishWord(object.finish)) }
        words.append(object.colour == .purple ? random.pick(["purple", "violet"]) : object.colour.rawValue)
        return words.joined(separator: " ") + " "
    }

    private func article(_ next: String) -> String { "aeiou".contains(next.first ?? "b") ? "an" : "a" }

    private mutating func phrase(_ object: Scene.Object, _ detail: Detail) -> String {
        let words = adjectives(object, detail) + noun(object.shape)
        return "\(article(words)) \(words)"
    }

    /// Objects with the same description, grouped, from left to right.
    private func groups(_ detail: Detail) -> [[Scene.Object]] {
        var groups: [[Scene.Object]] = []
        for object in scene.objects {
            let index = groups.firstIndex { group in
                let other = group[0]
                return other.shape == object.shape && other.colour == object.colour
                    && (!detail.contains(.size) || other.size == object.size)
                    && (!detail.contains(.finish) || other.finish == object.finish)
            }
            if let index { groups[index].append(object) } else { groups.append([object]) }
        }
        return groups
    }

    private func isSingular(_ detail: Detail) -> Bool { groups(detail)[0].count == 1 }

    private mutating func list(_ detail: Detail) -> String {
        var items: [String] = []
        for group in groups(detail) {
            if group.count == 1 {
                items.append(phrase(group[0], detail))
            } else {
                let number = ["two", "three", "four"][group.count - 2]
                items.append("\(number) \(adjectives(group[0], detail))\(noun(group[0].shape, plural: true))")
            }
        }
        return join(items)
    }

    /// Only shapes, counted: "two balls and a cone".
    private mutating func shapes() -> String {
        var items: [String] = []
        for shape in Scene.Shape.allCases {
            let number = scene.objects.count { $0.shape == shape }
            guard number > 0 else { continue }
            let word = noun(shape, plural: number > 1)
            items.append("\(["a", "two", "three", "four"][number - 1]) \(word)")
        }
        return join(items)
    }

    private func join(_ items: [String]) -> String {
        items.count < 2
            ? items.joined() : items.dropLast().joined(separator: ", ") + " and " + items[items.count - 1]
    }

    private mutating func surface() -> String {
        switch scene.surface {
        case .wood: random.pick(["a wooden table", "a wooden desk", "a wood table"])
        case .marble: random.pick(["a marble counter", "a marble table", "a white marble top"])
        case .slate: random.pick(["a dark slate table", "a slate surface", "a dark stone table"])
        case .felt: random.pick(["green felt", "a green felt table", "a card table"])
        case .cloth: random.pick(["a checkered tablecloth", "a checked cloth", "a checkered cloth"])
        }
    }

    private mutating func verb(plural: Bool) -> String {
        random.pick(plural ? ["sit", "stand", "rest", "are"] : ["sits", "stands", "rests", "is"])
    }

    private mutating func position(_ object: Scene.Object) -> String {
        switch object.column {
        case 0: random.pick(["on the left side", "at the left"])
        case 1: random.pick(["in the middle", "at the center"])
        default: random.pick(["on the right side", "at the right"])
        }
    }

    /// Two objects with different descriptions.
    private mutating func pair() -> (Scene.Object, Scene.Object)? {
        var order = Array(scene.objects.indices)
        random.shuffle(&order)
        for i in order {
            for j in order where j != i {
                let (a, b) = (scene.objects[i], scene.objects[j])
                if a.colour != b.colour || a.shape != b.shape { return (a, b) }
            }
        }
        return nil
    }

    /// Where `a` is as seen from `b`; left and right are the viewer's.
    private mutating func between(_ a: Scene.Object, _ b: Scene.Object) -> String {
        if a.column < b.column { return random.pick(["to the left of", "left of", "on the left of"]) }
        if a.column > b.column { return random.pick(["to the right of", "right of", "on the right of"]) }
        return a.row < b.row ? "in front of" : "behind"
    }

    private mutating func beside(_ object: Scene.Object) -> String {
        random.pick(["next to it", "beside it", "nearby"])
    }

    private mutating func lightPhrase() -> String {
        let tone =
            switch scene.light.tone {
            case .warm: random.pick(["warmly ", "by warm light "])
            case .neutral: random.pick(["", "by plain light "])
            case .cool: random.pick(["coldly ", "by cool light "])
            }
        return tone + (scene.light.side == .front ? "from the front" : "from the \(scene.light.side.rawValue)")
    }
}
