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
                isSnapshot: drive.isSnapshot)
            try board.attachVirtio(VirtioBlock(backend: disk))
        }
        for (index, network) in options.networks.enumerated() {
            try board.attachVirtio(VirtioNetwork(backend: try backend(of: network), address: cardAddress(index)))
        }
        for share in options.shares {
            try board.attachVirtio(VirtioFileShare(path: share.directory, tag: share.tag, isReadOnly: share.isReadOnly))
        }
        if options.hasBalloon { try board.attachVirtio(VirtioBalloon()) }
        if board.freeSlotCount > 0 { try board.attachVirtio(VirtioEntropy(backend: board.entropy)) }
    }

    private static func backend(of network: NetworkOptions) throws -> NetworkBackend {
        switch network {
        case .user(let forwards): return try UserNetwork(forwards: try forwards.map(hostForward))
        case .tap(let name): return try TapNetwork(name: name)
        }
    }

    private static func hostForward(_ forward: PortForward) throws -> HostForward {
        HostForward(
            isUDP: forward.transport == .udp, hostAddress: try forward.hostAddress.map(numbers), hostPort: forward.hostPort,
            guestAddress: try forward.guestAddress.map(numbers), guestPort: forward.guestPort)
    }

    private static func numbers(_ address: String) throws -> [UInt8] {
        if address == "localhost" { return [127, 0, 0, 1] }
        let parts = address.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4, parts.allSatisfy({ $0 != nil }) else {
            throw BootError.badMachine("'\(address)' is no IPv4 address such as 127.0.0.1")
        }
        return parts.map { $0! }
    }

    /// Locally administered, in the range that virtual machines use.
    private static func cardAddress(_ index: Int) -> [UInt8] {
        [0x52, 0x54, 0, 0x12, 0x34, 0x56 &+ UInt8(truncatingIfNeeded: index)]
    }
}
