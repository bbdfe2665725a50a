// The vDSO's hand-made code, by the disassembler.

import Guest
import GuestRISCV
import Testing

@testable import LinuxUser

@Suite struct RISCVVDSOTests {
    private func disassembled(_ name: String) throws -> [String] {
        let code = try #require(RISCVVDSO.functions.first { $0.name == name }).code
        return code.withUnsafeBytes { bytes in
            // The addresses count from 0, so branches show the offset in the function.
            let window = CodeWindow(start: 0, end: UInt64(bytes.count), host: bytes.baseAddress!)
            return stride(from: 0, to: UInt64(bytes.count), by: 4).map { RISCV64().disassemble(at: $0, in: window).text }
        }
    }

    private let seconds = ["lui t0,0x3b9ad", "addi t0,t0,-1536", "divu a3,a2,t0", "remu a2,a2,t0"]

    @Test func signalReturn() throws { #expect(try disassembled("__vdso_rt_sigreturn") == ["li a7,139", "ecall", "ret"]) }

    @Test func clockGetTime() throws {
        let expected = ["beqz a0,0x14", "li t0,1", "bne a0,t0,0x38", "csrr a2,0xcc1", "beqz zero,0x18", "csrr a2,0xcc0"] + seconds
            + ["sd a3,0(a1)", "sd a2,8(a1)", "li a0,0", "ret", "li a7,113", "ecall", "ret"]
        #expect(try disassembled("__vdso_clock_gettime") == expected)
    }

    @Test func getTimeOfDay() throws {
        let expected = ["bnez a1,0x34", "beqz a0,0x34", "csrr a2,0xcc0"] + seconds
            + ["li t0,1000", "divu a2,a2,t0", "sd a3,0(a0)", "sd a2,8(a0)", "li a0,0", "ret", "li a7,169", "ecall", "ret"]
        #expect(try disassembled("__vdso_gettimeofday") == expected)
    }
}
