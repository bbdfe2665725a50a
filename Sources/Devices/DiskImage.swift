// Opens disk images of any format, with the images that they lie on.

import DeviceModel

package enum DiskFormat: String, CaseIterable {
    case raw, qcow2
}

package enum DiskImage {
    private static let chainLimit = 32

    /// Opens the image at `path`.
    /// - Parameters:
    ///   - format: nil to look at the first bytes. For an image that a guest has written to as raw, name it: the guest may have
    ///     made it look like another format.
    ///   - isSnapshot: writes are kept in a temporary file and forgotten.
    /// - Throws: `BackendError` that says what is wrong and what to do.
    package static func open(
        _ path: String, format: DiskFormat? = nil, isReadOnly: Bool = false, isSnapshot: Bool = false
    ) throws(BackendError) -> BlockBackend {
        var identities: [[UInt64]] = []
        let disk = try open(path, format, isWritable: !isReadOnly && !isSnapshot, &identities)
        return isSnapshot && !isReadOnly ? try SnapshotDisk(on: disk) : disk
    }

    static func open(
        _ path: String, _ format: DiskFormat?, isWritable: Bool, _ identities: inout [[UInt64]]
    ) throws(BackendError) -> BlockBackend {
        let file = try ImageFile(path: path, isWritable: isWritable)
        guard !identities.contains(file.identity), identities.count < chainLimit else {
            throw BackendError(
                "the disk image \(path) lies on itself through its backing files: rebase one of them with qemu-img rebase -u")
        }
        identities.append(file.identity)
        let isQcow2 = if let format { format == .qcow2 } else { try Qcow2Header.isAtStart(of: file) }
        return isQcow2 ? try Qcow2Disk(file, &identities) : RawDisk(file)
    }
}
