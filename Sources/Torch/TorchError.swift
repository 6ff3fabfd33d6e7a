import CTorch
import Foundation
import Synchronization

/// A failure that libtorch reported, with its message (without its C++ backtrace) and, for an operation, the Swift call
/// site.
public struct TorchError: Error, CustomStringConvertible, LocalizedError, Sendable {
    public enum Kind: Sendable {
        /// libtorch refused an operation: shapes, dtypes, arguments.
        case operation
        /// Host or device memory is exhausted.
        case outOfMemory
        /// The shim or libtorch itself could not be opened.
        case notLoaded
        /// A value given by the user is not acceptable.
        case argument
    }

    public var kind: Kind
    public var message: String
    /// The operation, when one failed.
    public var operation: String?
    /// `Module/File.swift:line` of the call, when an operation failed.
    public var site: String?

    public init(kind: Kind, message: String, operation: String? = nil, site: String? = nil) {
        self.kind = kind
        self.message = message
        self.operation = operation
        self.site = site
    }

    public var description: String {
        let what = kind == .outOfMemory ? "not enough memory: \(message)" : message
        guard let operation else { return what }
        return "\(operation)\(site.map { " at \($0)" } ?? ""): \(what)"
    }

    public var errorDescription: String? { description }

    static func current(_ status: CTStatus) -> TorchError {
        let kind: Kind
        switch Int(status) {
        case CT_OUT_OF_MEMORY: kind = .outOfMemory
        case CT_NOT_LOADED: kind = .notLoaded
        default: kind = .operation
        }
        return TorchError(
            kind: kind, message: String(cString: ct_last_error()).trimmingCharacters(in: .whitespacesAndNewlines))
    }
}

/// For I/O and set-up: a failed status becomes a thrown error.
@inline(__always)
func throwing(_ status: CTStatus) throws {
    if status != CT_OK { throw TorchError.current(status) }
}

/// For operations: a failed status traps with libtorch's message and the call site. Inside `catchingTorchErrors` it is
/// kept, and the scope throws it.
/// - Returns: whether the operation succeeded.
@inline(__always)
@discardableResult
func check(_ status: CTStatus, _ operation: String, _ file: StaticString, _ line: UInt) -> Bool {
    if status == CT_OK { return true }
    operationFailed(status, operation, file, line)
    return false
}

@inline(never)
private func operationFailed(_ status: CTStatus, _ operation: String, _ file: StaticString, _ line: UInt) {
    var error = TorchError.current(status)
    error.operation = operation
    // Operators cannot take a call site as a default argument; they pass line 0, and the stack tells the site.
    error.site = line == 0 ? callerOutsideTorch() : "\(file):\(line)"
    if let scope = ErrorScope.current {
        if scope.error == nil { scope.error = error }
        ct_set_scope_failed(true)
        return
    }
    // Resources that the machine lacks are no mistake of the program.
    if error.kind == .outOfMemory || error.kind == .notLoaded { resourceFailure.withLock { $0 }?(error) }
    fatalError("libtorch: \(error)", file: file, line: line)
}

private let resourceFailure = Mutex<(@Sendable (TorchError) -> Never)?>(nil)

extension TorchRuntime {
    /// Sets what ends the program when an operation outside `catchingTorchErrors` finds no memory or no libtorch. These
    /// are conditions of the machine, which a command reports as an error with an exit code. Without `body` the
    /// operation traps.
    ///
    /// Nothing is unwound; files that are written aside and renamed keep their former content. `body` may run on any
    /// thread.
    public static func whenResourcesFail(_ body: @escaping @Sendable (TorchError) -> Never) {
        resourceFailure.withLock { $0 = body }
    }
}

/// The first frame of the stack outside this module, as the run time names it.
private func callerOutsideTorch() -> String? {
    Thread.callStackSymbols.first { !$0.contains("$s5Torch") && $0.contains("$s") }
}

/// The open `catchingTorchErrors` scope of one thread.
final class ErrorScope {
    var error: TorchError?
    let outer: ErrorScope?

    init(outer: ErrorScope?) { self.outer = outer }

    private static let key = "gmail.torch.error-scope"

    // Only failures and scope changes come here, so the cost of a dictionary look-up does not matter.
    static var current: ErrorScope? {
        get { Thread.current.threadDictionary[key] as? ErrorScope }
        set { Thread.current.threadDictionary[key] = newValue }
    }
}

/// Runs `body`; when an operation in it fails (out of memory, a shape that does not fit), throws instead of trapping.
///
/// It is for long-running programs that must survive one bad request. After the first failure the remaining operations
/// of `body` compute nothing: they return a *poisoned* tensor (rank 0, NaN; every `size` of it reads 1). So `body`
/// quickly runs to its end, its result is dropped, and the first error is thrown. Scopes nest; each thread has its own.
/// - Throws: the first `TorchError` of an operation, or what `body` itself throws (the operation's error wins).
public func catchingTorchErrors<Result>(_ body: () throws -> Result) throws -> Result {
    let scope = ErrorScope(outer: ErrorScope.current)
    ErrorScope.current = scope
    ct_set_scope_failed(false)
    defer {
        ErrorScope.current = scope.outer
        ct_set_scope_failed(scope.outer?.error != nil)
    }
    do {
        let result = try body()
        if let error = scope.error { throw error }
        return result
    } catch {
        throw scope.error ?? error
    }
}
