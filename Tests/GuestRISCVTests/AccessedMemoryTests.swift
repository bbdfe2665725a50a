// What an instruction is about to access, as watchpoints ask.

import Guest
import Testing

@testable import GuestRISCV

@Suite struct AccessedMemoryTests {
    private func access(_ encoding: UInt32, base: UInt64 = 0x1000) -> AccessedMemory? {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: RISCVState.byteCount + 1024, alignment: 64)
        defer { memory.deallocate() }
        let state = memory + 1024
        RISCVState(state).reset()
        // a1, sp and s0, the bases of the encodings below.
        for register in [11, 2, 8, 9] { RISCVState(state)[register] = base }
        return RISCVDecoder.decode(encoding).memoryAccess(state)
    }

    private func load(_ address: UInt64, _ byteCount: UInt64) -> AccessedMemory {
        AccessedMemory(address: address, byteCount: byteCount, isLoad: true, isStore: false)
    }
    private func store(_ address: UInt64, _ byteCount: UInt64) -> AccessedMemory {
        AccessedMemory(address: address, byteCount: byteCount, isLoad: false, isStore: true)
    }

    @Test func loadsAndStores() {
        #expect(access(0x0045_8503) == load(0x1004, 1))  // lb a0,4(a1)
        #expect(access(0xffc5_d503) == load(0xffc, 2))  // lhu a0,-4(a1)
        #expect(access(0x0045_a507) == load(0x1004, 4))  // flw fa0,4(a1)
        #expect(access(0x0005_b503) == load(0x1000, 8))  // ld a0,0(a1)
        #expect(access(0x00a5_8223) == store(0x1004, 1))  // sb a0,4(a1)
        #expect(access(0x00a5_b427) == store(0x1008, 8))  // fsd fa0,8(a1)
        #expect(access(0x4502) == load(0x1000, 4))  // c.lwsp a0,0(sp)
        #expect(access(0xe422) == store(0x1008, 8))  // c.sdsp s0,8(sp)
        #expect(access(0xc004) == store(0x1000, 4))  // c.sw s1,0(s0)
        #expect(access(0xffc5_d503, base: 0) == load(0xffff_ffff_ffff_fffc, 2))
    }

    @Test func atomics() {
        #expect(access(0x1005_a52f) == load(0x1000, 4))  // lr.w a0,(a1)
        #expect(access(0x18c5_b52f) == store(0x1000, 8))  // sc.d a0,a2,(a1)
        // amoadd.w a0,a2,(a1), and amoswap.d a0,a2,(a1)
        #expect(access(0x00c5_a52f) == AccessedMemory(address: 0x1000, byteCount: 4, isLoad: true, isStore: true))
        #expect(access(0x08c5_b52f) == AccessedMemory(address: 0x1000, byteCount: 8, isLoad: true, isStore: true))
        #expect(access(0x0045_a00f, base: 0x1234) == store(0x1200, 64))  // cbo.zero (a1)
    }

    @Test func others() {
        for encoding: UInt32 in [
            0x0000_0073 /* ecall */, 0x0010_0073 /* ebreak */, 0x0005_8533 /* add */, 0x0000_0001 /* c.nop */,
            0x0ff0_000f /* fence */, 0x0000_0000,
        ] {
            #expect(access(encoding) == nil)
        }
    }
}
