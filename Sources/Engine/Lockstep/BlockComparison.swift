// One block by interpreter and translation: the interpreter's run with its log of stores, putting everything back, comparing.

import CHost
import Guest
import IR

/// A store of the interpreter: what was there, what is there at its end.
struct LoggedStore {
    var address: UInt64
    var byteCount: UInt8
    var before: UInt64
    var after: UInt64
}

/// What the interpreter's run needs and leaves: trivial, and reached through a pointer, as a memory fault abandons its frames.
private struct Walk {
    var state: UnsafeMutableRawPointer
    var steps: UnsafePointer<LockstepStep>
    var limit: Int
    let programCounterOffset: Int
    let stepCount: Int
    let log: UnsafeMutablePointer<LoggedStore>
    /// The step that was executed first, second and so on, and last the one at which it stopped, if it is one.
    let path: UnsafeMutablePointer<Int32>
    var pathCount = 0
    unowned(unsafe) let interpreter: GuestInterpreter
    var logCount = 0
    /// Entries of the log when the current instruction began.
    var logCountBefore = 0
    var executed = 0
    var isRepeatable = true
    var leaves = false
    var exit = InterpreterExit.budget
}

/// A register or a place in memory that differs.
package struct DifferingValue: Sendable, Equatable {
    package var name: String
    package var interpreted: UInt64
    package var translated: UInt64
}

final class BlockComparison {
    private let isa: GuestISA
    private let interpreter: GuestInterpreter
    private let slotOffsets: [Int]
    // SAFETY: three copies of the guest's state, a log with room for one store of each instruction of a block, and what the
    // interpreter's run shares with its caller, allocated and freed with this object.
    private let start: UnsafeMutableRawPointer
    private let expected: UnsafeMutableRawPointer
    private let actual: UnsafeMutableRawPointer
    private let log: UnsafeMutablePointer<LoggedStore>
    private let path = UnsafeMutablePointer<Int32>.allocate(capacity: BlockComparison.logCapacity)
    private let walk = UnsafeMutablePointer<Walk>.allocate(capacity: 1)
    private var logCount = 0
    private var startControl: UInt32 = 0
    private var expectedControl: UInt32 = 0
    private var expectedEnd = BlockEnd.goesOn
    private var expectedFault: UInt64 = 0
    /// Instructions that the interpreter executed in its last run.
    private(set) var executed = 0
    private(set) var differences: [DifferingValue] = []
    private static let logCapacity = 1024
    /// All that a guest can see of MXCSR; the flag for denormal operands it cannot.
    private static let visibleControl: UInt32 = ~2

    init(isa: GuestISA, interpreter: GuestInterpreter) {
        self.isa = isa
        self.interpreter = interpreter
        slotOffsets = isa.slots.map { Int($0.offset) }
        start = .allocate(byteCount: isa.stateByteCount, alignment: 16)
        expected = .allocate(byteCount: isa.stateByteCount, alignment: 16)
        actual = .allocate(byteCount: isa.stateByteCount, alignment: 16)
        log = .allocate(capacity: BlockComparison.logCapacity)
    }

    deinit {
        start.deallocate()
        expected.deallocate()
        actual.deallocate()
        log.deallocate()
        walk.deallocate()
        path.deallocate()
    }

    func saveStart(of cpu: VirtualCPU) {
        start.copyMemory(from: cpu.state, byteCount: isa.stateByteCount)
        startControl = cpu.header.pointee.guest_mxcsr
    }

    /// Puts registers and memory back to the start.
    func rewind(_ cpu: VirtualCPU) {
        undoStores()
        restoreRegisters(cpu)
    }

    func restoreRegisters(_ cpu: VirtualCPU) {
        cpu.state.copyMemory(from: start, byteCount: isa.stateByteCount)
        cpu.header.pointee.guest_mxcsr = startControl
    }

    private func undoStores() {
        for index in stride(from: logCount - 1, through: 0, by: -1) {
            GuestWord.store(log[index].before, log[index].address, log[index].byteCount)
        }
    }

    // MARK: The interpreter's run

