// The few routines that every translation shares: entry, exits, the in-code jump table, calls out of translated code, and
// the constants that floating-point code refers to.
//
// Exit words (in rax, to Swift): low three bits an `ExitKind`, the rest its payload.

import CHost
import Host
import X86

package enum ExitKind: UInt64 {
    /// Payload: index of a link that is not (or not yet) a jump.
    case link = 0
    /// Payload: `TrapReason`; the program counter is in the state.
    case trap = 1
    /// The target of an indirect transfer, in the state's program counter, is in no jump table.
    case indirectMiss = 2
    /// A memory access faulted; see the CPU header.
    case fault = 3
    /// Payload: `InterpreterExit` of the single instruction that a helper executed.
    case interpreter = 4
    /// A call at `fault_host_pc` overflowed the return stack while an interrupt was pending, and was not made. An indirect one leaves its target
    /// in the state's program counter.
    case call = 5
    /// Fewer instructions may be executed than the superblock at the state's program counter has.
    case budget = 7
    /// Payload: index of an inline cache that has no target yet; the target is in the state's program counter.
    case cacheMiss = 6
}

/// One entry of a jump table: a guest address and the code for it.
package struct JumpTableEntry {
    package var guest: UInt64
    package var host: UInt64
    package init(guest: UInt64, host: UInt64) {
        self.guest = guest
        self.host = host
    }
    /// A guest address that nothing jumps to.
    package static let emptyGuest: UInt64 = 1
}

