// Disks, networks and shared directories of a machine, in its virtio slots.

import DeviceModel
import Devices
import Machine

extension VirtualMachine {
    /// Disks first, so that the first one has the first slot; randomness last, when there is room.
    static func attachDevices(to board: Board, _ options: MachineOptions) throws {
        for drive in options.drives {
            let disk = try DiskImage.open(
                drive.path, format: drive.format.flatMap { DiskFormat(rawValue: $0.rawValue) }, isReadOnly: drive.isReadOnly,
                isSnapshot: drive.isSnapshot || options.isDeterministic)
            try board.attachVirtio(VirtioBlock(backend: disk))
        }
        for (index, network) in options.networks.enumerated() { try attach(network, index: index, to: board) }
        for share in options.shares { try attach(share, to: board) }
        if board.freeSlotCount > 0 { try board.attachVirtio(VirtioEntropy(backend: board.entropy)) }
    }

    private static func attach(_ network: NetworkOptions, index: Int, to board: Board) throws {
        throw BootError.badMachine("networks are not there yet; leave out --net")
    }

    private static func attach(_ share: ShareOptions, to board: Board) throws {
        throw BootError.badMachine("shared directories are not there yet; leave out --share")
    }
}
