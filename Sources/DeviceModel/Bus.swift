// The physical address space beside RAM: windows of devices, looked up by address. Attached before harts run, only read
// afterwards, so that a look-up needs no lock; a device locks itself.

package enum BusError: Error, CustomStringConvertible {
    case overlap(device: String, address: UInt64, other: String)
    case outOfRange(device: String, address: UInt64)

    package var description: String {
        switch self {
        case .overlap(let device, let address, let other):
            "The device \(device) at 0x\(String(address, radix: 16)) overlaps the device \(other): give it another address."
        case .outOfRange(let device, let address):
            "The device \(device) does not fit into the address space at 0x\(String(address, radix: 16))."
        }
    }
}

package final class Bus: @unchecked Sendable {
    package struct Window {
        package let address: UInt64
        package let byteCount: UInt64
        package let device: Device
    }

    /// In the order of their addresses.
    package private(set) var windows: [Window] = []

    package init() {}

    /// - Throws: `BusError` when the window is not free.
    package func attach(_ device: Device, at address: UInt64) throws(BusError) {
        let (end, overflows) = address.addingReportingOverflow(device.byteCount)
        guard device.byteCount > 0, !overflows else { throw .outOfRange(device: device.name, address: address) }
        for window in windows where address < window.address + window.byteCount && window.address < end {
            throw .overlap(device: device.name, address: address, other: window.device.name)
        }
        let place = windows.firstIndex { $0.address > address } ?? windows.count
        windows.insert(Window(address: address, byteCount: device.byteCount, device: device), at: place)
    }

    /// The index of the window that holds the whole access.
    private func find(_ address: UInt64, _ byteCount: Int) -> Int? {
        var low = 0, high = windows.count
        while low < high {
            let middle = (low + high) / 2
            if windows[middle].address <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0 else { return nil }
        let offset = address - windows[low - 1].address, size = windows[low - 1].byteCount
        guard offset < size, size - offset >= UInt64(byteCount) else { return nil }
        return low - 1
    }

    /// Only naturally aligned words reach a device.
    private static func isWord(_ address: UInt64, _ byteCount: Int) -> Bool {
        switch byteCount {
        case 1, 2, 4, 8: address & UInt64(byteCount - 1) == 0
        default: false
        }
    }

    /// The zero-extended value of 1, 2, 4 or 8 bytes; nil is an access fault: no device, or none that takes such an access.
    package func read(_ address: UInt64, byteCount: Int) -> UInt64? {
        guard Bus.isWord(address, byteCount), let index = find(address, byteCount) else { return nil }
        return windows[index].device.read(address - windows[index].address, byteCount: byteCount)
    }

    /// False is an access fault.
    package func write(_ address: UInt64, byteCount: Int, value: UInt64) -> Bool {
        guard Bus.isWord(address, byteCount), let index = find(address, byteCount) else { return false }
        let bits = UInt64(byteCount * 8)
        let word = bits == 64 ? value : value & (1 << bits &- 1)
        return windows[index].device.write(address - windows[index].address, byteCount: byteCount, value: word)
    }

    package func reset() { for window in windows { window.device.reset() } }
    package func shutDown() { for window in windows { window.device.shutDown() } }
}
