// The loop: one function over raw pointers, one switch. What is common lies here; the rest is in functions of its own.
//
// Nothing here may own anything: a memory fault abandons the frame. The program counter is therefore stored before every
// access to memory. How guest memory is reached is the memory model's: see `InterpreterMemory`.

import CHost
import Guest

extension RISCVInterpreter {
    /// Runs from `first` on until the budget is used up, something needs the outside, or a block is not linked yet.
    @inline(__always)
    static func executeBlocks<Memory: InterpreterMemory>(
        _ memory: Memory.Type, _ context: UnsafeMutablePointer<InterpreterContext>,
        _ first: UnsafeMutablePointer<InterpreterBlock>,
        _ state: UnsafeMutableRawPointer
    ) -> UInt32 {
        let x = state.assumingMemoryBound(to: UInt64.self)
        let header = mynah_cpu_of(state)
        let direct = directRoundings(RISCVState(state).tail.pointee.fcsrRoundingMode)
        var block = first
        while true {
            context.pointee.executed &+= UInt64(bitPattern: Int64(block.pointee.count))
            context.pointee.budget &-= Int(block.pointee.count)
            let base = block.pointee.address
            var record = UnsafeMutableRawPointer(block).advanced(by: InterpreterBlock.recordsOffset)
                .assumingMemoryBound(to: InterpreterRecord.self)
            var target: UInt64
            /// 1 for a transfer, 0 for going on behind the block.
            var slot = 1
            instructions: while true {
                let i = record.pointee
                let rd = x + Int(i.rd)
                let a = x[Int(i.rs1)]
                let b = x[Int(i.rs2)]
                let immediate = UInt64(bitPattern: Int64(i.immediate))
                switch i.opcode {
                case .lui: rd.pointee = immediate
                case .auipc: rd.pointee = base &+ UInt64(i.offset) &+ immediate
                case .jal:
                    let pc = base &+ UInt64(i.offset)
                    rd.pointee = pc &+ UInt64(i.byteCount)
                    target = pc &+ immediate
                    break instructions
                case .jalr:
                    target = (a &+ immediate) & ~1
                    rd.pointee = base &+ UInt64(i.offset) &+ UInt64(i.byteCount)
                    break instructions
                case .beq:
                    let taken = a == b
                    target = branchTarget(base, i, taken)
                    slot = taken ? 1 : 0
                    break instructions
                case .bne:
                    let taken = a != b
                    target = branchTarget(base, i, taken)
                    slot = taken ? 1 : 0
                    break instructions
                case .blt:
                    let taken = signed(a) < signed(b)
                    target = branchTarget(base, i, taken)
                    slot = taken ? 1 : 0
                    break instructions
                case .bge:
                    let taken = signed(a) >= signed(b)
                    target = branchTarget(base, i, taken)
                    slot = taken ? 1 : 0
                    break instructions
                case .bltu:
                    let taken = a < b
                    target = branchTarget(base, i, taken)
                    slot = taken ? 1 : 0
                    break instructions
                case .bgeu:
                    let taken = a >= b
                    target = branchTarget(base, i, taken)
                    slot = taken ? 1 : 0
                    break instructions
                case .lb:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, Int8.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = UInt64(bitPattern: Int64(word))
                case .lh:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, Int16.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = UInt64(bitPattern: Int64(word))
                case .lw:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, Int32.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = UInt64(bitPattern: Int64(word))
                case .ld:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, UInt64.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = word
                case .lbu:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, UInt8.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = UInt64(word)
                case .lhu:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, UInt16.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = UInt64(word)
                case .lwu:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, UInt32.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = UInt64(word)
                case .fld:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, UInt64.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = word
                case .flw:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    guard let word = Memory.load(a &+ immediate, UInt32.self, state) else {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                    rd.pointee = FloatBits.boxed(word)
                case .sb:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    if !Memory.store(a &+ immediate, UInt8(truncatingIfNeeded: b), state) {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                case .sh:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    if !Memory.store(a &+ immediate, UInt16(truncatingIfNeeded: b), state) {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                case .sw, .fsw:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    if !Memory.store(a &+ immediate, UInt32(truncatingIfNeeded: b), state) {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                case .sd, .fsd:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    if !Memory.store(a &+ immediate, UInt64(truncatingIfNeeded: b), state) {
                        return stop(InterpreterExit.trap.rawValue, context, block, record)
                    }
                case .addi: rd.pointee = a &+ immediate
                case .slti: rd.pointee = signed(a) < signed(immediate) ? 1 : 0
                case .sltiu: rd.pointee = a < immediate ? 1 : 0
                case .xori: rd.pointee = a ^ immediate
                case .ori: rd.pointee = a | immediate
                case .andi: rd.pointee = a & immediate
                case .slli: rd.pointee = a &<< immediate
                case .srli: rd.pointee = a &>> immediate
                case .srai: rd.pointee = unsigned(signed(a) &>> signed(immediate))
                case .add: rd.pointee = a &+ b
                case .sub: rd.pointee = a &- b
                case .sll: rd.pointee = a &<< b
                case .slt: rd.pointee = signed(a) < signed(b) ? 1 : 0
                case .sltu: rd.pointee = a < b ? 1 : 0
                case .xor: rd.pointee = a ^ b
                case .srl: rd.pointee = a &>> b
                case .sra: rd.pointee = unsigned(signed(a) &>> signed(b))
                case .or: rd.pointee = a | b
                case .and: rd.pointee = a & b
                case .addiw: rd.pointee = extended(word(a) &+ i.immediate)
                case .slliw: rd.pointee = extended(word(a) &<< i.immediate)
                case .srliw: rd.pointee = extended(low(a) &>> UInt32(bitPattern: i.immediate))
                case .sraiw: rd.pointee = extended(word(a) &>> i.immediate)
                case .addw: rd.pointee = extended(word(a) &+ word(b))
                case .subw: rd.pointee = extended(word(a) &- word(b))
                case .sllw: rd.pointee = extended(word(a) &<< word(b))
                case .srlw: rd.pointee = extended(low(a) &>> low(b))
                case .sraw: rd.pointee = extended(word(a) &>> word(b))
                case .mul: rd.pointee = a &* b
                case .mulw: rd.pointee = extended(word(a) &* word(b))
                case .mulh: rd.pointee = unsigned(signed(a).multipliedFullWidth(by: signed(b)).high)
                case .mulhu: rd.pointee = a.multipliedFullWidth(by: b).high
                case .addUw: rd.pointee = UInt64(low(a)) &+ b
                case .sh1add: rd.pointee = a &<< 1 &+ b
                case .sh2add: rd.pointee = a &<< 2 &+ b
                case .sh3add: rd.pointee = a &<< 3 &+ b
                case .sh1addUw: rd.pointee = UInt64(low(a)) &<< 1 &+ b
                case .sh2addUw: rd.pointee = UInt64(low(a)) &<< 2 &+ b
                case .sh3addUw: rd.pointee = UInt64(low(a)) &<< 3 &+ b
                case .slliUw: rd.pointee = UInt64(low(a)) &<< immediate
                case .zextH: rd.pointee = a & 0xffff
                case .sextB: rd.pointee = unsigned(Int64(Int8(truncatingIfNeeded: a)))
                case .sextH: rd.pointee = unsigned(Int64(Int16(truncatingIfNeeded: a)))
                case .czeroEqz: rd.pointee = b == 0 ? 0 : a
                case .czeroNez: rd.pointee = b != 0 ? 0 : a
                case .fmvXD, .fmvDX: rd.pointee = a
                case .ecall:
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    return InterpreterExit.systemCall.rawValue
                case .faddD where isDirect(i, direct): rd.pointee = result(mynah_add_f64(double(a), double(b)))
                case .fsubD where isDirect(i, direct): rd.pointee = result(mynah_sub_f64(double(a), double(b)))
                case .fmulD where isDirect(i, direct): rd.pointee = result(mynah_mul_f64(double(a), double(b)))
                case .fdivD where isDirect(i, direct): rd.pointee = result(mynah_div_f64(double(a), double(b)))
                case .fmaddD where isDirect(i, direct): rd.pointee = fused(a, b, x[Int(i.rs3)])
                case .faddS where isDirect(i, direct): rd.pointee = result(mynah_add_f32(single(a), single(b)))
                case .fsubS where isDirect(i, direct): rd.pointee = result(mynah_sub_f32(single(a), single(b)))
                case .fmulS where isDirect(i, direct): rd.pointee = result(mynah_mul_f32(single(a), single(b)))
                case .fsgnjD: rd.pointee = a & ~FloatBits.signDouble | b & FloatBits.signDouble
                case .fltD: rd.pointee = less(mynah_compare_signalling_f64(double(a), double(b)))
                case .fleD: rd.pointee = lessOrEqual(mynah_compare_signalling_f64(double(a), double(b)))
                case .feqD: rd.pointee = UInt64(mynah_compare_quiet_f64(double(a), double(b)) >> 2)
                default:
                    // SAFETY of order: the program counter first, as these may access memory, too.
                    x[RISCVRegister.programCounter] = base &+ UInt64(i.offset)
                    let status = executeOther(memory, record, state)
                    if status != InterpreterStatus.next { return stop(status, context, block, record) }
                }
                record += 1
            }
            x[RISCVRegister.programCounter] = target
            if context.pointee.budget <= context.pointee.reserve || header.pointee.interrupt_pending != 0 {
                return InterpreterExit.budget.rawValue
            }
            if slot == 1 && block.pointee.nextAddress.1 == target, let next = block.pointee.next.1,
                Memory.mayEnter(next, from: block, state)
            {
                block = next
            } else if slot == 0 && block.pointee.nextAddress.0 == target, let next = block.pointee.next.0,
                Memory.mayEnter(next, from: block, state)
            {
                block = next
            } else {
                context.pointee.missBlock = block
                context.pointee.missSlot = slot
                return InterpreterStatus.miss
            }
            if isHot(block, context) { return InterpreterExit.hot.rawValue }
        }
    }

    /// The end at an instruction in the middle of a block: what is behind it has not been executed.
    static func stop(
        _ status: UInt32, _ context: UnsafeMutablePointer<InterpreterContext>, _ block: UnsafeMutablePointer<InterpreterBlock>,
        _ record: UnsafeMutablePointer<InterpreterRecord>
    ) -> UInt32 {
        let done = record - firstRecord(block) + (endsBehind(status) ? 1 : 0)
        let undone = Int(block.pointee.count) - done
        context.pointee.executed &-= UInt64(bitPattern: Int64(undone))
        context.pointee.budget &+= undone
        return status
    }

    /// Counts that the block is come to from another one.
    @inline(__always)
    static func isHot(
        _ block: UnsafeMutablePointer<InterpreterBlock>, _ context: UnsafeMutablePointer<InterpreterContext>
    ) -> Bool {
        let place = context.pointee.heat + Int(block.pointee.heatPlace)
        guard place.pointee < context.pointee.heatLimit else { return context.pointee.heatLimit != Int32.max }
        place.pointee &+= 1
        return false
    }

    /// The values of `rounding` that MXCSR's present mode serves, as a bit set.
    private static func directRoundings(_ current: UInt32) -> UInt32 {
        current < 4 ? 1 << current | 1 << 7 : 0
    }

    @inline(__always)
    private static func isDirect(_ i: InterpreterRecord, _ direct: UInt32) -> Bool {
        direct &>> UInt32(i.rounding) & 1 != 0
    }

    static func firstRecord(_ block: UnsafeMutablePointer<InterpreterBlock>) -> UnsafeMutablePointer<InterpreterRecord> {
        UnsafeMutableRawPointer(block).advanced(by: InterpreterBlock.recordsOffset).assumingMemoryBound(
            to: InterpreterRecord.self)
    }

    /// Whether an instruction that ended with this status has been executed.
    private static func endsBehind(_ status: UInt32) -> Bool {
        status == InterpreterExit.codeChanged.rawValue || status == InterpreterExit.modeChanged.rawValue
            || status == InterpreterExit.waitForInterrupt.rawValue
    }

    @inline(__always)
    private static func branchTarget(_ base: UInt64, _ i: InterpreterRecord, _ taken: Bool) -> UInt64 {
        let distance = taken ? UInt64(bitPattern: Int64(i.immediate)) : UInt64(i.byteCount)
        return base &+ UInt64(i.offset) &+ distance
    }
}
