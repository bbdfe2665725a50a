// Instruction vectors: single instructions with their operands and what they must give, for any executor of RISC-V code.
// The file format is described in Tests/GuestRISCVTests/Vectors/generate.py.

import CHost
import Glibc
import Guest

/// One instruction, its operands, and the expected state behind it.
package struct RISCVVector {
    /// What the operands mean.
    package enum Kind: UInt8, Sendable {
        case registers
        /// `a` is an offset from 16 bytes of memory.
        case memory
        /// `a` is an offset from the instruction, and so are the results.
        case jump
    }

    package var encoding: UInt32 = 0
    package var kind = Kind.registers
    /// Register-file index of the destination; 0 for none.
    package var destination = 0
    package var fcsr: UInt32 = 0
    package var a: UInt64 = 0
    package var b: UInt64 = 0
    package var c: UInt64 = 0
    package var memory: (UInt64, UInt64) = (0, 0)
    package var expected: UInt64 = 0
    package var expectedFcsr: UInt32 = 0
    /// How far the program counter moves.
    package var expectedDistance: UInt64 = 0
    package var expectedMemory: (UInt64, UInt64) = (0, 0)

    /// Reads a vector file; nil when it is malformed.
    package static func parse(_ text: [UInt8]) -> [(mnemonic: String, vector: RISCVVector)]? {
        var result: [(String, RISCVVector)] = []
        var group = RISCVVector()
        var mnemonic = ""
        for line in text.split(separator: 10) {
            let words = line.split(separator: 32)
            if words[0].elementsEqual([64]) {
                guard words.count == 5, let encoding = number(words[2]), let destination = number(words[4]) else { return nil }
                mnemonic = String(decoding: words[1], as: UTF8.self)
                group.encoding = UInt32(truncatingIfNeeded: encoding)
                group.kind = words[3].first == 0x6d ? .memory : (words[3].first == 0x6a ? .jump : .registers)
                group.destination = Int(truncatingIfNeeded: destination)
                continue
            }
            guard let vector = vector(words.filter { $0.first != 0x3e }.map(number), in: group) else { return nil }
            result.append((mnemonic, vector))
        }
        return result
    }

    private static func vector(_ optionalNumbers: [UInt64?], in group: RISCVVector) -> RISCVVector? {
        let numbers = optionalNumbers.compactMap { $0 }
        let inputs = group.kind == .memory ? 6 : 4
        guard numbers.count == optionalNumbers.count, numbers.count >= inputs + 2 else { return nil }
        var result = group
        result.fcsr = UInt32(truncatingIfNeeded: numbers[0])
        (result.a, result.b, result.c) = (numbers[1], numbers[2], numbers[3])
        if group.kind == .memory { result.memory = (numbers[4], numbers[5]) }
        result.expected = numbers[inputs]
        result.expectedFcsr = UInt32(truncatingIfNeeded: numbers[inputs + 1])
        let size: UInt64 = group.encoding & 3 == 3 ? 4 : 2
        result.expectedDistance = numbers.count > inputs + 2 ? numbers[inputs + 2] : size
        if group.kind == .memory {
            guard numbers.count == inputs + 5 else { return nil }
            result.expectedMemory = (numbers[inputs + 3], numbers[inputs + 4])
        }
        return result
    }

    private static func number(_ text: ArraySlice<UInt8>) -> UInt64? {
        var result: UInt64 = 0
        for digit in text {
            switch digit {
            case 48 ... 57: result = result << 4 | UInt64(digit - 48)
            case 97 ... 102: result = result << 4 | UInt64(digit - 87)
            default: return nil
            }
        }
        return result
    }
}

/// Memory, code and state for running vectors on any executor.
package final class RISCVVectorBench: GuestMemory {
    // SAFETY: one mapping of three pages, owned by this object: code, data, CPU header and state.
    private let pages: UnsafeMutableRawPointer
    private static let pageByteCount = 4096
    private static let byteCount = 3 * pageByteCount

    package init() {
        // Guest addresses are below 2^38.
        let hint = UnsafeMutableRawPointer(bitPattern: 0x20_0000_0000)
        let protection = PROT_READ | PROT_WRITE
        let mapped = mmap(hint, RISCVVectorBench.byteCount, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapped, mapped != MAP_FAILED else { preconditionFailure("no memory for test vectors") }
        pages = mapped
        RISCVState(state).reset()
    }

    deinit { munmap(pages, RISCVVectorBench.byteCount) }

    package var codeVersion: UInt64 = 0
    package var codeAddress: UInt64 { UInt64(UInt(bitPattern: pages)) }
    package var dataAddress: UInt64 { codeAddress &+ UInt64(RISCVVectorBench.pageByteCount) }
    package var state: UnsafeMutableRawPointer {
        pages + 2 * RISCVVectorBench.pageByteCount + Int(MYNAH_CPU_HEADER_BYTES)
    }
    package func codeWindow(at address: GuestAddress) -> CodeWindow? {
        let end = dataAddress
        guard address.rawValue >= codeAddress && address.rawValue < end else { return nil }
        return CodeWindow(start: codeAddress, end: end, host: UnsafeRawPointer(pages))
    }
    package func watchCode(_ range: Range<UInt64>) {}
    package func releaseWatch(at address: UInt64) -> Range<UInt64>? { nil }

    /// Writes code at the start of the code page.
    package func setCode(_ encodings: [UInt32]) {
        var offset = 0
        for encoding in encodings {
            pages.storeBytes(of: encoding, toByteOffset: offset, as: UInt32.self)
            offset += encoding & 3 == 3 ? 4 : 2
        }
        codeVersion &+= 1
    }

    /// Sets up a vector, has `execute` run one instruction from the state's program counter on, and compares.
    /// `execute` takes the guest's MXCSR from the CPU header and puts it back.
    /// - Returns: what is wrong, or nil.
    package func run(_ vector: RISCVVector, execute: (UnsafeMutableRawPointer) -> Void) -> String? {
        let state = RISCVState(state)
        let base = vector.kind == .memory ? dataAddress : (vector.kind == .jump ? codeAddress : 0)
        let a = vector.a &+ base
        for register in 1 ..< RISCVRegister.programCounter { state[register] = 0 }
        for register in [2, 10, 11, 42, 43] { state[register] = a }
        state[12] = vector.b
        state[44] = vector.b
        state[45] = vector.c
        state.fcsr = vector.fcsr
        state.tail.pointee.reservationAddress = RISCVState.noReservation
        state.programCounter = codeAddress
        let data = (pages + RISCVVectorBench.pageByteCount).assumingMemoryBound(to: UInt64.self)
        (data[0], data[1]) = vector.memory
        setCode([vector.encoding, 0x0000_0013])
        execute(self.state)
        let result = vector.destination == 0 ? 0 : state[vector.destination] &- (vector.kind == .jump ? base : 0)
        let distance = state.programCounter &- codeAddress
        if result != vector.expected { return "result 0x\(hex(result)), expected 0x\(hex(vector.expected))" }
        if state.fcsr != vector.expectedFcsr {
            return "fcsr 0x\(hex(UInt64(state.fcsr))), expected 0x\(hex(UInt64(vector.expectedFcsr)))"
        }
        if distance != vector.expectedDistance { return "pc + 0x\(hex(distance)), expected 0x\(hex(vector.expectedDistance))" }
        if (data[0], data[1]) != vector.expectedMemory && vector.kind == .memory { return "memory differs" }
        if state[0] != 0 { return "x0 is not zero" }
        return nil
    }

    private func hex(_ value: UInt64) -> String { String(value, radix: 16) }
}
