// SiFive's test finisher: one register by which the guest ends or restarts the machine. Kernels find it as a `syscon` with
// `syscon-poweroff` and `syscon-reboot`.

import DeviceModel

package final class SystemController: Device {
    package enum Event: Equatable {
        /// The guest is done; the exit code that it gave, 0 for success.
        case powerOff(code: Int)
        case reboot
    }

    package let name = "test"
    package let byteCount: UInt64 = 0x1000
    private static let fail: UInt32 = 0x3333, pass: UInt32 = 0x5555, reset: UInt32 = 0x7777
    private let onEvent: (Event) -> Void

    /// `onEvent` runs on the thread of the hart that asked, inside of its store.
    package init(onEvent: @escaping (Event) -> Void) { self.onEvent = onEvent }

    package func reset() {}
    package func read(_ offset: UInt64, byteCount: Int) -> UInt64? { 0 }

    package func write(_ offset: UInt64, byteCount: Int, value: UInt64) -> Bool {
        guard offset == 0, byteCount == 2 || byteCount == 4 else { return byteCount >= 2 }
        switch UInt32(value & 0xffff) {
        case SystemController.pass: onEvent(.powerOff(code: 0))
        case SystemController.fail: onEvent(.powerOff(code: Int(value >> 16 & 0xffff)))
        case SystemController.reset: onEvent(.reboot)
        default: break
        }
        return true
    }

    package func describe(_ placement: DevicePlacement, in parent: DeviceTreeNode) {
        let node = placement.makeNode(self, compatible: ["sifive,test1", "sifive,test0", "syscon"], in: parent)
        for (name, value) in [("poweroff", SystemController.pass), ("reboot", SystemController.reset)] {
            let action = parent.root.child(name)
            action.set("compatible", .string("syscon-\(name)"))
            action.set("regmap", .phandle(node))
            action.set("offset", .cell(0))
            action.set("value", .cell(value))
        }
    }
}
