// A random guest program: its code item by item, so that a failing one can be made smaller, and what it starts from.

import Guest
import GuestRISCV

/// One instruction, or a few that belong together.
struct ProgramItem {
    enum Content {
        case plain(UInt32, byteCount: Int)
        /// A branch or jump to the start of another item: the encoding without its offset.
        case branch(UInt32, target: Int)
        case jump(UInt32, target: Int)
        /// Loads the address of an item, plus `register & mask` when there is a mask, and jumps there.
        case indirect(scratch: UInt32, link: UInt32, target: Int)
        case address(register: UInt32, target: Int)
        /// Writes an instruction over a four-byte item, then `fence.i`.
        case patch(target: Int, bits: UInt32)
        /// Instructions that do nothing, in place of a removed item.
        case padding(byteCount: Int)
        /// Instructions that must run together: nothing branches between them.
        case sequence([UInt32])
    }
    var content: Content

    /// Loops end by it.
    var countsFuel: Bool {
        guard case .plain(let bits, 4) = content else { return false }
        return bits == 0x13 | PointerRegister.fuel << 7 | PointerRegister.fuel << 15 | 0xfff << 20
    }

    var byteCount: Int {
        switch content {
        case .plain(_, let count): count
        case .branch, .jump: 4
        case .indirect: 12
        case .address: 8
        case .patch: 24
        case .padding(let count): count
        case .sequence(let words): words.count * 4
        }
    }
}

struct GuestProgram {
    var seed: UInt64
    var items: [ProgramItem]
    /// x0...x31, f0...f31.
    var words: [UInt64]
    var roundingMode: UInt32
    var modifiesCode = false

    /// The code for a start address; behind it an `ebreak`.
    func assemble(at start: UInt64) -> [UInt8] {
        var offsets: [Int] = [0]
        for item in items { offsets.append(offsets.last! + item.byteCount) }
        var assembler = GuestAssembler()
        for (index, item) in items.enumerated() {
            func distance(_ target: Int) -> Int32 { Int32(offsets[target] - offsets[index]) }
            switch item.content {
            case .plain(let bits, let count): if count == 2 { assembler.half(bits) } else { assembler.word(bits) }
            case .branch(let bits, let target): assembler.word(bits | GuestAssembler.branchOffset(distance(target)))
            case .jump(let bits, let target): assembler.word(bits | GuestAssembler.jumpOffset(distance(target)))
            case .address(let register, let target): assembler.address(register, distance(target))
            case .indirect(let scratch, let link, let target):
                assembler.address(scratch, distance(target))
                assembler.word(0x67 | link << 7 | scratch << 15)
            case .sequence(let words): words.forEach { assembler.word($0) }
            case .padding(let count):
                for _ in 0 ..< count / 4 { assembler.word(0x13) }
                if count % 4 != 0 { assembler.half(1) }
            case .patch(let target, let bits):
                // x31 = bits; x30 = place
                let upper = (bits &+ 0x800) & 0xffff_f000
                assembler.word(0x37 | 31 << 7 | upper)
                assembler.word(0x1b | 31 << 7 | 31 << 15 | (bits &- upper) << 20)
                assembler.address(30, distance(target) - 8)
                assembler.word(0x23 | 2 << 12 | 30 << 15 | 31 << 20)
                assembler.word(0x100f)
            }
        }
        assembler.word(0x0010_0073)
        return assembler.bytes
    }

    /// Disassembly, for reports.
    func listing(at start: UInt64) -> String {
        let bytes = assemble(at: start)
        return bytes.withUnsafeBytes { buffer in
            let window = CodeWindow(start: start, end: start + UInt64(bytes.count), host: buffer.baseAddress!)
            var lines: [String] = [], address = start
            while address + 2 <= window.end {
                let instruction = RISCVDisassembler.disassemble(at: address, in: window)
                if instruction.encoding != 0x13 && instruction.encoding != 0x0001 {
                    lines.append("\(String(address, radix: 16)): \(instruction.text)")
                }
                address += UInt64(max(2, instruction.byteCount))
            }
            return lines.joined(separator: "\n")
        }
    }
}

struct GuestAssembler {
    private(set) var bytes: [UInt8] = []
    mutating func half(_ bits: UInt32) {
        bytes.append(UInt8(truncatingIfNeeded: bits))
        bytes.append(UInt8(truncatingIfNeeded: bits >> 8))
    }
    mutating func word(_ bits: UInt32) {
        half(bits)
        half(bits >> 16)
    }
    /// register = here + distance
    mutating func address(_ register: UInt32, _ distance: Int32) {
        let bits = UInt32(bitPattern: distance), upper = (bits &+ 0x800) & 0xffff_f000
        word(0x17 | register << 7 | upper)
        word(0x13 | register << 7 | register << 15 | (bits &- upper) << 20)
    }
    static func branchOffset(_ distance: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: distance)
        let low = ((bits >> 11) & 1) << 7 | ((bits >> 1) & 15) << 8
        return low | ((bits >> 5) & 63) << 25 | ((bits >> 12) & 1) << 31
    }
    static func jumpOffset(_ distance: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: distance)
        let low = bits & 0xff000 | ((bits >> 11) & 1) << 20
        return low | ((bits >> 1) & 0x3ff) << 21 | ((bits >> 20) & 1) << 31
    }
}
