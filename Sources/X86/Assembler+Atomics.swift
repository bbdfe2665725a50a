// Locked read-modify-write instructions, fences, and what else concerns the whole processor.

extension Assembler {
    // MARK: Atomic read-modify-write

    /// `xchg [memory], register`, which is always atomic.
    package mutating func xchg(_ width: Width, _ memory: Memory, _ register: Register) {
        emit(Encoding.one(0x86).sizedOrByte(width).byteRegister(width, register), register.rawValue, memory)
    }

    /// `lock xadd [memory], register`: adds the register to memory; the register receives what was there.
    package mutating func lockXadd(_ width: Width, _ memory: Memory, _ register: Register) {
        emit(locked(.two(0xC0), width, register), register.rawValue, memory)
    }

    /// `lock cmpxchg [memory], register`: when memory equals rax, stores the register and sets the zero flag; else
    /// loads rax.
    package mutating func lockCmpxchg(_ width: Width, _ memory: Memory, _ register: Register) {
        emit(locked(.two(0xB0), width, register), register.rawValue, memory)
    }

    /// `lock cmpxchg16b [memory]`: the same for rdx:rax against rcx:rbx. Memory must be aligned to 16 bytes.
    package mutating func lockCmpxchg16b(_ memory: Memory) {
        emit(Encoding.two(0xC7).prefixed(0xF0).wide(), 1, memory)
    }

    /// `lock operation [memory], register`; not for `cmp`, which writes nothing.
    package mutating func lockALU(
        _ operation: ALUOperation, _ width: Width, _ memory: Memory, _ register: Register
    ) {
        assert(operation != .cmp)
        emit(locked(.one(operation.rawValue &<< 3), width, register), register.rawValue, memory)
    }

    /// `lock operation [memory], imm`; not for `cmp`, which writes nothing.
    package mutating func lockALU(_ operation: ALUOperation, _ width: Width, _ memory: Memory, imm: Int32) {
        assert(operation != .cmp)
        store(0xF0 as UInt8)
        alu(operation, width, memory, imm: imm)
    }

    package mutating func lockAdd(_ width: Width, _ memory: Memory, _ register: Register) {
        lockALU(.add, width, memory, register)
    }
    package mutating func lockAnd(_ width: Width, _ memory: Memory, _ register: Register) {
        lockALU(.and, width, memory, register)
    }
    package mutating func lockOr(_ width: Width, _ memory: Memory, _ register: Register) {
        lockALU(.or, width, memory, register)
    }
    package mutating func lockXor(_ width: Width, _ memory: Memory, _ register: Register) {
        lockALU(.xor, width, memory, register)
    }

    @inline(__always)
    private func locked(_ encoding: Encoding, _ width: Width, _ register: Register) -> Encoding {
        encoding.sizedOrByte(width).prefixed(0xF0).byteRegister(width, register)
    }

    // MARK: Fences and others

    package mutating func mfence() { emit(.two(0xAE), 6, 0) }
    package mutating func lfence() { emit(.two(0xAE), 5, 0) }
    package mutating func sfence() { emit(.two(0xAE), 7, 0) }
    package mutating func pause() { emit(Encoding.one(0x90).prefixed(0xF3)) }
    /// `edx:eax = time-stamp counter`, which clears the upper halves of both.
    package mutating func rdtsc() { emit(.two(0x31)) }
    package mutating func cpuid() { emit(.two(0xA2)) }
    package mutating func syscall() { emit(.two(0x05)) }
    package mutating func ldmxcsr(_ source: Memory) { emit(.two(0xAE), 2, source) }
    package mutating func stmxcsr(_ destination: Memory) { emit(.two(0xAE), 3, destination) }
}
