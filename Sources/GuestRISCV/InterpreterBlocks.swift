// Decoded blocks: fixed-size records in an arena, found through a direct-mapped table by address.
//
// A block ends at a transfer of control, at an instruction that may change what code means, at the end of its page, or at the
// record limit; where no instruction does so, a synthetic `jal` to the next address ends it, so that the loop knows no ends.

import CHost
import Glibc
import Guest

/// One decoded instruction, with what the loop need not compute again.
struct InterpreterRecord {
    var opcode: RISCVOpcode
    /// Word of the register file; x0 has become the sink.
    var rd: UInt8
    var rs1: UInt8
    var rs2: UInt8
    var rs3: UInt8
    /// 0...4, 7 for dynamic, 8 when the instruction does not round.
    var rounding: UInt8
    var byteCount: UInt8
    var immediate: Int32
    /// Address, relative to the block's.
    var offset: UInt32

    static let unrounded: UInt8 = 8
}

/// What a block depends on beside its address.
struct BlockOptions {
    /// In machine mode accesses to control registers end a block, too: they may change how the next instruction is fetched.
    var isPrivileged = false
    /// Floating-point instructions decode as illegal.
    var floatIsIllegal = false
    /// Tells blocks at the same address apart.
    var salt: UInt64 = 0
}

/// A block's head; its records follow it.
struct InterpreterBlock {
    var address: UInt64
    /// Where this block went last, by fall-through and by transfer; all ones for nowhere yet.
    var nextAddress: (UInt64, UInt64)
    var next: (UnsafeMutablePointer<InterpreterBlock>?, UnsafeMutablePointer<InterpreterBlock>?)
    /// Guest instructions in it.
    var count: Int32
    /// Place of its executions in the table of heat, which outlives it.
    var heatPlace: Int32

    static let recordsOffset = 48
    static let nowhere = UInt64.max
}

/// Arena and table.
struct InterpreterBlocks {
    // SAFETY: blocks are only made in the arena, whole, and the table and the links between blocks point to whole blocks;
    // `reset` forgets all of them together, while no loop is running.
    private let arena: UnsafeMutableRawPointer
    private let table: UnsafeMutablePointer<UnsafeMutablePointer<InterpreterBlock>?>
    private var used = 0
    /// Changes when all blocks are forgotten.
    private(set) var resetCount = 0
    private let arenaByteCount: Int
    private let tableMask: UInt64
    private let recordLimit: Int
    /// Bytes in front of every block that belong to whoever made it.
    private let prefixByteCount: Int
    // SAFETY: `heatPlaces` elements; `heatPlace` of every block is below that.
    let heat: UnsafeMutablePointer<Int32>
    private static let heatPlaces = 1 << 16

    private static let pageByteCount: UInt64 = 4096

    /// - Parameter recordLimit: instructions in a block at most.
    init(tableSize: Int, arenaByteCount: Int, recordLimit: Int, prefixByteCount: Int = 0) {
        self.prefixByteCount = prefixByteCount
        precondition(tableSize & (tableSize - 1) == 0)
        precondition(MemoryLayout<InterpreterRecord>.stride == 16)
        precondition(MemoryLayout<InterpreterBlock>.stride == InterpreterBlock.recordsOffset)
        arena = .allocate(byteCount: arenaByteCount, alignment: 16)
        // Zeroed by the system page by page as it is used: most of it never is in a short run.
        guard let zeroed = calloc(tableSize, MemoryLayout<UnsafeMutablePointer<InterpreterBlock>?>.stride) else {
            preconditionFailure("out of memory")
        }
        table = zeroed.bindMemory(to: UnsafeMutablePointer<InterpreterBlock>?.self, capacity: tableSize)
        guard let cold = calloc(InterpreterBlocks.heatPlaces, MemoryLayout<Int32>.stride) else {
            preconditionFailure("out of memory")
        }
        heat = cold.bindMemory(to: Int32.self, capacity: InterpreterBlocks.heatPlaces)
        self.arenaByteCount = arenaByteCount
        tableMask = UInt64(tableSize - 1)
        self.recordLimit = recordLimit
    }

    func deallocate() {
        arena.deallocate()
        free(table)
        free(heat)
    }

    mutating func reset() {
        guard used != 0 else { return }
        used = 0
        resetCount &+= 1
        table.update(repeating: nil, count: Int(tableMask) + 1)
    }

    @inline(__always)
    func slot(_ address: UInt64, _ salt: UInt64 = 0) -> UnsafeMutablePointer<UnsafeMutablePointer<InterpreterBlock>?> {
        table + Int(truncatingIfNeeded: (address >> 1 ^ address >> 13 ^ salt) & tableMask)
    }

    @inline(__always)
    func find(_ address: UInt64) -> UnsafeMutablePointer<InterpreterBlock>? {
        guard let block = slot(address).pointee, block.pointee.address == address else { return nil }
        return block
    }

