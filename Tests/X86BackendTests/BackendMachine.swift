// Runs one-block functions in the evaluator and through the real back end, from the same start.

import CHost
import Glibc
import Host
import IR
import X86Backend

/// What a block leads to.
struct BlockOutcome: Equatable {
    var slots: [UInt64] = []
    var memory: [UInt8] = []
    var flags: UInt32 = 0
    /// As an exit word without the number of a link, and the address that goes with it.
    var kind: UInt64 = 0
    var target: UInt64 = 0
}

final class BackendMachine {
    static let programCounterOffset = RandomBlock.slotTypes.count * 8
    private static let stateBytes = programCounterOffset + 8
    private static let codeBytes = 1 << 20

    let translator: Translator
    private let stubs: CodeStubs
    private let code: ExecutableMemory
    private let block: UnsafeMutableRawPointer
    private let state: UnsafeMutableRawPointer
    private let jumpTable: UnsafeMutablePointer<JumpTableEntry>
    private let returnStack: UnsafeMutableRawPointer
    private let memory: UnsafeMutableRawBufferPointer

    /// Address of the middle of the memory; below 2 GB, so that absolute addresses are used too.
    var center: UInt64 { UInt64(UInt(bitPattern: memory.baseAddress)) + UInt64(RandomBlock.memoryBytes / 2) }

    init(features: CPUFeatures) throws {
        let slots = RandomBlock.slotTypes.enumerated().map { SlotLayout(offset: Int32($0 * 8), type: $1) }
        // Some slots of either kind have no home.
        let map = RegisterMap(
            slots: slots, hotIntegers: Array(0 ..< 10),
            hotFloats: Array(RandomBlock.integerSlots ..< RandomBlock.integerSlots + 8),
            programCounterOffset: Int32(BackendMachine.programCounterOffset))
        code = try ExecutableMemory(byteCount: BackendMachine.codeBytes)
        let helper = unsafeBitCast(BackendMachine.interpretOneFromCode, to: UInt.self)
        stubs = CodeStubs(
            writable: code.writable, executable: code.executable, capacity: 8192, map: map, interpretOneFunction: UInt64(helper))
        translator = Translator(map: map, stubs: stubs, features: features)
        translator.recordsEvents = true
        translator.lendsHomesOfBlocks = true
        let bytes = Int(MYNAH_CPU_HEADER_BYTES) + BackendMachine.stateBytes
        block = .allocate(byteCount: bytes, alignment: 64)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        state = block + Int(MYNAH_CPU_HEADER_BYTES)
        jumpTable = .allocate(capacity: CodeStubs.jumpTableSize)
        jumpTable.initialize(repeating: JumpTableEntry(guest: JumpTableEntry.emptyGuest, host: 0), count: CodeStubs.jumpTableSize)
        returnStack = .allocate(byteCount: 1 << 16, alignment: 64)
        returnStack.initializeMemory(as: UInt64.self, repeating: stubs.emptyReturn, count: 1 << 13)
        let low: Int32 = 0x40
        let mapped = mmap(nil, RandomBlock.memoryBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | low, -1, 0)
        precondition(mapped != MAP_FAILED, "no memory below 2 GB")
        memory = UnsafeMutableRawBufferPointer(start: mapped, count: RandomBlock.memoryBytes)
    }

    deinit {
        block.deallocate()
        jumpTable.deallocate()
        returnStack.deallocate()
        munmap(memory.baseAddress, memory.count)
    }

    private func slot(_ index: Int) -> UnsafeMutablePointer<UInt64> { state.assumingMemoryBound(to: UInt64.self) + index }

    private func begin(seed: UInt64, mxcsr: UInt32) {
        var random = BlockRandom(seed: seed &+ 77)
        for (index, type) in RandomBlock.slotTypes.enumerated() {
            slot(index).pointee =
                type.isFloat ? (random.chance(oneIn: 2) ? random.float(.f64) : random.float(.f32) | ~0 << 32) : random.integer()
        }
        slot(RandomBlock.pointerSlot).pointee = center
        for index in memory.indices { memory[index] = UInt8(truncatingIfNeeded: index &* 37) }
        let header = mynah_cpu_of(state)
        header.pointee.guest_mxcsr = mxcsr
        header.pointee.jump_table = UnsafeMutableRawPointer(jumpTable)
        header.pointee.return_stack = UInt64(UInt(bitPattern: returnStack)) + 1 << 16 - 256
    }

    private func outcome(kind: UInt64, target: UInt64) -> BlockOutcome {
        BlockOutcome(
            slots: RandomBlock.slotTypes.indices.map { slot($0).pointee }, memory: Array(memory),
            flags: mynah_cpu_of(state).pointee.guest_mxcsr & 0x3d, kind: kind, target: target)
    }

    /// Changes every slot but the pointer, as an instruction that the interpreter executes could.
    private static let interpretOneFromCode: @convention(c) (UnsafeMutableRawPointer, UInt64) -> UInt64 = { state, address in
        let words = state.assumingMemoryBound(to: UInt64.self)
        for index in 1 ..< RandomBlock.slotTypes.count { words[index] = words[index] &* 5 &+ address &+ UInt64(index) }
        return 0
    }

    func evaluate(_ function: Function, seed: UInt64, mxcsr: UInt32) -> BlockOutcome {
        begin(seed: seed, mxcsr: mxcsr)
        let state = state
        let evaluator = Evaluator(state: state, slotOffsets: RandomBlock.slotTypes.indices.map { $0 * 8 }) { address in
            _ = BackendMachine.interpretOneFromCode(state, address)
            return nil
        }
        let host = mynah_get_mxcsr()
        mynah_set_mxcsr(mxcsr)
        let exit = evaluator.run(function)
        mynah_cpu_of(state).pointee.guest_mxcsr = mynah_get_mxcsr()
        mynah_set_mxcsr(host)
        switch exit {
        case .exit(let target, _, _): return outcome(kind: ExitKind.link.rawValue, target: target)
        case .indirect(let target, _, _): return outcome(kind: ExitKind.link.rawValue, target: target)
        case .trap(let reason, let programCounter):
            return outcome(kind: ExitKind.trap.rawValue | UInt64(reason.rawValue) << 3, target: programCounter)
        default: preconditionFailure("the block does not end")
        }
    }

    /// nil when the block needs more spill slots than there are.
    /// - Parameter isRegion: as a region of one superblock, whose side exits are unlikely.
    func translate(_ function: Function, isRegion: Bool = false) -> Translation? {
        let used = stubs.byteCount, capacity = code.byteCount - used
        let writable = code.writable + used, executable = code.executable + UInt64(used)
        if isRegion {
            return translator.translate([function], weights: [1], writable: writable, executable: executable, capacity: capacity)
        }
        return translator.translate(function, writable: writable, executable: executable, capacity: capacity)
    }

    func execute(_ translation: Translation, seed: UInt64, mxcsr: UInt32) -> BlockOutcome {
        begin(seed: seed, mxcsr: mxcsr)
        let word = mynah_enter(stubs.enter, state, translation.entry)
        if word & 7 == ExitKind.link.rawValue {
            return outcome(kind: ExitKind.link.rawValue, target: translation.links[Int(word >> 3)].target)
        }
        // An indirect exit to a constant address becomes a direct one.
        let isIndirect = word == ExitKind.indirectMiss.rawValue || word & 7 == ExitKind.cacheMiss.rawValue
        let kind = isIndirect ? ExitKind.link.rawValue : word
        return outcome(kind: kind, target: slot(BackendMachine.programCounterOffset / 8).pointee)
    }
}
