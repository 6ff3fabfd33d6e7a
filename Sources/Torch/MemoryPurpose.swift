/// Runs `body`; where memory runs out in it, the error names what it was for.
///
/// For everything whose size a user or a file decides: opening a model, a batch through it. As in `catchingTorchErrors`, which
/// this is, a failed operation is thrown at the end of `body`.
/// - Parameter purpose: such as "the model 'clip'".
/// - Throws: `TorchError`, what `body` throws.
public func requiringMemory<Result>(
    for purpose: @autoclosure () -> String, _ body: () throws -> Result
) throws -> Result {
    do {
        return try catchingTorchErrors(body)
    } catch var error as TorchError where error.kind == .outOfMemory && error.purpose == nil {
        error.purpose = purpose()
        throw error
    }
}
