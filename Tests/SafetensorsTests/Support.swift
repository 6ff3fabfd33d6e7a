import Foundation
import TestSupport

@testable import Safetensors

func fixture(_ name: String) -> String { Bundle.module.bundlePath + "/Fixtures/" + name }

func read(_ path: String) throws -> [UInt8] { try Array(Data(contentsOf: URL(fileURLWithPath: path))) }

func write(_ bytes: [UInt8], to path: String) throws { try Data(bytes).write(to: URL(fileURLWithPath: path)) }

/// Length, header and data put together without any checks.
func fileBytes(header: [UInt8], data: Int, length: UInt64? = nil) -> [UInt8] {
    withUnsafeBytes(of: (length ?? UInt64(header.count)).littleEndian) { Array($0) } + header
        + [UInt8](repeating: 1, count: data)
}
