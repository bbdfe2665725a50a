// The RISC-V platform-level interrupt controller, specification 1.0.0, with the sizes of QEMU's `virt`: sources 1 to 95,
// priorities 0 to 7, contexts in pairs of M and S mode a hart.
//
// Gateways are for levels: a source is pending while its line is high and it is not being served; after completion a line that is
// still high makes it pending again.

import DeviceModel

package final class PLIC: Device, Snapshottable, @unchecked Sendable {
    package struct State: Codable, Equatable {
        package var priorities: [UInt32]
        /// A bit a source.
        package var levels: [UInt32]
        package var pending: [UInt32]
        package var inService: [UInt32]
        /// By context, a bit a source.
        package var enables: [[UInt32]]
        package var thresholds: [UInt32]
    }

    package let name = "plic"
    package let byteCount: UInt64
    /// Sources are numbered from 1 to below this.
    package let sourceCount: Int
    package static let highestPriority: UInt32 = 7

    private static let pendingStart: UInt64 = 0x1000, enableStart: UInt64 = 0x2000, enableStride: UInt64 = 0x80
    private static let contextStart: UInt64 = 0x20_0000, contextStride: UInt64 = 0x1000

    private let monitor = Monitor()
    private var registers: State
    private let contexts: [InterruptLine]
    private let wordCount: Int

    /// `contexts` are the lines to the harts: for hart 0 mip.MEIP, mip.SEIP, then hart 1.
    package init(sourceCount: Int = 96, contexts: [InterruptLine]) {
        precondition((2...1024).contains(sourceCount) && contexts.count <= 15872, "limits of the specification")
        self.sourceCount = sourceCount
        self.contexts = contexts
        wordCount = (sourceCount + 31) / 32
        byteCount = PLIC.contextStart + PLIC.contextStride * UInt64(max(1, contexts.count))
        registers = PLIC.initial(sourceCount, wordCount, contexts.count)
    }

    private static func initial(_ sourceCount: Int, _ wordCount: Int, _ contextCount: Int) -> State {
        let none = [UInt32](repeating: 0, count: wordCount)
        return State(
            priorities: Array(repeating: 0, count: sourceCount), levels: none, pending: none, inService: none,
            enables: Array(repeating: none, count: contextCount), thresholds: Array(repeating: 0, count: contextCount))
    }

    /// The input of a source.
    package func line(forSource source: Int) -> InterruptLine {
        precondition(source > 0 && source < sourceCount, "no such source")
        return InterruptLine { [weak self] level in self?.setLevel(source, level) }
    }

    package func check(_ state: State) throws {
        guard state.priorities.count == sourceCount, state.enables.count == contexts.count,
            state.thresholds.count == contexts.count
        else {
            throw StateError(" has other sources or contexts")
        }
        let masks = (0..<wordCount).map(validSources)
        for words in state.enables + [state.levels, state.pending, state.inService] {
            guard words.count == wordCount, zip(words, masks).allSatisfy({ $0 & ~$1 == 0 }) else {
                throw StateError(" has bits of sources that there are not")
            }
        }
        guard (state.priorities + state.thresholds).allSatisfy({ $0 <= PLIC.highestPriority }) else {
            throw StateError(" has a priority above 7")
        }
    }

    package var state: State {
        get { monitor.locked { registers } }
        set {
            guard (try? check(newValue)) != nil else { return }
            monitor.locked {
                registers = newValue
                update()
            }
        }
    }

    package func reset() {
        monitor.locked {
            let levels = registers.levels
            registers = PLIC.initial(sourceCount, wordCount, contexts.count)
            registers.levels = levels
            registers.pending = levels
            update()
        }
    }

    /// The bits of a word of sources: source 0 does not exist, nor do those behind the last.
    private func validSources(_ word: Int) -> UInt32 {
        let rest = sourceCount - word * 32
        return (word == 0 ? ~1 : .max) & (rest < 32 ? 1 << UInt32(rest) &- 1 : .max)
    }

    private func setLevel(_ source: Int, _ level: Bool) {
        monitor.locked {
            let word = source / 32, bit = UInt32(1) << UInt32(source % 32)
            if level {
                registers.levels[word] |= bit
                if registers.inService[word] & bit == 0 { registers.pending[word] |= bit }
            } else {
                registers.levels[word] &= ~bit
                registers.pending[word] &= ~bit
            }
            update()
        }
    }

    // MARK: Priorities

    /// The pending and enabled source of the highest priority above `threshold`, of equals the one with the lowest number; 0 for
    /// none.
    private func best(_ context: Int, above threshold: UInt32) -> Int {
        var best = 0, bestPriority = threshold
        for word in 0..<wordCount {
            var candidates = registers.pending[word] & registers.enables[context][word]
            while candidates != 0 {
                let source = word * 32 + candidates.trailingZeroBitCount
                candidates &= candidates &- 1
                if source < sourceCount && registers.priorities[source] > bestPriority {
                    best = source
                    bestPriority = registers.priorities[source]
                }
            }
        }
        return best
    }

    private func update() {
        for context in contexts.indices { contexts[context].level = best(context, above: registers.thresholds[context]) != 0 }
    }

    /// A claim does not look at the threshold (section 7).
    private func claim(_ context: Int) -> UInt64 {
        let source = best(context, above: 0)
        guard source != 0 else { return 0 }
        let word = source / 32, bit = UInt32(1) << UInt32(source % 32)
        registers.pending[word] &= ~bit
        registers.inService[word] |= bit
        update()
        return UInt64(source)
    }

    /// Ignored unless the source is enabled for the context (section 8).
    private func complete(_ context: Int, _ value: UInt64) {
        guard value > 0, value < UInt64(sourceCount) else { return }
        let word = Int(value) / 32, bit = UInt32(1) << UInt32(value % 32)
        guard registers.enables[context][word] & bit != 0 else { return }
        registers.inService[word] &= ~bit
        if registers.levels[word] & bit != 0 { registers.pending[word] |= bit }
        update()
    }

    // MARK: Registers

    private enum Register {
        case priority(Int), pending(Int), enable(Int, Int), threshold(Int), claim(Int), reserved
    }

    private func register(_ offset: UInt64) -> Register {
        let index = Int(offset / 4)
        if offset < PLIC.pendingStart { return index < sourceCount ? .priority(index) : .reserved }
        if offset < PLIC.enableStart {
            let word = Int((offset - PLIC.pendingStart) / 4)
            return word < wordCount ? .pending(word) : .reserved
        }
        if offset < PLIC.contextStart {
            let context = Int((offset - PLIC.enableStart) / PLIC.enableStride), word = Int(offset % PLIC.enableStride / 4)
            return context < contexts.count && word < wordCount ? .enable(context, word) : .reserved
        }
        let context = Int((offset - PLIC.contextStart) / PLIC.contextStride)
        guard context < contexts.count else { return .reserved }
        switch offset % PLIC.contextStride {
        case 0: return .threshold(context)
        case 4: return .claim(context)
        default: return .reserved
        }
    }

    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? {
        guard byteCount == 4 else { return nil }
        return monitor.locked {
            switch register(offset) {
            case .priority(let source): UInt64(registers.priorities[source])
            case .pending(let word): UInt64(registers.pending[word])
            case .enable(let context, let word): UInt64(registers.enables[context][word])
            case .threshold(let context): UInt64(registers.thresholds[context])
            case .claim(let context): claim(context)
            case .reserved: 0
            }
        }
    }

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        guard byteCount == 4 else { return false }
        monitor.locked {
            switch register(offset) {
            case .priority(let source):
                if source > 0 { registers.priorities[source] = UInt32(truncatingIfNeeded: value) & PLIC.highestPriority }
            case .enable(let context, let word):
                registers.enables[context][word] = UInt32(truncatingIfNeeded: value) & validSources(word)
            case .threshold(let context): registers.thresholds[context] = UInt32(truncatingIfNeeded: value) & PLIC.highestPriority
            case .claim(let context): return complete(context, value)
            case .pending, .reserved: return
            }
            update()
        }
        return true
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        let node = placement.makeNode(self, compatible: ["sifive,plic-1.0.0", "riscv,plic0"], in: parent)
        node.set("interrupt-controller")
        node.set("#interrupt-cells", .cell(1))
        node.set("#address-cells", .cell(0))
        node.set("riscv,ndev", .cell(UInt32(sourceCount - 1)))
        // Causes 11 and 9: machine and supervisor external interrupt.
        node.set(
            "interrupts-extended",
            .references(placement.hartControllers.flatMap { [DeviceTreeReference($0, 11), DeviceTreeReference($0, 9)] }))
    }
}