    /// Decodes the block at `address`; nil when its first instruction cannot be fetched. May forget all other blocks.
    mutating func make(
        _ address: UInt64, source: CodeSource, options: BlockOptions = BlockOptions()
    ) -> UnsafeMutablePointer<InterpreterBlock>? {
        // The guest's MXCSR is live, and the source may compute with floats (the growth of a hash table does).
        let control = mynah_get_mxcsr()
        defer { mynah_set_mxcsr(control) }
        let largest = prefixByteCount + InterpreterBlock.recordsOffset + (recordLimit + 1) * 16
        if used + largest > arenaByteCount { reset() }
        let start = used + prefixByteCount
        let block = (arena + start).bindMemory(to: InterpreterBlock.self, capacity: 1)
        let records = (arena + start + InterpreterBlock.recordsOffset).bindMemory(
            to: InterpreterRecord.self, capacity: recordLimit + 1)
        var count = 0
        var pc = address
        var isOpen = true
        var fetcher = InstructionFetcher(source: source)
        let pageEnd = (address & ~(InterpreterBlocks.pageByteCount - 1)) &+ InterpreterBlocks.pageByteCount
        while isOpen && count < recordLimit && (pc < pageEnd || count == 0) {
            guard let bits = fetcher.fetch(pc) else { break }
            var instruction = RISCVDecoder.decode(bits)
            // In machine mode an instruction across pages has a block to itself, so that a block has code in one page or is that.
            if options.isPrivileged, count > 0, pc &+ UInt64(instruction.byteCount) > pageEnd { break }
            if options.floatIsIllegal && instruction.opcode.isFloat { instruction.opcode = .illegal }
            if instruction.opcode == .illegal {
                instruction.immediate = Int32(bitPattern: instruction.byteCount == 2 ? bits & 0xffff : bits)
            }
            records[count] = InterpreterBlocks.record(instruction, offset: UInt32(truncatingIfNeeded: pc &- address))
            isOpen = !InterpreterBlocks.endsBlock(instruction, options)
            pc = pc &+ UInt64(instruction.byteCount)
            count += 1
        }
        if count == 0 { return nil }
        records[count] = InterpreterBlocks.record(
            DecodedInstruction(.jal, byteCount: 0), offset: UInt32(truncatingIfNeeded: pc &- address))
        block.initialize(
            to: InterpreterBlock(
                address: address, nextAddress: (InterpreterBlock.nowhere, InterpreterBlock.nowhere), next: (nil, nil),
                count: Int32(count),
                heatPlace: Int32(truncatingIfNeeded: (address >> 1 ^ address >> 17) & UInt64(InterpreterBlocks.heatPlaces - 1))))
        used = start + InterpreterBlock.recordsOffset + (count + 1) * 16
        slot(address, options.salt).pointee = block
        return block
    }

    private static func record(_ i: DecodedInstruction, offset: UInt32) -> InterpreterRecord {
        let index = Int(RISCVInstructionTable.rowOfOpcode[Int(i.opcode.rawValue)])
        let isRounded = index >= 0 && RISCVInstructionTable.rows[index].isRounded
        return InterpreterRecord(
            opcode: i.opcode, rd: i.rd == 0 ? UInt8(RISCVRegister.sink) : i.rd, rs1: i.rs1, rs2: i.rs2, rs3: i.rs3,
            rounding: isRounded ? i.roundingMode : InterpreterRecord.unrounded, byteCount: i.byteCount, immediate: i.immediate,
            offset: offset)
    }

    private static func endsBlock(_ instruction: DecodedInstruction, _ options: BlockOptions) -> Bool {
        switch instruction.opcode {
        case .csrrw, .csrrs, .csrrc, .csrrwi, .csrrsi, .csrrci: options.isPrivileged
        case .mret, .sret, .wfi, .sfenceVma, .sinvalVma, .sfenceWInval, .sfenceInvalIr: true
        case .jal, .jalr, .beq, .bne, .blt, .bge, .bltu, .bgeu, .ecall, .ebreak, .illegal, .fenceI: true
        default: false
        }
    }
}

/// Reads instruction encodings from code windows; an instruction may lie across two of them.
struct InstructionFetcher {
    private let source: CodeSource
    private var window = CodeWindow(start: 1, end: 0, host: UnsafeRawPointer(bitPattern: 1).unsafelyUnwrapped)
    /// Page that was watched last: code is watched before it is read.
    private var watchedPage: UInt64 = 1
    private static let pageMask: UInt64 = 4095

    init(source: CodeSource) { self.source = source }

    /// The 16 or 32 bits at `address`, or nil when they cannot be fetched.
    mutating func fetch(_ address: UInt64) -> UInt32? {
        guard let low = half(address) else { return nil }
        if window.stopsExecution(at: address) { return RISCVEncoding.breakpoint }
        if low & 3 != 3 { return UInt32(low) }
        guard let high = half(address &+ 2) else { return nil }
        return UInt32(high) << 16 | UInt32(low)
    }

    private mutating func half(_ address: UInt64) -> UInt16? {
        if !(address >= window.start && address < window.end) {
            guard let found = source.codeWindow(at: GuestAddress(address)) else { return nil }
            window = found
        }
        guard window.end - address >= 2 else { return nil }
        let page = address & ~InstructionFetcher.pageMask
        if page != watchedPage {
            source.watchCode(page ..< page &+ InstructionFetcher.pageMask &+ 1)
            watchedPage = page
        }
        return (window.host + Int(truncatingIfNeeded: address &- window.start)).loadUnaligned(as: UInt16.self)
    }
}
