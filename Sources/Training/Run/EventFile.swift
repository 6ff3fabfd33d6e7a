// TensorBoard's event files, scalars only. A file is a sequence of TFRecords:
//   uint64 length, uint32 masked CRC-32C of the length, the bytes, uint32 masked CRC-32C of the bytes   (little-endian)
// whose bytes are `Event` messages (tensorboard/compat/proto/event.proto, summary.proto):
//   Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; SessionLog session_log = 7 }
//   Summary { repeated Value value = 1 }   Value { string tag = 1; float simple_value = 2 }   SessionLog { status = 1 }

import Files
import Foundation

/// A TensorBoard event file to which events are appended.
public final class EventFile {
    public var path: String { file.path }
    private let file: AppendFile

    /// Opens a new event file in `folder`.
    /// - Parameter resumedAt: if given, TensorBoard ignores what earlier files in the folder say about steps from here
    ///   on (they were lost with the run that wrote them).
    public init(folder: String, now: Date = Date(), resumedAt step: Int? = nil) throws {
        let seconds = now.timeIntervalSince1970
        var name = "\(folder)/events.out.tfevents.\(Int(seconds)).gmail"
        var attempt = 0
        while FileSystem.exists(name) {
            attempt += 1
            name = "\(folder)/events.out.tfevents.\(Int(seconds)).gmail.\(attempt)"
        }
        file = try AppendFile(path: name)
        var first = ProtobufMessage()
        first.double(1, seconds)
        first.bytes(3, Array("brain.Event:2".utf8))
        try append(first)
        if let step {
            var log = ProtobufMessage()
            log.varint(1, 1)  // START
            var event = ProtobufMessage()
            event.double(1, seconds)
            event.varint(2, UInt64(step))
            event.bytes(7, log.content)
            try append(event)
        }
    }

    /// Appends scalars of one step.
    public func append(step: Int, _ metrics: [Metric], now: Date = Date()) throws {
        var summary = ProtobufMessage()
        for metric in metrics {
            var value = ProtobufMessage()
            value.bytes(1, Array(metric.name.utf8))
            value.float(2, Float(metric.value))
            summary.bytes(1, value.content)
        }
        var event = ProtobufMessage()
        event.double(1, now.timeIntervalSince1970)
        event.varint(2, UInt64(step))
        event.bytes(5, summary.content)
        try append(event)
    }

    private func append(_ event: ProtobufMessage) throws {
        // One write per record, so that a killed process leaves no half record.
        try file.append(Self.record(event.content))
    }

    static func record(_ content: [UInt8]) -> [UInt8] {
        let length = withUnsafeBytes(of: UInt64(content.count).littleEndian) { Array($0) }
        var out = length
        withUnsafeBytes(of: CRC32C.masked(length).littleEndian) { out.append(contentsOf: $0) }
        out.append(contentsOf: content)
        withUnsafeBytes(of: CRC32C.masked(content).littleEndian) { out.append(contentsOf: $0) }
        return out
    }
}

/// The few field kinds of protocol buffers that events use.
struct ProtobufMessage {
    private(set) var content: [UInt8] = []

    private mutating func raw(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            content.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        content.append(UInt8(rest))
    }

    mutating func varint(_ field: Int, _ value: UInt64) {
        raw(UInt64(field) << 3)
        raw(value)
    }

    mutating func double(_ field: Int, _ value: Double) {
        raw(UInt64(field) << 3 | 1)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { content.append(contentsOf: $0) }
    }

    mutating func float(_ field: Int, _ value: Float) {
        raw(UInt64(field) << 3 | 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { content.append(contentsOf: $0) }
    }

    mutating func bytes(_ field: Int, _ value: [UInt8]) {
        raw(UInt64(field) << 3 | 2)
        raw(UInt64(value.count))
        content.append(contentsOf: value)
    }
}

/// CRC-32C (Castagnoli, RFC 3720 B.4) and TensorFlow's masking of it.
enum CRC32C {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
    }

    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~bytes.reduce(~0) { crc, byte in crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
    }

    static func masked(_ bytes: [UInt8]) -> UInt32 {
        let crc = checksum(bytes)
        return (crc >> 15 | crc << 17) &+ 0xa282_ead8
    }
}
