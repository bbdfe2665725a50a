// Deterministic runs: harts in turns, and the time that passes while they sleep.

import DeviceModel
import Guest
import GuestRISCV
import Testing

@testable import Machine

struct TurnTests {
    /// Every write interrupts hart 0.
    private final class Bell: PhysicalBus {
        unowned let processor: Processor
        init(_ processor: Processor) { self.processor = processor }
        func read(_ address: UInt64, byteCount: Int) -> UInt64? { 0 }
        func write(_ address: UInt64, byteCount: Int, value: UInt64) -> Bool {
            processor.harts[0].raise(HartInterrupt.supervisorSoftware)
            return true
        }
    }

    /// A hart sleeps in its turn, and the next one wakes it and sleeps, too: the clock does not jump to a timer then.
    @Test func noTimePassesOverAHartThatIsAwake() throws {
        let machine = try BareMachine(.interpreter, harts: 2, isDeterministic: true), processor = machine.processor
        let bell = Bell(processor), far: UInt64 = 1_000_000, other = BareMachine.ram + 0x100
        machine.memory.bus = bell
        let sie: UInt32 = 0x104, lui: UInt32 = 0x37
        machine.code([Asm.addi(5, 0, 2), Asm.csrrw(0, sie, 5), Asm.wfi, Asm.ecall], at: BareMachine.ram)
        machine.code([1 << 12 | 6 << 7 | lui, Asm.sd(0, 6, 0), Asm.wfi, Asm.jal(0, -4)], at: other)
        let timer = processor.timers.makeTimer { [processor] in processor.stop() }
        timer.set(far)
        for (hart, start) in zip(processor.harts, [BareMachine.ram, other]) {
            #expect(hart.start(at: start, opaque: 0, isSupervisor: true))
        }
        try processor.start()
        processor.wait()
        #expect(processor.time() < far / 10)
    }
}
