// What the lifter's tests share: code in a byte array, a few encodings, and the lifted code as text.

import Guest
import GuestRISCV
import IR

/// Executable bytes from an address on, in one window or several; records what is watched.
final class ByteCode: CodeSource {
    let start: UInt64
    private let bytes: UnsafeMutableRawBufferPointer
    /// Addresses at which one window ends and another starts.
    var seams: [UInt64] = []
    private(set) var watched: [Range<UInt64>] = []
    var codeVersion: UInt64 { 0 }

    init(at start: UInt64 = 0x1000, _ words: [UInt32], byteCount: Int? = nil) {
        self.start = start
        let count = byteCount ?? words.count * 4
        bytes = .allocate(byteCount: max(count, words.count * 4), alignment: 8)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        bytes.copyBytes(from: words.withUnsafeBytes { Array($0) })
        end = start + UInt64(count)
    }

    let end: UInt64

    deinit { bytes.deallocate() }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        let address = address.rawValue
        guard address >= start, address < end else { return nil }
        let low = seams.filter { $0 <= address }.max() ?? start
        let high = seams.filter { $0 > address }.min() ?? end
        // SAFETY: `low` lies in the buffer, which lives as long as the source.
        return CodeWindow(start: low, end: high, host: UnsafeRawPointer(bytes.baseAddress! + Int(low - start)))
    }

    func watchCode(_ range: Range<UInt64>) { watched.append(range) }
}

/// Encodings of the base formats; register numbers are those of the manual.
enum Encode {
    static func register(
        _ opcode: UInt32, _ function3: UInt32, _ function7: UInt32, _ rd: UInt32, _ rs1: UInt32, _ rs2: UInt32
    ) -> UInt32 {
        opcode | rd << 7 | function3 << 12 | rs1 << 15 | rs2 << 20 | function7 << 25
    }
    static func immediate(_ opcode: UInt32, _ function3: UInt32, _ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 {
        opcode | rd << 7 | function3 << 12 | rs1 << 15 | UInt32(bitPattern: value) << 20
    }
    static func store(_ opcode: UInt32, _ function3: UInt32, _ rs2: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: value)
        return opcode | (bits & 31) << 7 | function3 << 12 | rs1 << 15 | rs2 << 20 | ((bits >> 5) & 127) << 25
    }
    static func branch(_ function3: UInt32, _ rs1: UInt32, _ rs2: UInt32, _ offset: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: offset)
        let low = ((bits >> 11) & 1) << 7 | ((bits >> 1) & 15) << 8
        let high = ((bits >> 5) & 63) << 25 | ((bits >> 12) & 1) << 31
        return 0x63 | low | function3 << 12 | rs1 << 15 | rs2 << 20 | high
    }
    static func jal(_ rd: UInt32, _ offset: Int32) -> UInt32 {
        let bits = UInt32(bitPattern: offset)
        let low = bits & 0xff000 | ((bits >> 11) & 1) << 20
        let high = ((bits >> 1) & 0x3ff) << 21 | ((bits >> 20) & 1) << 31
        return 0x6f | rd << 7 | low | high
    }
    static func addi(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { immediate(0x13, 0, rd, rs1, value) }
    static func jalr(_ rd: UInt32, _ rs1: UInt32, _ value: Int32) -> UInt32 { immediate(0x67, 0, rd, rs1, value) }
    static func lui(_ rd: UInt32, _ upper: UInt32) -> UInt32 { 0x37 | rd << 7 | upper << 12 }
    static func auipc(_ rd: UInt32, _ upper: UInt32) -> UInt32 { 0x17 | rd << 7 | upper << 12 }
    static let ecall: UInt32 = 0x73
}

/// A lifted block.
struct Lifted {
    let function: Function
    let code: LiftedCode
    /// One line an instruction, without the marks of instruction boundaries.
    var lines: [String] {
        let names = (0 ..< 32).map { "x\($0)" } + (0 ..< 32).map { "f\($0)" }
        return Printer(slotNames: names).text(of: function).split(separator: "\n").dropFirst()
            .map { $0.trimmingPrefix { $0 == " " } }.filter { !$0.hasPrefix("boundary") }.map(String.init)
    }
    var instructions: [Instruction] { (0 ..< function.count).map { function[Value($0)] } }
    var opcodes: [Opcode] { instructions.map(\.opcode) }
}

let liftSlotTypes = Array(repeating: Type.i64, count: 32) + Array(repeating: Type.f64, count: 32)

func lift(_ source: ByteCode, at address: UInt64? = nil, mode: UInt32 = 0, limits: LiftLimits = LiftLimits()) -> Lifted {
    let function = Function()
    function.reset(entry: address ?? source.start)
    var builder = Builder(function: function, slotTypes: liftSlotTypes)
    let code = RISCVLifter.lift(
        at: GuestAddress(address ?? source.start), mode: TranslationMode(rawValue: mode), source: source, limits: limits,
        into: &builder)
    return Lifted(function: function, code: code)
}

func lift(_ words: [UInt32], limits: LiftLimits = LiftLimits()) -> Lifted { lift(ByteCode(words), limits: limits) }
