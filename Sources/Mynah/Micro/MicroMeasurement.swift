// What single steps cost, in nanoseconds: getting from block to block, out of translated code and back, executing and encoding
// one instruction. Each is a loop of a generated guest program that does little else.

import Engine
import Glibc
import X86

/// One measured step.
package struct MicroMeasurement: Sendable {
    /// The key in JSON.
    package var key: String
    package var label: String
    package var nanoseconds: Double
}

package enum MicroBenchmarks {
    /// - Parameters:
    ///   - runs: how often each is measured; the fastest counts.
    ///   - scale: work relative to the usual.
    /// - Throws: `HostError` or `ProgramError` when the host refuses memory.
    package static func steps(runs: Int, scale: Double = 1) throws -> [MicroMeasurement] {
        let rounds = max(10, Int(20_000 * scale))
        func measured(
            _ key: String, _ label: String, _ guest: MicroGuest, steps: Int,
            _ change: (inout EngineConfiguration) -> Void = { _ in }
        ) throws -> MicroMeasurement {
            let seconds = try guest.seconds(rounds: rounds, runs: runs, change)
            return MicroMeasurement(key: key, label: label, nanoseconds: seconds * 1e9 / Double(rounds) / Double(steps))
        }
        let colliding = indirectJumps(count: 2, distance: collision)
        return [
            MicroMeasurement(
                key: "encode", label: "x86 instruction encoded (assembler alone)", nanoseconds: encoding(runs: runs, scale: scale)
            ),
            try measured("translatedInstruction", "guest instruction, translated", additions, steps: batch),
            try measured("directJump", "direct jump, linked", directJumps, steps: batch) { $0.limits.followsJumps = false },
            try measured("callAndReturn", "call and predicted return", calls, steps: batch),
            try measured("indirectJump", "indirect jump found in code", indirectJumps(count: 8, distance: 64), steps: 8),
            try measured("dispatcher", "round trip through the dispatcher (indirect jump not found)", colliding, steps: 2),
            try measured("systemCall", "round trip of a system call instruction", systemCalls, steps: 1),
            try measured("interpretedInstruction", "guest instruction, interpreted", additions, steps: batch) {
                $0.policy = .interpreter
            },
        ]
    }

    /// Steps in a round, many enough that the loop around them does not count.
    private static let batch = 48
    /// Bytes between two addresses that share their place in the in-code jump table.
    private static let collision = 1 << 15

    /// Additions in five independent chains, of registers, so that neither latency nor folding is what is measured.
    private static var additions: MicroGuest {
        var guest = MicroGuest()
        for index in 0 ..< UInt32(batch) { guest.add(11 + index % 5, 11 + index % 5, register: 16) }
        guest.loop(to: 0)
        return guest
    }

    /// Jumps to the next but one instruction; measured with translations that end at each.
    private static var directJumps: MicroGuest {
        var guest = MicroGuest()
        for _ in 0 ..< batch {
            guest.jump(to: guest.position + 8)
            guest.add(0, 0, 0)
        }
        guest.loop(to: 0)
        return guest
    }

    private static var calls: MicroGuest {
        var guest = MicroGuest()
        let function = (batch + 3) * 4
        for _ in 0 ..< batch { guest.jump(to: function, link: 1) }
        guest.loop(to: 0)
        guest.jump(toRegister: 1)
        return guest
    }

    /// A ring of jumps through registers, whose content no translation knows.
    private static func indirectJumps(count: Int, distance: Int) -> MicroGuest {
        var guest = MicroGuest()
        let registers: [UInt32] = [6, 7, 18, 19, 20, 21, 22, 23]
        for index in 0 ..< count {
            guest.pad(to: index * distance)
            if index + 1 < count {
                guest.addresses[Int(registers[index])] = (index + 1) * distance
                guest.jump(toRegister: registers[index])
            } else {
                // The last one counts, and goes back the indirect way, too.
                guest.addresses[Int(registers[index])] = 0
                let start = guest.position
                guest.loop(to: start + 12)
                guest.jump(toRegister: registers[index])
            }
        }
        return guest
    }

    private static var systemCalls: MicroGuest {
        var guest = MicroGuest()
        guest.systemCall()
        guest.loop(to: 0)
        return guest
    }

    /// Nanoseconds for an instruction of a typical mix, written to memory.
    private static func encoding(runs: Int, scale: Double) -> Double {
        let capacity = 1 << 16, groups = 1000, repeats = max(1, Int(100 * scale))
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 64)
        defer { buffer.deallocate() }
        var asm = Assembler()
        defer { asm.deallocate() }
        let seconds = (0 ..< runs).map { _ in
            let start = MicroClock.seconds
            for _ in 0 ..< repeats {
                asm.start(writable: buffer, executable: 0x1000_0000, capacity: capacity)
                for _ in 0 ..< groups { emitMix(&asm) }
                _ = asm.finish()
            }
            return MicroClock.seconds - start
        }
        return (seconds.min() ?? 0) * 1e9 / Double(repeats * groups * 8)
    }

    /// Eight instructions.
    @inline(never)
    private static func emitMix(_ asm: inout Assembler) {
        let label = asm.makeLabel()
        asm.mov(.quad, .rax, .base(.rbp, 64))
        asm.lea(.quad, .rcx, .base(.rax, 4))
        asm.add(.long, .rdx, .rcx)
        asm.cmp(.quad, .r12, imm: 100)
        asm.jcc(.l, label)
        asm.mov(.quad, .base(.r13, 24), .rdx)
        asm.bind(label)
        asm.movs(.double, .xmm1, .base(.rbp, 512))
        asm.adds(.double, .xmm1, .xmm2)
    }
}
