// Delegation, trap entry and return, priorities of interrupts, and physical memory protection.

import Guest
import Testing

@testable import GuestRISCV

@Suite struct TrapTests {
    @Test func exceptionsAreDelegated() {
        for mode in [PrivilegeMode.user, .supervisor, .machine] {
            for isDelegated in [false, true] {
                let bench = HartBench(), hart = bench.hart
                hart.privilege = mode
                hart.medeleg = isDelegated ? 1 << 13 : 0
                hart.mtvec = 0x8000_1000
                hart.stvec = 0x8000_2000
                hart.mstatus |= Status.sie | Status.mie
                bench.pc = 0x8000_0040
                hart.takeException(13, value: 0x1234)
                if isDelegated && mode != .machine {
                    #expect(hart.privilege == .supervisor && bench.pc == 0x8000_2000 && hart.sepc == 0x8000_0040)
                    #expect(hart.scause == 13 && hart.stval == 0x1234 && hart.mcause == 0)
                    #expect(hart.mstatus & (Status.sie | Status.spie) == Status.spie)
                    #expect((hart.mstatus & Status.spp != 0) == (mode == .supervisor))
                    #expect(hart.returnFromSupervisor() && hart.privilege == mode && bench.pc == 0x8000_0040)
                    #expect(hart.mstatus & (Status.sie | Status.spie | Status.spp) == Status.sie | Status.spie)
                } else {
                    #expect(hart.privilege == .machine && bench.pc == 0x8000_1000 && hart.mepc == 0x8000_0040)
                    #expect(hart.mcause == 13 && hart.mtval == 0x1234 && hart.mstatus >> 11 & 3 == UInt64(mode.rawValue))
                    #expect(hart.mstatus & (Status.mie | Status.mpie) == Status.mpie)
                    #expect(hart.returnFromMachine() && hart.privilege == mode && bench.pc == 0x8000_0040)
                    #expect(hart.mstatus & (Status.mie | Status.mpie | Status.mpp) == Status.mie | Status.mpie)
                }
            }
        }
    }

    @Test func vectors() {
        let bench = HartBench(), hart = bench.hart
        hart.mtvec = 0x8000_1001
        hart.takeInterrupt(7)
        #expect(bench.pc == 0x8000_101c && hart.mcause == 1 << 63 | 7 && hart.mtval == 0)
        hart.takeException(2, value: 0)
        #expect(bench.pc == 0x8000_1000)
    }

    @Test func interruptsAreEnabledByMode() {
        let bench = HartBench(), hart = bench.hart
        hart.mie = HartInterrupt.all
        hart.mideleg = HartInterrupt.supervisor
        for (line, mode, mie, sie, taken) in [
            (11, PrivilegeMode.machine, false, true, false), (11, .machine, true, false, true),
            (11, .supervisor, false, false, true), (11, .user, false, false, true),
            (9, .machine, true, true, false), (9, .supervisor, true, false, false), (9, .supervisor, false, true, true),
            (9, .user, false, false, true),
        ] as [(UInt64, PrivilegeMode, Bool, Bool, Bool)] {
            hart.lower(.max)
            hart.raise(1 << line)
            hart.privilege = mode
            hart.mstatus = Status.widths | (mie ? Status.mie : 0) | (sie ? Status.sie : 0)
            #expect(hart.interruptToTake == (taken ? line : nil), "\(line) in \(mode)")
            #expect(hart.hasWakeup)
        }
        hart.mie = 0
        #expect(!hart.hasWakeup && hart.interruptToTake == nil)
    }

    @Test func priorities() {
        let bench = HartBench(), hart = bench.hart
        hart.mie = HartInterrupt.all
        hart.mideleg = HartInterrupt.supervisor
        hart.privilege = .user
        hart.raise(HartInterrupt.all)
        for code in [11, 3, 7, 9, 1, 5] as [UInt64] {
            #expect(hart.interruptToTake == code)
            hart.lower(1 << code)
        }
        #expect(hart.interruptToTake == nil)
    }

    @Test func modifiedPrivilege() {
        let bench = HartBench(), hart = bench.hart
        hart.mstatus |= Status.mprv | 1 << 11
        #expect(hart.dataPrivilege == .supervisor && hart.codeContext == .machine)
        hart.privilege = .supervisor
        #expect(hart.dataPrivilege == .supervisor)
        hart.privilege = .machine
        hart.mstatus = hart.mstatus & ~Status.mpp
        #expect(hart.returnFromMachine() && hart.mstatus & Status.mprv == 0)
    }

    // MARK: Physical memory protection

