// Disks, networks and shared directories of a machine, in its virtio slots.

import DeviceModel
import Devices
import Machine

extension VirtualMachine {
    static func attachDevices(to board: Board, _ options: MachineOptions) throws {
        guard options.drives.isEmpty, options.networks.isEmpty, options.shares.isEmpty else {
            throw BootError.badMachine("drives, networks and shares are not there yet")
        }
    }
}
