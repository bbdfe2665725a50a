// What a virtio device is to its transport: an id, features, configuration bytes, and what it does with its queues.

import DeviceModel

package protocol VirtioDevice: AnyObject {
    /// Section 5 of the specification.
    var deviceID: UInt32 { get }
    /// Features of the device's own; those of the queues and of the transport are added.
    var features: UInt64 { get }
    /// The largest size of each queue.
    var queueSizes: [UInt16] { get }
    /// The configuration space as it is now.
    var configuration: [UInt8] { get }
    func writeConfiguration(_ offset: Int, _ bytes: [UInt8])
    /// Requests may take long (disk, files): they run on a thread of the device instead of the hart's.
    var isSlow: Bool { get }
    /// The transport, for queues and interrupts. Called once.
    func attach(_ transport: VirtioTransport)
    /// The driver is ready; `features` were negotiated.
    func start(features: UInt64)
    /// The driver notified a queue. Not called for one queue by two threads at once.
    func process(_ queue: Int)
    /// The driver reset the device. No request is under way.
    func reset()
    func shutDown()
}

extension VirtioDevice {
    package var configuration: [UInt8] { [] }
    package func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {}
    package var isSlow: Bool { false }
    package func start(features: UInt64) {}
    package func reset() {}
    package func shutDown() {}
}

extension Array<UInt8> {
    /// Appends a little-endian word.
    mutating func append<Word: FixedWidthInteger>(word: Word) {
        for shift in stride(from: 0, to: Word.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: word >> Word(shift))) }
    }

    /// The little-endian word at an offset, which lies in the array.
    func word<Word: FixedWidthInteger>(_ offset: Int, as: Word.Type = Word.self) -> Word {
        var result: Word = 0
        for index in (0..<MemoryLayout<Word>.size).reversed() {
            result = result << 8 | Word(truncatingIfNeeded: self[offset + index])
        }
        return result
    }
}