    @Test func protection() {
        var protection = PhysicalMemoryProtection()
        #expect(protection.allows(0x1000, 8, .read, .machine) && !protection.allows(0x1000, 8, .read, .supervisor))
        // 0: NA4 at 0x1000, nothing. 1: TOR up to 0x3000 from 0x1000 (its own address register is 0's), RW. 2: NAPOT 4 KiB at
        // 0x4000, X, locked.
        protection.setAddress(0, 0x1000 >> 2)
        protection.setAddress(1, 0x3000 >> 2)
        protection.setAddress(2, 0x4000 >> 2 | 0x1ff)
        protection.setConfiguration(from: 0, 0x10 | 0x0b << 8 | 0x9c << 16)
        #expect(!protection.allows(0x1000, 4, .read, .user))
        #expect(
            protection.allows(0x1004, 4, .read, .user) && protection.allows(0x2ff8, 8, .write, .user)
                && !protection.allows(0x2000, 4, .execute, .user))
        #expect(!protection.allows(0x1002, 4, .read, .user), "only part of it matches")
        #expect(!protection.allows(0x1002, 4, .read, .machine), "also for machine mode")
        #expect(protection.allows(0x1000, 4, .read, .machine), "an entry without lock does not bind machine mode")
        #expect(
            protection.allows(0x4ffc, 4, .execute, .user) && !protection.allows(0x4000, 4, .read, .machine)
                && !protection.allows(0x5000, 4, .read, .user))
        #expect(!protection.isUniform(page: 0x1000) && protection.isUniform(page: 0x2000) && protection.isUniform(page: 0x4000))
        // Locked entries cannot be changed.
        protection.setAddress(2, 0)
        protection.setConfiguration(from: 0, 0)
        #expect(
            protection.addresses[2] == 0x4000 >> 2 | 0x1ff && protection.configurations[2] == 0x9c
                && protection.configurations[0] == 0)
        // W without R is reserved.
        protection.setConfiguration(from: 8, 0x1a)
        #expect(protection.configurations[8] == 0x18)
        // A locked TOR entry locks the address below it.
        protection.setConfiguration(from: 8, 0x88 << 8)
        protection.setAddress(8, 77)
        #expect(protection.addresses[8] == 0)
    }

    @Test func protectionReachesInstructions() {
        let bench = HartBench(), hart = bench.hart
        hart.protection = PhysicalMemoryProtection()
        hart.protection.setAddress(0, 0x8000_2000 >> 2)
        hart.protection.setAddress(1, .max)
        hart.protection.setConfiguration(from: 0, 0x0f | 0x09 << 8)
        hart.privilege = .supervisor
        hart.contextChanged()
        bench.x[5] = 0x8000_3000
        #expect(bench.cause(Code.ld(6, 5)) == nil)
        #expect(bench.cause(Code.sd(6, 5)) == TrapCause.storeAccessFault && hart.trapValue == 0x8000_3000)
        bench.x[5] = 0x8000_1ff8
        #expect(bench.cause(Code.sd(6, 5)) == nil)
        bench.pc = 0x8000_3000
        #expect(
            bench.interpreter.step(state: bench.state) == .trap && hart.trapCause == TrapCause.instructionAccessFault
                && hart.trapValue == 0x8000_3000)
        // Translation tables are read with the rights of supervisor mode.
        bench.pc = HartBench.ram
        hart.protection.setAddress(0, HartBench.tables >> 2)
        hart.protection.setAddress(1, .max)
        hart.protection.setConfiguration(from: 0, 0x0f)
        bench.translate(mode: 8)
        #expect(hart.walk(0x1000, .read, .supervisor).fault == TrapCause.loadAccessFault)
    }

    @Test func accessesOfDevices() {
        final class Bus: PhysicalBus {
            var written: [UInt64] = []
            func read(_ address: UInt64, byteCount: Int) -> UInt64? { address == 0x1000_0000 ? 0x1_2345_6789_abcd : nil }
            func write(_ address: UInt64, byteCount: Int, value: UInt64) -> Bool {
                written = [address, UInt64(byteCount), value]
                return address == 0x1000_0000
            }
        }
        let bench = HartBench(), bus = Bus()
        bench.memory.bus = bus
        bench.x[5] = 0x1000_0000
        bench.x[6] = .max
        #expect(bench.cause(0x0062_8023) == nil && bus.written == [0x1000_0000, 1, 255])    // sb x6, 0(x5)
        #expect(bench.cause(0x0002_a303) == nil && bench.x[6] == 0x6789_abcd)    // lw x6, 0(x5)
        bench.x[5] = 0x1000_0001
        #expect(bench.cause(0x0002_a303) == TrapCause.loadMisaligned && bench.cause(0x0062_a023) == TrapCause.storeMisaligned)
        bench.x[5] = 0x1000_0008
        #expect(bench.cause(0x0002_a303) == TrapCause.loadAccessFault && bench.cause(0x0062_a023) == TrapCause.storeAccessFault)
        // amoadd.w, lr.w
        #expect(bench.cause(0x0062_a32f) == TrapCause.storeAccessFault && bench.cause(0x1002_a32f) == TrapCause.loadAccessFault)
        bench.x[5] = HartBench.ram + 0x1002
        #expect(bench.cause(0x0062_a32f) == TrapCause.storeMisaligned && bench.cause(0x1002_a32f) == TrapCause.loadMisaligned)
    }
}
