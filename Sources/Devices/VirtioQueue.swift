// Split virtqueues (Virtual I/O Device 1.2, section 2.7), the device's side. Everything in the rings is the guest's word and is
// checked: indices, chains that loop or are too long, buffers outside of RAM. What does not fit is a `VirtioViolation`.

import CHost
import DeviceModel

/// What a driver did against the rules. The device needs a reset.
package struct VirtioViolation: Error, Equatable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

package enum VirtioFeature {
    package static let indirectDescriptors: UInt64 = 1 << 28
    package static let eventIndex: UInt64 = 1 << 29
    package static let version1: UInt64 = 1 << 32
}

package final class VirtioQueue {
    package struct State: Codable, Equatable {
        package var size: UInt16 = 0
        package var isReady = false
        package var descriptors: UInt64 = 0
        package var available: UInt64 = 0
        package var used: UInt64 = 0
        /// Entries of the available ring that were taken.
        package var nextAvailable: UInt16 = 0
        /// Entries of the used ring that were filled.
        package var nextUsed: UInt16 = 0
        /// `nextUsed` when it was decided last whether to interrupt the driver.
        package var signalled: UInt16 = 0
    }

    package let index: Int
    package let maximumSize: UInt16
    package internal(set) var state = State()
    /// Negotiated; set with the driver's features.
    var hasEventIndex = false, hasIndirect = false
    private let memory: DeviceMemory
    /// The three areas while the queue is ready.
    private var rings: Rings?

    private static let next: UInt16 = 1, write: UInt16 = 2, indirect: UInt16 = 4
    private static let chainLimit = 1024
    private static let descriptorBytes = 16

    init(index: Int, maximumSize: UInt16, memory: DeviceMemory) {
        self.index = index
        self.maximumSize = maximumSize
        self.memory = memory
        state.size = maximumSize
    }

    package var isReady: Bool { rings != nil }

    func reset() {
        state = State(size: maximumSize)
        rings = nil
    }

    func restore(_ saved: State) throws(VirtioViolation) {
        state = saved
        rings = nil
        if saved.isReady {
            try makeReady()
            state = saved
        }
    }

    private typealias Rings = (descriptors: MemoryRange, available: MemoryRange, used: MemoryRange)

    /// The areas of a state, in RAM.
    private func rings(of state: State) throws(VirtioViolation) -> Rings {
        let size = Int(state.size)
        guard size > 0, size & (size - 1) == 0, size <= maximumSize else {
            throw VirtioViolation("queue \(index) has \(size) entries")
        }
        guard state.descriptors & 15 == 0, state.available & 1 == 0, state.used & 3 == 0,
            let descriptors = memory.range(state.descriptors, byteCount: size * VirtioQueue.descriptorBytes),
            let available = memory.range(state.available, byteCount: 6 + 2 * size),
            let used = memory.range(state.used, byteCount: 6 + 8 * size)
        else { throw VirtioViolation("the rings of queue \(index) are not in RAM") }
        return (descriptors, available, used)
    }

    /// Whether the state can be restored: its areas are in RAM when it uses them.
    func check(_ state: State) throws(VirtioViolation) { if state.isReady { _ = try rings(of: state) } }

    /// Takes the areas into use.
    func makeReady() throws(VirtioViolation) {
        rings = try rings(of: state)
        state.isReady = true
        state.nextAvailable = 0
        state.nextUsed = 0
        state.signalled = 0
    }

    func disable() {
        rings = nil
        state.isReady = false
    }

    // MARK: Taking

    /// The next chain that the driver made available; nil for none.
    func pop() throws(VirtioViolation) -> VirtioChain? {
        guard let rings else { return nil }
        let index: UInt16 = rings.available.load(2), waiting = index &- state.nextAvailable
        if waiting == 0 { return nil }
        guard waiting <= state.size else {
            throw VirtioViolation("queue \(self.index): \(waiting) chains in \(state.size) entries")
        }
        let head: UInt16 = rings.available.load(4 + 2 * Int(state.nextAvailable & (state.size - 1)))
        let chain = try walk(head, rings.descriptors)
        state.nextAvailable &+= 1
        return chain
    }

    /// Asks the driver to notify the next chain; true when one is there already.
    func waitForNotification() -> Bool {
        guard let rings else { return false }
        if hasEventIndex { rings.used.store(state.nextAvailable, at: 4 + 8 * Int(state.size)) }
        mynah_fence()
        return rings.available.load(2, as: UInt16.self) != state.nextAvailable
    }

    /// Whether a chain is waiting.
    var hasAvailable: Bool { rings.map { $0.available.load(2, as: UInt16.self) != state.nextAvailable } ?? false }

    private func walk(_ head: UInt16, _ mainTable: MemoryRange) throws(VirtioViolation) -> VirtioChain {
        var table = mainTable, entries = Int(state.size), index = Int(head), isIndirect = false
        var chain = VirtioChain(head: head), steps = 0
        while true {
            guard index < entries else { throw VirtioViolation("queue \(self.index): descriptor \(index) of \(entries)") }
            let place = index * VirtioQueue.descriptorBytes
            let address: UInt64 = table.load(place), length: UInt32 = table.load(place + 8)
            let flags: UInt16 = table.load(place + 12), next: UInt16 = table.load(place + 14)
            if flags & VirtioQueue.indirect != 0 {
                guard hasIndirect, !isIndirect, flags & VirtioQueue.next == 0, length > 0, length & 15 == 0,
                    let inner = memory.range(address, byteCount: Int(length))
                else { throw VirtioViolation("queue \(self.index): a bad indirect descriptor") }
                table = inner
                entries = Int(length) / VirtioQueue.descriptorBytes
                index = 0
                // Behind descriptors of the ring (section 2.7.5.3.2) the table counts its own.
                steps = 0
                isIndirect = true
                continue
            }
            // More steps than entries: the chain loops.
            steps += 1
            guard steps <= min(entries, VirtioQueue.chainLimit) else {
                throw VirtioViolation("queue \(self.index): a chain without an end")
            }
            guard let buffer = memory.range(address, byteCount: Int(length)) else {
                if length == 0 { throw VirtioViolation("queue \(self.index): an empty buffer outside of RAM") }
                throw VirtioViolation("queue \(self.index): a buffer that is not in RAM")
            }
            try chain.append(buffer, isWritable: flags & VirtioQueue.write != 0)
            if flags & VirtioQueue.next == 0 { return chain }
            index = Int(next)
        }
    }

    // MARK: Giving back

    /// Gives a chain back, of which `written` bytes were filled.
    func push(_ chain: VirtioChain, written: Int) {
        guard let rings else { return }
        let place = 4 + 8 * Int(state.nextUsed & (state.size - 1))
        rings.used.store(UInt32(chain.head), at: place)
        rings.used.store(UInt32(clamping: written), at: place + 4)
        state.nextUsed &+= 1
        mynah_fence()
        rings.used.store(state.nextUsed, at: 2)
    }

    /// Whether the driver wants to be interrupted for what was pushed since the last time (section 2.7.7).
    func takeInterrupt() -> Bool {
        guard let rings else { return false }
        mynah_fence()
        let old = state.signalled, new = state.nextUsed
        if old == new { return false }
        state.signalled = new
        guard hasEventIndex else { return rings.available.load(0, as: UInt16.self) & 1 == 0 }
        let event: UInt16 = rings.available.load(4 + 2 * Int(state.size))
        return new &- event &- 1 < new &- old
    }
}
