// The balloon and a driver that gives pages, reports unused ones, and tells statistics.

import DeviceModel
import Devices
import Testing

@Suite struct BalloonTests {
    private static let page: UInt64 = 4096
    private static let first = VirtioDriver.base + 0x20_0000

    private func bytes<Word: FixedWidthInteger>(_ words: [Word]) -> [UInt8] {
        words.flatMap { word in (0..<MemoryLayout<Word>.size).map { UInt8(truncatingIfNeeded: word >> Word($0 * 8)) } }
    }

    private func fill(_ memory: DeviceMemory, _ pages: Range<UInt64>) {
        for page in pages {
            for place in stride(from: 0, to: BalloonTests.page, by: 512) {
                _ = memory.store(page &* 77 | 1, at: BalloonTests.first + page * BalloonTests.page + place)
            }
        }
    }

    /// Which of the pages from `first` on hold nothing but zeroes.
    private func empty(_ memory: DeviceMemory, _ pages: Range<UInt64>) -> [UInt64] {
        pages.filter { page in
            stride(from: 0, to: BalloonTests.page, by: 8).allSatisfy {
                memory.load(BalloonTests.first + page * BalloonTests.page + $0, as: UInt64.self) == 0
            }
        }
    }

    @Test func pagesThatAreGiven() {
        let driver = VirtioDriver(VirtioBalloon())
        driver.start()
        fill(driver.memory, 0..<16)
        let start = UInt32(BalloonTests.first >> 12)
        var dropped: [(UInt64, Int)] = []
        driver.memory.onWrite = { address, count in
            if address >= BalloonTests.first && count >= 4096 { dropped.append((address, count)) }
        }
        // Upwards, downwards, alone, twice; and some where no RAM is.
        let numbers: [UInt32] = [1, 2, 3, 9, 8, 7, 12, 12].map { start + $0 } + [0, 5, UInt32.max, UInt32.max - 1]
        #expect(driver.request(0, [bytes(numbers)], []) != nil)
        #expect(empty(driver.memory, 0..<16) == [1, 2, 3, 7, 8, 9, 12])
        #expect(
            dropped.map { ($0.0 - BalloonTests.first) / 4096 } == [1, 7, 12, 12] && dropped.map { $0.1 / 4096 } == [3, 3, 1, 1])
        #expect(driver.request(1, [bytes(numbers)], []) != nil, "taken back")
        #expect(!driver.needsReset)
    }

    @Test(arguments: [true, false]) func reports(withStatistics: Bool) {
        let balloon = VirtioBalloon(), driver = VirtioDriver(balloon)
        driver.start(wanting: withStatistics ? ~0 : ~(1 << 1))
        fill(driver.memory, 0..<8)
        let queue = withStatistics ? 3 : 2
        driver.add(queue, [(BalloonTests.first + 2 * 4096, 2 * 4096, true), (BalloonTests.first + 5 * 4096, 4096, true)])
        driver.notify(queue)
        #expect(waitUntil { driver.takeUsed(queue) != nil })
        #expect(empty(driver.memory, 0..<8) == [2, 3, 5])
        #expect(balloon.reportedBytes == 3 * 4096)
        // Parts of pages stay.
        driver.add(queue, [(BalloonTests.first + 6 * 4096 + 8, 4096, true), (BalloonTests.first, 100, true)])
        driver.notify(queue)
        #expect(waitUntil { driver.takeUsed(queue) != nil })
        #expect(empty(driver.memory, 0..<8) == [2, 3, 5])
    }

    @Test func configuration() {
        let balloon = VirtioBalloon(), driver = VirtioDriver(balloon)
        driver.start()
        balloon.inflate(toPages: 0x1234)
        #expect(driver.line.level && driver.mmio.read32(0x60) == 2 && driver.mmio.read32(0xfc) == 1)
        #expect(driver.mmio.read32(0x100) == 0x1234 && driver.mmio.read32(0x104) == 0)
        driver.mmio.write32(0x104, 0x1200)
        driver.mmio.write32(0x100, 7)
        driver.mmio.write8(0x105, 0x11)
        #expect(balloon.state == VirtioBalloon.State(wantedPages: 0x1234, givenPages: 0x1100))
        let saved = balloon.state
        driver.mmio.reset()
        #expect(balloon.state == VirtioBalloon.State(wantedPages: 0x1234), "the wish outlives the guest")
        balloon.state = saved
        #expect(driver.mmio.read32(0x104) == 0x1100)
    }

    private func entries(_ values: [(UInt16, UInt64)]) -> [UInt8] { values.flatMap { bytes([$0.0]) + bytes([$0.1]) } }

    @Test func statistics() {
        let balloon = VirtioBalloon(), driver = VirtioDriver(balloon)
        #expect(!balloon.refreshStatistics(), "no driver")
        driver.start()
        #expect(!balloon.refreshStatistics() && !balloon.isWaiting, "no buffer")
        // What the driver sends at first was not asked for, and is as old as the question.
        driver.add(2, [(driver.allocate(entries([(4, 1)])), 10, false)])
        driver.notify(2)
        #expect(balloon.statistics.isEmpty)
        #expect(balloon.refreshStatistics() && balloon.isWaiting)
        #expect(waitUntil { driver.takeUsed(2) != nil })
        driver.add(2, [(driver.allocate(entries([(4, 5000), (0, 3), (99, 1), (9, UInt64.max)]) + [1, 2, 3]), 43, false)])
        driver.notify(2)
        #expect(waitUntil { !balloon.isWaiting })
        #expect(balloon.statistics.map(\.name) == ["swapped in", "free", "huge pages failed"])
        #expect(balloon.statistics.map(\.value) == [3, 5000, UInt64.max])
        // It has its buffer back, and gives it again at once: nobody asks for it.
        #expect(waitUntil { driver.takeUsed(2) != nil })
        driver.add(2, [(driver.allocate(entries([(4, 6000)])), 10, false)])
        driver.notify(2)
        driver.mmio.transport.pause()
        driver.mmio.transport.resume()
        #expect(balloon.statistics.map(\.value) == [3, 5000, UInt64.max] && driver.takeUsed(2) == nil)
    }
}
