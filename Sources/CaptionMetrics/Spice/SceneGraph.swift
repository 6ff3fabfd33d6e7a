/// The tuples of one or several captions, in which everything that means the same is merged.
///
/// Tuples are added in order, and order decides ties: a new object joins the node it equals, or else the most similar
/// node (the earlier one on a tie), or else becomes a node. Attributes of a node and relations of a pair of nodes are
/// merged when they share a word or a synset. A leading `be ` of a relation is cut off (`be in` says no more than `in`).
struct SceneGraph {
    /// A merged tuple: one, two or three concepts, in the order object, attribute or subject, relation, object.
    typealias Proposition = [SceneConcept]

    private struct Node {
        var concept: SceneConcept
        var attributes: [SceneConcept] = []
    }

    private struct Relation {
        let subject: Int
        let object: Int
        var concept: SceneConcept
    }

    private var nodes: [Node] = []
    private var relations: [Relation] = []

    /// Reads `tuples` into an empty graph.
    init(_ tuples: [SceneTuple], concepts: inout SceneConceptTable) {
        for tuple in tuples { add(tuple, concepts: &concepts) }
    }

    /// All merged tuples: node by node the object and its attributes, then the relations.
    var propositions: [Proposition] {
        var result: [Proposition] = []
        for node in nodes {
            result.append([node.concept])
            for attribute in node.attributes { result.append([node.concept, attribute]) }
        }
        for relation in relations {
            result.append([nodes[relation.subject].concept, relation.concept, nodes[relation.object].concept])
        }
        return result
    }

    private mutating func add(_ tuple: SceneTuple, concepts: inout SceneConceptTable) {
        switch tuple {
        case .object(let object):
            _ = node(concepts.concept(object))
        case .attribute(let object, let attribute):
            let owner = node(concepts.concept(object))
            let concept = concepts.concept(attribute)
            if nodes[owner].attributes.contains(concept) { return }
            if let i = nodes[owner].attributes.firstIndex(where: concept.isSimilar) {
                nodes[owner].attributes[i].merge(concept)
            } else {
                nodes[owner].attributes.append(concept)
            }
        case .relation(let subject, let relation, let object):
            let from = node(concepts.concept(subject))
            let to = node(concepts.concept(object))
            let concept = concepts.concept(relation.hasPrefix("be ") ? String(relation.dropFirst(3)) : relation)
            let between = relations.indices.filter { relations[$0].subject == from && relations[$0].object == to }
            if between.contains(where: { relations[$0].concept == concept }) { return }
            if let i = between.first(where: { concept.isSimilar(to: relations[$0].concept) }) {
                relations[i].concept.merge(concept)
            } else {
                relations.append(Relation(subject: from, object: to, concept: concept))
            }
        }
    }

    private mutating func node(_ concept: SceneConcept) -> Int {
        var best = 0.0
        var choice: Int?
        for i in nodes.indices {
            if nodes[i].concept == concept { return i }
            let similarity = concept.similarity(to: nodes[i].concept)
            if similarity > best {
                best = similarity
                choice = i
            }
        }
        if let choice {
            nodes[choice].concept.merge(concept)
            return choice
        }
        nodes.append(Node(concept: concept))
        return nodes.count - 1
    }
}