    /// Executes the steps until one of them goes elsewhere, notes the end, and rewinds.
    /// - Returns: false when executing them twice is not the same as once.
    func interpretAhead(_ cpu: VirtualCPU, _ steps: [LockstepStep], limit: Int) -> Bool {
        logCount = 0
        executed = 0
        // Empty when its first instruction cannot be fetched.
        guard !steps.isEmpty, steps.count <= BlockComparison.logCapacity else { return false }
        let faulted = steps.withUnsafeBufferPointer { runWalk(cpu, $0, limit: limit, BlockComparison.walk) }
        let result = walk.pointee
        executed = result.executed
        logCount = result.logCount
        // A store that faulted is the last in the log, and has changed nothing.
        if faulted { logCount = result.logCountBefore }
        let end = result.leaves ? BlockEnd.trap(.systemCall) : result.exit == .budget ? .goesOn : .interpreter(result.exit)
        expectedEnd = faulted ? .fault : end
        expectedFault = cpu.header.pointee.fault_address
        expected.copyMemory(from: cpu.state, byteCount: isa.stateByteCount)
        expectedControl = cpu.header.pointee.guest_mxcsr
        for index in 0 ..< logCount { log[index].after = GuestWord.load(log[index].address, log[index].byteCount) }
        rewind(cpu)
        return result.isRepeatable
    }

    /// One step of the interpreter, for recording; false when it faulted or left.
    func step(_ cpu: VirtualCPU, _ step: LockstepStep) -> Bool {
        let faulted = withUnsafePointer(to: step) { pointer in
            runWalk(cpu, UnsafeBufferPointer(start: pointer, count: 1), limit: 1, BlockComparison.walk)
        }
        return !faulted && walk.pointee.executed == 1
    }

    /// - Returns: whether a memory fault ended it.
    private func runWalk(
        _ cpu: VirtualCPU, _ steps: UnsafeBufferPointer<LockstepStep>, limit: Int,
        _ body: @convention(c) (UnsafeMutableRawPointer?) -> Void
    ) -> Bool {
        walk.initialize(
            to: Walk(
                state: cpu.state, steps: steps.baseAddress.unsafelyUnwrapped, limit: min(limit, steps.count),
                programCounterOffset: Int(isa.programCounterOffset), stepCount: steps.count, log: log, path: path,
                interpreter: interpreter))
        let hostControl = mynah_get_mxcsr()
        mynah_set_mxcsr(cpu.header.pointee.guest_mxcsr)
        let faulted = mynah_run_recoverable(cpu.header, body, walk)
        cpu.header.pointee.guest_mxcsr = mynah_get_mxcsr()
        mynah_set_mxcsr(hostControl)
        return faulted != 0
    }

    private static let walk: @convention(c) (UnsafeMutableRawPointer?) -> Void = { context in
        let walk = context!.assumingMemoryBound(to: Walk.self)
        let interpreter = walk.pointee.interpreter
        let state = walk.pointee.state
        let programCounter = (state + walk.pointee.programCounterOffset).assumingMemoryBound(to: UInt64.self)
        var index = 0
        while walk.pointee.executed < walk.pointee.limit {
            // A translation goes on in its order only: what leads back, or elsewhere, leaves it.
            while index < walk.pointee.stepCount, walk.pointee.steps[index].address != programCounter.pointee { index += 1 }
            guard index < walk.pointee.stepCount else { return }
            let step = walk.pointee.steps[index]
            walk.pointee.path[walk.pointee.pathCount] = Int32(truncatingIfNeeded: index)
            walk.pointee.pathCount += 1
            index += 1
            walk.pointee.logCountBefore = walk.pointee.logCount
            switch step.footprint.kind {
            case .repeatable: break
            case .leaves:
                walk.pointee.leaves = true
                return
            case .outside:
                walk.pointee.isRepeatable = false
                return
            }
            if step.footprint.storedBytes != 0 {
                let address = step.footprint.address(state)
                let before = GuestWord.load(address, step.footprint.storedBytes)
                walk.pointee.log[walk.pointee.logCount] = LoggedStore(
                    address: address, byteCount: step.footprint.storedBytes, before: before, after: 0)
                walk.pointee.logCount += 1
            }
            walk.pointee.exit = interpreter.step(state: state)
            if walk.pointee.exit != .budget { return }
            walk.pointee.executed += 1
        }
    }

    // MARK: Comparing

    /// Whether the translation, which has just ended, did what the interpreter did.
    func agrees(_ cpu: VirtualCPU, _ end: BlockEnd) -> Bool {
        guard isSameEnd(end, cpu.header.pointee.fault_address) else { return false }
        guard (cpu.header.pointee.guest_mxcsr ^ expectedControl) & BlockComparison.visibleControl == 0 else { return false }
        for offset in slotOffsets
        where cpu.state.load(fromByteOffset: offset, as: UInt64.self) != expected.load(fromByteOffset: offset, as: UInt64.self) {
            return false
        }
        for index in 0 ..< logCount where GuestWord.load(log[index].address, log[index].byteCount) != log[index].after { return false }
        return true
    }

