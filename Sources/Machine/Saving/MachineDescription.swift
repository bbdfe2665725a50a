// What a machine consists of, as far as a saved state depends on it, and how that differs from another machine.

import DeviceModel
import Devices
import GuestRISCV

package struct MachineDescription: Codable, Equatable, Sendable {
    package struct Device: Codable, Equatable, Sendable {
        package var name: String
        package var address: UInt64
        package var interrupts: [UInt32]
        /// Of virtio devices: what they are, offer, and the sizes of their queues.
        package var virtioID: UInt32?
        package var features: UInt64?
        package var queueSizes: [UInt16]?
    }

    package struct Drive: Codable, Equatable, Sendable {
        package var path: String
        package var byteCount: UInt64
        package var isReadOnly: Bool
        /// What the guest wrote to it is in the file.
        package var isSnapshot: Bool
        /// When the image was written to last, nanoseconds since 1970.
        package var modified: UInt64

        var name: String { path.printable }
    }

    package var memoryByteCount: Int
    package var hartCount: Int
    /// `riscv,isa` of the harts.
    package var isa: String
    package var isDeterministic: Bool
    package var hasBuiltInFirmware: Bool
    package var devices: [Device]
    package var drives: [Drive]

    private static let blockID: UInt32 = 2
    private static func kind(_ id: UInt32) -> String {
        switch id {
        case 1: "a network card"
        case blockID: "a drive"
        case 3: "a console"
        case 4: "randomness"
        case 5: "a memory balloon"
        case 9: "a shared directory"
        default: "virtio device \(id)"
        }
    }

    private var virtioText: String {
        let kinds = devices.compactMap(\.virtioID).map(MachineDescription.kind)
        return kinds.isEmpty ? "no virtio devices" : kinds.joined(separator: ", ")
    }

    private static func size(_ byteCount: Int) -> String { "\(byteCount >> 20) MiB" }

    // MARK: Comparing

    /// - Parameters:
    ///   - path: of the file that holds this machine, for messages.
    ///   - machine: the one that it is to be loaded into.
    /// - Throws: `BootError.badMachine`, which says what to do.
    package func checkFits(_ machine: MachineDescription, path: String) throws(BootError) {
        let fail = { (text: String) in BootError.badMachine("'\(path)' was saved with \(text)") }
        guard memoryByteCount == machine.memoryByteCount else {
            throw fail(
                "\(MachineDescription.size(memoryByteCount)) of memory, and this machine has "
                    + "\(MachineDescription.size(machine.memoryByteCount)): give "
                    + "-m \(memoryByteCount >> 20)M")
        }
        guard hartCount == machine.hartCount else {
            throw fail("\(hartCount) harts, and this machine has \(machine.hartCount): give --cpus \(hartCount)")
        }
        guard isa == machine.isa else {
            throw fail("harts of \(isa.printable), and these are \(machine.isa): load it with the version of Mynah that saved it")
        }
        try checkDevices(machine, fail)
        for (index, pair) in zip(drives, machine.drives).enumerated() { try checkDrive(index, pair.0, pair.1, fail) }
    }

    private func checkDevices(_ machine: MachineDescription, _ fail: (String) -> BootError) throws(BootError) {
        guard drives.count == machine.drives.count else {
            let list = drives.map { "'\($0.name)' of \($0.byteCount) bytes" }.joined(separator: ", ")
            throw fail(
                (drives.isEmpty ? "no drive" : "\(drives.count) drives, \(list)")
                    + ", and this machine has \(machine.drives.count): give the same with --drive, "
                    + "in the same order")
        }
        guard devices.compactMap(\.virtioID) == machine.devices.compactMap(\.virtioID) else {
            throw fail(
                "\(virtioText); this machine has \(machine.virtioText): give the same --drive, --net, --share and --balloon "
                    + "options")
        }
        for (index, pair) in zip(drives, machine.drives).enumerated() where pair.0.isReadOnly != pair.1.isReadOnly {
            throw fail(
                "drive \(index + 1), '\(pair.0.name)', \(pair.0.isReadOnly ? "read-only" : "writable"), and here it is not: "
                    + (pair.0.isReadOnly ? "add ',readonly' to it" : "leave out 'readonly', or add ',snapshot'"))
        }
        guard devices == machine.devices else {
            throw fail("devices of other places or features: load it with the version of Mynah that saved it")
        }
    }

    private func checkDrive(_ index: Int, _ saved: Drive, _ here: Drive, _ fail: (String) -> BootError) throws(BootError) {
        guard saved.byteCount == here.byteCount else {
            throw fail(
                "drive \(index + 1), '\(saved.name)', of \(saved.byteCount) bytes, and '\(here.path)' has \(here.byteCount): "
                    + "give the image as it was then")
        }
        guard here.isSnapshot || !saved.isSnapshot else {
            throw fail(
                "drive \(index + 1), '\(saved.name)', as a snapshot, and what the guest wrote to it is in the file: add "
                    + "',snapshot' to it, or give --snapshot")
        }
    }

    /// What may be wrong, though it fits.
    package func doubts(about machine: MachineDescription) -> [String] {
        zip(drives, machine.drives).enumerated().compactMap { index, pair in
            let (saved, here) = pair
            guard saved.path == here.path, saved.modified != 0, here.modified != 0, saved.modified != here.modified else {
                return nil
            }
            return
                "drive \(index + 1), '\(here.path)', was written to after the machine was saved: the guest's view of it may be "
                    + "wrong; use a copy of that time"
        }
    }
}

extension String {
    /// As a message may show what a file says: whoever wrote the file may have wanted to write on a terminal.
    var printable: String {
        String(String.UnicodeScalarView(unicodeScalars.prefix(300).map { $0.properties.generalCategory == .control ? "?" : $0 }))
    }
}

extension Board {
    var drives: [VirtioBlock] { slots.compactMap { $0.device as? VirtioBlock } }
    var slots: [VirtioMMIO] { placements.compactMap { $0.device as? VirtioMMIO } }

    func describeMachine() -> MachineDescription {
        MachineDescription(
            memoryByteCount: configuration.memoryByteCount, hartCount: configuration.hartCount, isa: RISCVProfile.isaString,
            isDeterministic: configuration.processor.isDeterministic, hasBuiltInFirmware: hasBuiltInFirmware,
            devices: savedDevices.map { device, placement in
                let slot = device as? VirtioMMIO
                return MachineDescription.Device(
                    name: device.name, address: placement.address, interrupts: placement.interrupts,
                    virtioID: slot?.device.deviceID,
                    features: slot?.transport.features, queueSizes: slot?.device.queueSizes)
            },
            drives: drives.map { drive in
                let origin = drive.backend.origin
                return MachineDescription.Drive(
                    path: origin.path, byteCount: drive.backend.byteCount, isReadOnly: drive.backend.isReadOnly,
                    isSnapshot: drive.backend is SnapshotDisk, modified: origin.modified)
            })
    }

    /// All devices but slots that nothing is in.
    var savedDevices: [(device: Device, placement: DevicePlacement)] { placements.filter { !($0.device is EmptyVirtioSlot) } }
}
