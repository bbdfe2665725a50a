// Walking the calls of a guest: frame pointers, return addresses on the stack, and what files they lie in.

import GuestRISCV
import Testing

@testable import LinuxUser

@Suite struct BacktraceTests {
    private let abi = RISCVLinuxABI()

    /// Frames for a state with these registers, a stack of words, and calls before these addresses.
    private func frames(
        _ registers: [Int: UInt64], pc: UInt64, stack: [UInt64: UInt64], behindCalls: Set<UInt64>
    ) -> [BacktraceFrame] {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: RISCVState.byteCount, alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: RISCVState.byteCount)
        for (register, value) in registers { RISCVState(memory)[register] = value }
        RISCVState(memory).programCounter = pc
        return abi.backtrace(memory, StackReader(word: { stack[$0] }, isBehindCall: { behindCalls.contains($0) }), limit: 64)
    }

    @Test func framePointersAreFollowed() {
        // fp - 8 has the return address, fp - 16 the caller's fp.
        let stack: [UInt64: UInt64] = [0x1028: 0x200, 0x1020: 0x1060, 0x1058: 0x300, 0x1050: 0]
        let frames = frames([1: 0x200, 2: 0x1000, 8: 0x1030], pc: 0x100, stack: stack, behindCalls: [0x200, 0x300])
        #expect(frames.map(\.address) == [0x100, 0x200, 0x300])
        #expect(frames.allSatisfy { !$0.isGuess })
    }

    @Test func withoutFramePointersTheStackIsSearched() {
        let stack: [UInt64: UInt64] = [0x1000: 0x201, 0x1008: 0x300, 0x1010: 7, 0x1018: 0x400]
        let frames = frames([1: 0x200, 2: 0x1000, 8: 5], pc: 0x100, stack: stack, behindCalls: [0x200, 0x201, 0x300, 0x400])
        #expect(frames == [
            BacktraceFrame(address: 0x100), BacktraceFrame(address: 0x200), BacktraceFrame(address: 0x300, isGuess: true),
            BacktraceFrame(address: 0x400, isGuess: true),
        ])
    }

    @Test func aCircleOfFramesEnds() {
        let stack: [UInt64: UInt64] = [0x1028: 0x200, 0x1020: 0x1030]
        let frames = frames([2: 0x1000, 8: 0x1030], pc: 0x100, stack: stack, behindCalls: [0x200])
        #expect(frames.count < 10 && frames.map(\.address).prefix(2) == [0x100, 0x200])
    }

    @Test func callsAreKnown() {
        #expect(abi.isCall(0x0080_00ef) && abi.isCall(0x9082))  // jal ra, 8; c.jalr ra, ra
        #expect(!abi.isCall(0x0080_006f) && !abi.isCall(0x8082) && !abi.isCall(0))  // jal x0, 8; ret
    }

    @Test func filesAreFoundInMaps() {
        let maps = CodeMappings(
            "10000-20000 r-xp 00001000 08:01 5   /usr/bin/a b\n30000-31000 rw-p 00000000 00:00 0 \nnonsense\n")
        #expect(maps.file(at: 0x10010)?.path == "/usr/bin/a b" && maps.file(at: 0x10010)?.offset == 0x1010)
        #expect(maps.file(at: 0x30000) == nil && maps.file(at: 0x20000) == nil)
    }
}
