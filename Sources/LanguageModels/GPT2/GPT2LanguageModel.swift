import Foundation
import Torch
import TorchNN

// GPT-2: Language Models are Unsupervised Multitask Learners (Radford et al. 2019).
// Reference: transformers `GPT2LMHeadModel`; logits agree within 1e-4 in float32.

/// The decoder without its output layer.
public final class GPT2Decoder: Module {
    @Child("wte") public var tokens: Embedding  // weight [V, C]
    @Child("wpe") public var positions: Embedding  // weight [context, C]
    @Children("h") public var blocks: [GPT2Block]
    @Child("ln_f") public var finalNorm: LayerNorm

    init(_ configuration: GPT2Configuration) {
        super.init()
        tokens = Embedding(configuration.vocabularySize, configuration.hiddenSize)
        positions = Embedding(configuration.contextLength, configuration.hiddenSize)
        blocks = (0..<configuration.layerCount).map { GPT2Block(configuration, layer: $0) }
        finalNorm = LayerNorm(configuration.hiddenSize, eps: configuration.layerNormEps)
    }
}

/// GPT-2 with its language head, under Hugging Face's checkpoint keys.
public final class GPT2LanguageModel: Module, CausalLanguageModel {
    @Child("transformer") public var decoder: GPT2Decoder
    /// The output layer `[V, C]` of models that have a separate one; nil if it is the token embedding.
    @OptionalParameter("lm_head.weight") public var head: Tensor?

    public let configuration: GPT2Configuration
    public var dropoutGenerator: Generator?

    /// A model without weights; `loadCheckpoint` or `initialize` fills them.
    public init(_ configuration: GPT2Configuration) {
        self.configuration = configuration
        super.init()
        decoder = GPT2Decoder(configuration)
        head = configuration.tiesHead ? nil : .empty([configuration.vocabularySize, configuration.hiddenSize])
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var contextLength: Int { configuration.contextLength }
    public var embeddingSize: Int { configuration.hiddenSize }
    public var device: Device { decoder.tokens.weight.device }
    public var dtype: DType { decoder.finalNorm.weight.dtype }

    public override var sharedTensors: [String] { head == nil ? ["transformer.wte.weight"] : [] }

    public var headWeight: Tensor { head ?? decoder.tokens.weight }

    public func embed(_ tokens: Tensor) -> Tensor { decoder.tokens(tokens) }

    public func hiddenStates(
        embeddings: Tensor, attentionMask: Tensor? = nil, positions: Tensor? = nil, cache: KeyValueCache? = nil
    ) -> Tensor {
        let past = cache?.length ?? 0
        let newCount = embeddings.size(1)
        precondition(
            past + newCount <= contextLength || positions != nil,
            "\(past + newCount) positions in a context of \(contextLength)")
        let table = decoder.positions
        // [T, C] broadcasts over the rows; given positions are looked up, [B, T, C].
        let added = positions.map { table($0) } ?? table.weight[past..<past + newCount]
        let dropout = isTraining ? dropoutGenerator : nil
        var states = embeddings + added.to(embeddings.dtype)
        if let dropout {
            states = Functional.dropout(states, p: configuration.embeddingDropout, generator: dropout)
        }
        let pattern = AttentionPattern(
            mask: attentionMask, past: past, newCount: newCount, device: embeddings.device)
        for (layer, block) in decoder.blocks.enumerated() {
            states = block(states, pattern: pattern, cache: cache, layer: layer, dropout: dropout)
        }
        return decoder.finalNorm(states)
    }

    private var packedHead: PackedLinear?
    private var kernel = LinearKernel.plain

    public override func dropDerivedWeights() { packedHead = nil }

    /// From now on uses the way in which linear layers run faster for batches on this kind of CPU; does nothing on
    /// other devices. Packed weights are copies that cost the size of the weights once a batch of 32 rows or more has
    /// run, so a program that captions single images is better off without them.
    /// - Returns: the choice and its reason, for logs; nil if there was nothing to choose.
    @discardableResult
    public func prepareForBatches() throws -> LinearKernel.Choice? {
        guard device == .cpu else { return nil }
        let choice = try LinearKernel.choose(dtype: headWeight.dtype)
        useKernel(choice.kernel)
        return choice
    }

    func useKernel(_ kernel: LinearKernel) {
        self.kernel = kernel
        for block in decoder.blocks {
            for layer in [block.attention.queryKeyValue, block.attention.output, block.mlp.up, block.mlp.down] {
                layer.kernel = kernel
            }
        }
        weightsDidChange()
    }

    public func logits(_ states: Tensor) -> Tensor {
        if kernel == .packed, PackedRows.areWorthIt(states), !states.requiresGrad, !headWeight.requiresGrad {
            let layer = packedHead ?? PackedLinear(weight: headWeight, bias: nil)
            packedHead = layer
            return layer(states)
        }
        return Functional.fewRowsLinear(states, weight: headWeight, isInputFirst: false)
    }

    public func makeCache() -> KeyValueCache {
        KeyValueCache(
            layerCount: configuration.layerCount, headCount: configuration.headCount,
            headSize: configuration.hiddenSize / configuration.headCount)
    }

    /// Fresh weights as in GPT-2's training: normal with the configuration's range, layers that write into the residual
    /// stream with that range / √(2 · layers), biases 0, norms 1.
    public func initialize(generator: Generator) {
        withoutGradients {
            let range = configuration.initializerRange
            let residual = range / Double(2 * configuration.layerCount).squareRoot()
            func normal(_ tensor: Tensor, _ std: Double) { tensor.normalInPlace(std: std, generator: generator) }
            func identity(_ norm: LayerNorm) {
                norm.weight.fillInPlace(1)
                norm.bias.fillInPlace(0)
            }
            normal(decoder.tokens.weight, range)
            normal(decoder.positions.weight, range)
            for block in decoder.blocks {
                identity(block.norm1)
                identity(block.norm2)
                for (layer, std) in [
                    (block.attention.queryKeyValue, range), (block.attention.output, residual),
                    (block.mlp.up, range), (block.mlp.down, residual),
                ] {
                    normal(layer.weight, std)
                    layer.bias.fillInPlace(0)
                }
            }
            identity(decoder.finalNorm)
            if let head { normal(head, range) }
        }
        weightsDidChange()
    }
}