    private func isSameEnd(_ end: BlockEnd, _ fault: UInt64) -> Bool {
        if end == .fault { return expectedEnd == .fault && fault == expectedFault }
        return expectedEnd != .fault && end.leaves == expectedEnd.leaves
    }

    /// A branch to an instruction further on leaves a translation where the interpreter cannot tell that it did, and an access
    /// that stands for several faults at the first of them: compares once more with the interpreter stopped where the
    /// translation came out.
    func agreesUpToExit(_ cpu: VirtualCPU, _ steps: [LockstepStep], _ end: BlockEnd) -> Bool {
        guard end == .goesOn || (end == .fault && expectedEnd == .fault) else { return false }
        let header = cpu.header
        let fault = (header.pointee.fault_address, header.pointee.fault_signal, header.pointee.fault_code)
        defer { (header.pointee.fault_address, header.pointee.fault_signal, header.pointee.fault_code) = fault }
        let programCounter = cpu.state.load(fromByteOffset: Int(isa.programCounterOffset), as: UInt64.self)
        let stops = ((end == .fault ? 0 : 1) ..< max(1, walk.pointee.pathCount)).filter { steps[Int(path[$0])].address == programCounter }
        for count in stops {
            actual.copyMemory(from: cpu.state, byteCount: isa.stateByteCount)
            let control = cpu.header.pointee.guest_mxcsr
            let stored = (0 ..< logCount).map { GuestWord.load(log[$0].address, log[$0].byteCount) }
            rewind(cpu)
            _ = interpretAhead(cpu, steps, limit: count)
            // Back to what the translation left.
            cpu.state.copyMemory(from: actual, byteCount: isa.stateByteCount)
            cpu.header.pointee.guest_mxcsr = control
            for index in 0 ..< logCount { GuestWord.store(stored[index], log[index].address, log[index].byteCount) }
            if agrees(cpu, .goesOn) { return true }
            rewind(cpu)
            _ = interpretAhead(cpu, steps, limit: steps.count)
            cpu.state.copyMemory(from: actual, byteCount: isa.stateByteCount)
            cpu.header.pointee.guest_mxcsr = control
            for index in 0 ..< logCount { GuestWord.store(stored[index], log[index].address, log[index].byteCount) }
        }
        return false
    }

    /// Names everything that differs now.
    func collectDifferences(_ cpu: VirtualCPU, _ end: BlockEnd) {
        differences = []
        func note(_ name: String, _ interpreted: UInt64, _ translated: UInt64) {
            if interpreted != translated {
                differences.append(DifferingValue(name: name, interpreted: interpreted, translated: translated))
            }
        }
        for slot in isa.slots {
            let offset = Int(slot.offset)
            note(slot.name, expected.load(fromByteOffset: offset, as: UInt64.self), cpu.state.load(fromByteOffset: offset, as: UInt64.self))
        }
        let mask = BlockComparison.visibleControl
        note("mxcsr", UInt64(expectedControl & mask), UInt64(cpu.header.pointee.guest_mxcsr & mask))
        if !isSameEnd(end, cpu.header.pointee.fault_address) {
            let expectedAddress = expectedEnd == .fault ? expectedFault : 0
            note("fault address", expectedAddress, end == .fault ? cpu.header.pointee.fault_address : 0)
            note("leaves for the outside", expectedEnd.leaves ? 1 : 0, end.leaves ? 1 : 0)
        }
        for index in 0 ..< logCount {
            let store = log[index]
            note("memory 0x" + String(store.address, radix: 16), store.after, GuestWord.load(store.address, store.byteCount))
        }
    }
}

/// Words of guest memory. Guest addresses are host addresses by the memory model.
enum GuestWord {
    // SAFETY: what is not mapped faults, and is only accessed under fault recovery or where the guest has just accessed it.
    static func load(_ address: UInt64, _ byteCount: UInt8) -> UInt64 { mynah_load_word(address, Int32(byteCount)) }
    static func store(_ value: UInt64, _ address: UInt64, _ byteCount: UInt8) { mynah_store_word(address, Int32(byteCount), value) }
    /// For C functions that recover from faults by themselves.
    static func pointer(_ address: UInt64) -> UnsafeMutableRawPointer {
        UnsafeMutableRawPointer(bitPattern: 4096).unsafelyUnwrapped + (Int(truncatingIfNeeded: address) &- 4096)
    }
}
