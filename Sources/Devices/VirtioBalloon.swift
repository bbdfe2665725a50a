// Virtio memory balloon (section 5.5): the guest gives pages to the host, when asked for so many (inflation), or because nothing
// is in them just now (reporting). The host's memory behind them is free until the guest writes there again.

import DeviceModel

package final class VirtioBalloon: VirtioDevice, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        /// Pages of 4096 bytes that the guest is to give, and that it says it has given.
        package var wantedPages: UInt32 = 0
        package var givenPages: UInt32 = 0

        package init(wantedPages: UInt32 = 0, givenPages: UInt32 = 0) {
            self.wantedPages = wantedPages
            self.givenPages = givenPages
        }
    }

    package let deviceID: UInt32 = 5
    package let features = Feature.statistics | Feature.deflateOnOutOfMemory | Feature.reporting
    package let queueSizes: [UInt16] = [128, 128, 128, 128]

    private enum Feature {
        static let statistics: UInt64 = 1 << 1, deflateOnOutOfMemory: UInt64 = 1 << 2, reporting: UInt64 = 1 << 5
    }
    private static let inflationQueue = 0, statisticsQueue = 2
    private static let pageBits: UInt64 = 12
    /// Page numbers that are looked at in one request; drivers send a few hundred.
    private static let requestLimit = 1 << 18

    private let monitor = Monitor()
    private weak var transport: VirtioTransport?
    private var registers = State()
    private var hasStatistics = false, reportingQueue: Int?
    /// The guest was asked for statistics.
    private var expectsStatistics = false
    private var lastStatistics: [UInt16: UInt64] = [:]
    private var reportedByteCount: UInt64 = 0

    package init() {}

    // MARK: The host's side

    /// The guest is to give so many pages, all in all.
    package func inflate(toPages count: UInt32) {
        monitor.locked { registers.wantedPages = count }
        transport?.configurationChanged()
    }

    /// Bytes that were reported as unused since the start; the same ones may be counted often.
    package var reportedBytes: UInt64 { monitor.locked { reportedByteCount } }

    /// What the guest said of its memory last, by name (section 5.5.6.4); bytes and counts.
    package var statistics: [(name: String, value: UInt64)] {
        let values = monitor.locked { lastStatistics }
        return VirtioBalloon.statisticNames.enumerated().compactMap { tag, name in values[UInt16(tag)].map { (name, $0) } }
    }

    private static let statisticNames = [
        "swapped in", "swapped out", "major faults", "minor faults", "free", "total", "available", "disk caches",
        "huge pages allocated",
        "huge pages failed",
    ]

    /// Asks the guest for new statistics, which come a little later.
    /// - Returns: false when no driver can tell.
    package func refreshStatistics() -> Bool {
        guard monitor.locked({ hasStatistics }), let transport else { return false }
        // The guest gets back the buffer with the ones that it sent last, and fills it anew. Only then there is an answer to wait
        // for: what comes in the meantime is none.
        let isAsked = transport.deliver(VirtioBalloon.statisticsQueue) { _ in
            monitor.locked { expectsStatistics = true }
            return 0
        }
        guard isAsked else { return false }
        readStatistics()
        return true
    }

    /// Whether statistics that were asked for have not come yet.
    package var isWaiting: Bool { monitor.locked { expectsStatistics } }

    // MARK: The guest's side

    package var isSlow: Bool { true }
    package func attach(_ transport: VirtioTransport) { self.transport = transport }

    package func start(features: UInt64) {
        monitor.locked {
            hasStatistics = features & Feature.statistics != 0
            // Queues that were not agreed on are left out, those behind them move up.
            let next = VirtioBalloon.statisticsQueue + (hasStatistics ? 1 : 0)
            reportingQueue = features & Feature.reporting != 0 ? next : nil
        }
    }

    package func reset() {
        monitor.locked {
            registers.givenPages = 0
            hasStatistics = false
            reportingQueue = nil
            expectsStatistics = false
            lastStatistics = [:]
        }
    }

    package func check(_ state: State) throws {}

    package var state: State {
        get { monitor.locked { registers } }
        set { monitor.locked { registers = newValue } }
    }

    package var configuration: [UInt8] {
        let state = self.state
        var bytes: [UInt8] = []
        bytes.append(word: state.wantedPages)
        bytes.append(word: state.givenPages)
        return bytes
    }

    package func writeConfiguration(_ offset: Int, _ bytes: [UInt8]) {
        monitor.locked {
            for (place, byte) in zip(offset..., bytes) where (4..<8).contains(place) {
                let shift = UInt32(place - 4) * 8
                registers.givenPages = registers.givenPages & ~(0xff << shift) | UInt32(byte) << shift
            }
        }
    }

    package func process(_ queue: Int) {
        let (hasStatistics, reporting) = monitor.locked { (self.hasStatistics, reportingQueue) }
        switch queue {
        case VirtioBalloon.inflationQueue: transport?.drain(queue) { takePages($0) }
        case VirtioBalloon.statisticsQueue where hasStatistics: readStatistics()
        case reporting: transport?.drain(queue) { takeReport($0) }
        default: transport?.drain(queue) { _ in 0 } // deflation: the guest uses pages again, which need nothing for that
        }
    }

    /// Page numbers of 32 bits each. Those of no RAM are of no consequence.
    private func takePages(_ chain: VirtioChain) -> Int {
        let bytes = chain.bytes(count: VirtioBalloon.requestLimit * 4)
        var first: UInt64 = 0, count: UInt64 = 0
        // Neighbours go together.
        for place in stride(from: 0, to: bytes.count & ~3, by: 4) {
            let page = UInt64(bytes.word(place, as: UInt32.self))
            if page == first + count, count > 0 {
                count += 1
            } else if page + 1 == first, count > 0 {
                first = page
                count += 1
            } else {
                discard(first, count)
                (first, count) = (page, 1)
            }
        }
        discard(first, count)
        return 0
    }

    private func discard(_ page: UInt64, _ count: UInt64) {
        guard count > 0 else { return }
        transport?.memory.discard(page << VirtioBalloon.pageBits, byteCount: Int(count << VirtioBalloon.pageBits))
    }

    /// The unused pages are what the buffers of the request are.
    private func takeReport(_ chain: VirtioChain) -> Int {
        for piece in chain.writable { piece.memory.discard(piece.address, byteCount: piece.byteCount) }
        monitor.locked { reportedByteCount &+= UInt64(chain.writableCount) }
        return 0
    }

    /// Entries of 10 bytes: a tag of 16 bits and a value of 64.
    private func readStatistics() {
        while isWaiting, let chain = transport?.takeChain(VirtioBalloon.statisticsQueue) {
            let bytes = chain.bytes(count: 10 * VirtioBalloon.statisticNames.count * 4)
            var values: [UInt16: UInt64] = [:]
            for place in stride(from: 0, through: bytes.count - 10, by: 10) {
                values[bytes.word(place, as: UInt16.self)] = bytes.word(place + 2, as: UInt64.self)
            }
            monitor.locked {
                lastStatistics = values
                expectsStatistics = false
            }
            transport?.complete(VirtioBalloon.statisticsQueue, chain, 0)
        }
    }
}
