// Where the engine reads guest code from in machine mode: what the hart on this thread sees.

import CHost
import DeviceModel
import Guest
import GuestRISCV

final class MachineCode: GuestMemory {
    private let memory: MachineMemory
    init(_ memory: MachineMemory) { self.memory = memory }

    func codeWindow(at address: GuestAddress) -> CodeWindow? {
        guard let header = mynah_get_current_cpu() else { return nil }
        return RISCVHart.of(UnsafeMutableRawPointer(header) + Int(MYNAH_CPU_HEADER_BYTES)).codeWindow(at: address.rawValue)
    }

    var codeVersion: UInt64 { 0 }
    func watchCode(_ range: Range<UInt64>) {}
    /// Nothing is write-protected: writes of code are noticed by the look-aside buffer.
    func releaseWatch(at address: UInt64) -> Range<UInt64>? { nil }
}

extension MachineMemory: DeviceMemory {}
extension Bus: PhysicalBus {}
