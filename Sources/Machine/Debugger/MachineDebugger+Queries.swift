// Packets and commands that debuggers know from QEMU's stub, and the monitor.

import GDBStub

extension MachineDebugger {
    package func answer(_ packet: String) -> String? {
        switch packet {
        case "qqemu.Supported": return "sstepbits;sstep;PhyMemMode"
        case "qqemu.sstepbits": return "ENABLE=1,NOIRQ=2,NOTIMER=4"
        case "qqemu.sstep": return "0x" + String(stepFlags.rawValue, radix: 16)
        case "qqemu.PhyMemMode": return isPhysical ? "1" : "0"
        case "Qqemu.PhyMemMode:0", "Qqemu.PhyMemMode:1":
            isPhysical = packet.hasSuffix("1")
            return "OK"
        default: break
        }
        for prefix in ["Qqemu.sstep=", "Qqemu.sstep:"] where packet.hasPrefix(prefix) {
            let digits = packet.dropFirst(prefix.count)
            guard let value = UInt64(digits.hasPrefix("0x") ? digits.dropFirst(2) : digits, radix: 16), value <= 7 else {
                return "E22"
            }
            stepFlags = StepFlags(rawValue: value)
            return "OK"
        }
        return packet.hasPrefix("Qqemu.PhyMemMode") ? "E22" : nil
    }

    package func monitor(_ command: String) -> String? {
        if ["quit", "q"].contains(command) {
            session.stop()
            return ""
        }
        return MachineMonitor(session: session).execute(command)
    }
}