package struct CodeStubs {
    /// Entries in a jump table.
    package static let jumpTableSize = 1 << 14
    static let jumpTableMask = Int32((jumpTableSize - 1) << 4)

    package private(set) var enter: UInt64 = 0
    /// rax = exit word.
    package private(set) var exit: UInt64 = 0
    /// Where a fault in translated code goes on: keeps all homes in the CPU header for whoever knows what they hold.
    package private(set) var faultExit: UInt64 = 0
    /// rax = guest target.
    private(set) var lookup: UInt64 = 0
    private(set) var indirectMiss: UInt64 = 0
    /// rax = guest target, at the top of the return stack, just returned through, another one.
    private(set) var returnMiss: UInt64 = 0
    /// Code that an empty return stack returns to; its entry stays.
    package private(set) var emptyReturn: UInt64 = 0
    /// Where a call that overflowed the return stack leaves to.
    package private(set) var callInterrupted: UInt64 = 0
    /// rdx = guest address; executes one instruction through the interpreter.
    private(set) var interpretOne: UInt64 = 0
    /// Calls the C function in rax with arguments in rdi, rcx, rdx; result in rax; homes preserved, scratch registers not.
    private(set) var callHelper: UInt64 = 0
    /// Has the look-aside buffer filled as `helper_scratch` says; comes back with everything as it was, or leaves as a fault.
    private(set) var fillBuffer: UInt64 = 0
    /// The same, but comes back with a condition: equal when the buffer has been filled.
    private(set) var tryToFillBuffer: UInt64 = 0
    /// Fills the slot whose number is in `helper_scratch`, behind an address that it is to have; comes back with everything as it was.
    private(set) var fillReadSlot: UInt64 = 0, fillWriteSlot: UInt64 = 0
    private(set) var constants: UInt64 = 0
    package private(set) var byteCount = 0

    /// The constants of single precision leave the upper half of a register's word as it is: see `Lower+Float.swift`. Offsets into the constants, 16 bytes each so that packed instructions may refer to them.
    enum Constant: UInt64 {
        case canonicalDouble = 0, canonicalSingle = 16, signDouble = 32, signSingle = 48
        case absoluteDouble = 64, absoluteSingle = 80, boxMask = 96, zero = 112
    }
    func address(_ constant: Constant) -> UInt64 { constants + constant.rawValue }

    /// Emits the stubs at the start of the code cache.
    /// - Parameter interpretOne: C function (state, guest address) -> 0, or an exit word.
    package init(
        writable: UnsafeMutableRawPointer, executable: UInt64, capacity: Int, map: RegisterMap, interpretOneFunction: UInt64,
        softMemory: SoftMemoryFunctions? = nil
    ) {
        var asm = Assembler()
        defer { asm.deallocate() }
        asm.start(writable: writable, executable: executable, capacity: capacity)
        emitConstants(&asm)
        emitEnterAndExit(&asm, map)
        emitLookup(&asm, map)
        emitCalls(&asm, map, interpretOneFunction)
        if let softMemory {
            fillBuffer = emitFillBuffer(&asm, softMemory.fillBuffer)
            let fails = asm.makeLabel()
            asm.jcc(.ne, fails)
            asm.ret()
            asm.bind(fails)
            asm.lea(.quad, .rsp, .base(.rsp, 8))
            asm.jmp(to: faultExit)
            tryToFillBuffer = emitFillBuffer(&asm, softMemory.fillBuffer)
            asm.ret()
            let fillRange = emitFillBuffer(&asm, softMemory.fillRange)
            asm.ret()
            fillReadSlot = emitFillSlot(&asm, softMemory.buffer, softMemory.buffer.ranges.readEpoch, fillRange)
            fillWriteSlot = emitFillSlot(&asm, softMemory.buffer, softMemory.buffer.ranges.writeEpoch, fillRange)
        }
        asm.align(to: 64)
        let complete = asm.finish()
        precondition(complete, "the stubs fit the first page of the cache")
        byteCount = asm.offset
    }

    private mutating func emitConstants(_ asm: inout Assembler) {
        asm.align(to: 64)
        constants = asm.executableAddress
        let double: UInt64 = 0x8000_0000_0000_0000
        for pair: (UInt64, UInt64) in [
            (0x7ff8_0000_0000_0000, 0), (0xffff_ffff_7fc0_0000, 0), (double, 0), (0x8000_0000, 0),
            (~double, 0), (0xffff_ffff_7fff_ffff, 0), (0xffff_ffff_0000_0000, 0), (0, 0),
        ] {
            asm.emitQuad(pair.0)
            asm.emitQuad(pair.1)
        }
    }

    private static let calleeSaved: [Register] = [.rbx, .rbp, .r12, .r13, .r14, .r15]

    private func loadHomes(_ asm: inout Assembler, _ map: RegisterMap) {
        for (slot, register) in map.integerHomes { asm.mov(.quad, register, map.memory(ofSlot: slot)) }
        for (slot, register) in map.floatHomes { asm.movs(.double, register, map.memory(ofSlot: slot)) }
    }

    private func storeHomes(_ asm: inout Assembler, _ map: RegisterMap) {
        for (slot, register) in map.integerHomes { asm.mov(.quad, map.memory(ofSlot: slot), register) }
        for (slot, register) in map.floatHomes { asm.movs(.double, map.memory(ofSlot: slot), register) }
    }

    private mutating func emitEnterAndExit(_ asm: inout Assembler, _ map: RegisterMap) {
        asm.align(to: 16)
        enter = asm.executableAddress  // (rdi state, rsi code)
        for register in CodeStubs.calleeSaved { asm.push(register) }
        asm.push(.rax)  // keeps the host stack aligned for calls out
        asm.lea(.quad, .rbp, .base(.rdi, MYNAH_STATE_BIAS))
        asm.mov(.quad, RegisterMap.header(\.host_stack), .rsp)
        asm.stmxcsr(RegisterMap.header(\.host_mxcsr))
        asm.ldmxcsr(RegisterMap.header(\.guest_mxcsr))
        asm.mov(.quad, .rax, .rsi)
        asm.mov(.long, RegisterMap.header(\.mode), imm: Int32(MYNAH_TRANSLATED))
        asm.mov(.quad, .rsp, RegisterMap.header(\.return_stack))
        loadHomes(&asm, map)
        asm.jmp(.rax)

        let leave = asm.makeLabel()
        faultExit = asm.executableAddress
        // Scratch registers too: deferred writes are made from them.
        for register in RegisterMap.homeRegisters + RegisterMap.scratchRegisters {
            asm.mov(.quad, RegisterMap.saved(register), register)
        }
        for vector in RegisterMap.homeVectors { asm.movs(.double, RegisterMap.saved(vector), vector) }
        asm.movImmediate(.rax, ExitKind.fault.rawValue)
        asm.jmp(leave)
        asm.align(to: 16)
        exit = asm.executableAddress
        storeHomes(&asm, map)
        asm.bind(leave)
        asm.mov(.quad, RegisterMap.header(\.return_stack), .rsp)
        asm.mov(.quad, .rsp, RegisterMap.header(\.host_stack))
        asm.mov(.long, RegisterMap.header(\.mode), imm: Int32(MYNAH_OUTSIDE))
        asm.stmxcsr(RegisterMap.header(\.guest_mxcsr))
        asm.ldmxcsr(RegisterMap.header(\.host_mxcsr))
        asm.pop(.rcx)
        for register in CodeStubs.calleeSaved.reversed() { asm.pop(register) }
        asm.ret()
    }

    /// The hash look-up; rax = guest target, rcx scratch. Emitted inline at indirect jumps, so that each has its own predictor entry.
    static func emitInlineLookup(_ asm: inout Assembler, miss: UInt64) {
        asm.lea(.long, .rcx, .index(.rax, scale: 8))
        asm.and(.long, .rcx, imm: jumpTableMask)
        asm.add(.quad, .rcx, RegisterMap.header(\.jump_table))
        asm.cmp(.quad, .rax, .base(.rcx))
        asm.jcc(.ne, to: miss)
        asm.jmp(.base(.rcx, 8))
    }

    private mutating func emitLookup(_ asm: inout Assembler, _ map: RegisterMap) {
        asm.align(to: 16)
        indirectMiss = asm.executableAddress
        asm.mov(.quad, RegisterMap.state(map.programCounterOffset), .rax)
        asm.movImmediate(.rax, ExitKind.indirectMiss.rawValue)
        asm.jmp(to: exit)

        asm.align(to: 16)
        lookup = asm.executableAddress
        CodeStubs.emitInlineLookup(&asm, miss: indirectMiss)

        emitReturnMiss(&asm)
        asm.align(to: 16)
        callInterrupted = asm.executableAddress
        asm.mov(.quad, RegisterMap.state(map.programCounterOffset), .rax)
        asm.movImmediate(.rax, ExitKind.call.rawValue)
        asm.jmp(to: exit)
    }

    /// Return addresses are of code that begins with `cmp rax, imm32` or `movabs rcx, imm64`, see `Translator.landReturn`. The entry stays for
    /// whoever it is of; when the next one is that of the target (a frame was skipped), both go.
    private mutating func emitReturnMiss(_ asm: inout Assembler) {
        let other = asm.makeLabel(), far = asm.makeLabel(), found = asm.makeLabel()
        asm.align(to: 16)
        returnMiss = asm.executableAddress
        asm.and(.quad, .rax, imm: ~1)
        asm.lea(.quad, .rsp, .base(.rsp, -8))
        asm.mov(.quad, .rcx, .base(.rsp, 8))
        asm.cmp(.byte, .base(.rcx, 1), imm: 0x3D)
        asm.jcc(.ne, far)
        asm.movsxd(.rdx, .base(.rcx, 2))
        asm.cmp(.quad, .rdx, .rax)
        asm.jcc(.ne, other)
        asm.bind(found)
        asm.lea(.quad, .rsp, .base(.rsp, 16))
        asm.jmp(.rcx)
        asm.bind(far)
        asm.cmp(.byte, .base(.rcx, 1), imm: Int32(Int8(bitPattern: 0xB9)))
        asm.jcc(.ne, other)
        asm.cmp(.quad, .rax, .base(.rcx, 2))
        asm.jcc(.e, found)
        asm.bind(other)
        asm.jmp(to: lookup)

        // No target is odd.
        asm.align(to: 16)
        emptyReturn = asm.executableAddress
        asm.cmp(.quad, .rax, imm: Int32.max)
        asm.jmp(to: returnMiss)
    }

    private mutating func emitCalls(_ asm: inout Assembler, _ map: RegisterMap, _ interpretOneFunction: UInt64) {
        asm.align(to: 16)
        interpretOne = asm.executableAddress
        let stop = asm.makeLabel()
        storeHomes(&asm, map)
        asm.mov(.quad, RegisterMap.header(\.return_stack), .rsp)
        asm.mov(.quad, .rsp, RegisterMap.header(\.host_stack))
        asm.lea(.quad, .rdi, .base(.rbp, -MYNAH_STATE_BIAS))
        asm.mov(.quad, .rsi, .rdx)
        asm.movImmediate(.rax, interpretOneFunction)
        asm.call(.rax)
        asm.mov(.long, RegisterMap.header(\.mode), imm: Int32(MYNAH_TRANSLATED))
        asm.mov(.quad, .rsp, RegisterMap.header(\.return_stack))
        loadHomes(&asm, map)
        asm.test(.quad, .rax, .rax)
        asm.jcc(.ne, stop)
        asm.ret()
        asm.bind(stop)
        asm.lea(.quad, .rsp, .base(.rsp, 8))
        asm.jmp(to: exit)

        // rsi and r8-r11 are homes that a C function may change, as all vector registers are.
        asm.align(to: 16)
        callHelper = asm.executableAddress
        // Not into the state: a loop may use them for other guest registers.
        let changed = RegisterMap.homeRegisters.filter { !CodeStubs.calleeSaved.contains($0) }
        for register in changed { asm.mov(.quad, RegisterMap.saved(register), register) }
        asm.mov(.quad, .rsi, .rcx)
        for vector in RegisterMap.homeVectors { asm.movs(.double, RegisterMap.saved(vector), vector) }
        asm.mov(.quad, RegisterMap.header(\.return_stack), .rsp)
        asm.mov(.quad, .rsp, RegisterMap.header(\.host_stack))
        asm.call(.rax)
        asm.mov(.quad, .rsp, RegisterMap.header(\.return_stack))
        for register in changed { asm.mov(.quad, register, RegisterMap.saved(register)) }
        for vector in RegisterMap.homeVectors { asm.movs(.double, vector, RegisterMap.saved(vector)) }
        asm.ret()
    }

    /// All registers are kept, vectors whole: nothing of the translation knows that it was interrupted.
    /// - Returns: where it starts.
    private func emitFillBuffer(_ asm: inout Assembler, _ function: UInt64) -> UInt64 {
        let kept: [Register] = [.rax, .rcx, .rdx, .rdi, .rsi, .r8, .r9, .r10, .r11]
        let vectors = (0 ..< 16).map { XMM(rawValue: UInt8($0)).unsafelyUnwrapped }
        let bytes: Int32 = 16 * 16 + 80
        asm.align(to: 16)
        let start = asm.executableAddress
        asm.mov(.quad, RegisterMap.header(\.return_stack), .rsp)
        asm.mov(.quad, .rsp, RegisterMap.header(\.host_stack))
        asm.lea(.quad, .rsp, .base(.rsp, -bytes))
        for (index, vector) in vectors.enumerated() { asm.movups(.base(.rsp, Int32(index) * 16), vector) }
        for (index, register) in kept.enumerated() { asm.mov(.quad, .base(.rsp, 256 + Int32(index) * 8), register) }
        asm.lea(.quad, .rdi, .base(.rbp, -MYNAH_STATE_BIAS))
        asm.mov(.quad, .rsi, RegisterMap.header(\.helper_scratch))
        asm.mov(.quad, .rdx, RegisterMap.header(\.helper_scratch).advanced(by: 8))
        asm.movImmediate(.rax, function)
        asm.call(.rax)
        asm.test(.quad, .rax, .rax)
        for (index, vector) in vectors.enumerated() { asm.movups(vector, .base(.rsp, Int32(index) * 16)) }
        for (index, register) in kept.enumerated() { asm.mov(.quad, register, .base(.rsp, 256 + Int32(index) * 8)) }
        asm.mov(.quad, .rsp, RegisterMap.header(\.return_stack))
        return start
    }
}
